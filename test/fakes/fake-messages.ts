import { type FakeSaying, sayingOf } from "./fake-generation.ts";
import { countWords, type FakeAsked, type FakeEvent, type FakeReply, jsonReply, typedEvents } from "./fake-reply.ts";
import type { FakeAnswer } from "./fake-surface.ts";

/** An error in the shape of Anthropic's API. */
export function anthropicError(status: number, type: string, message: string): FakeAnswer {
  return { status, body: { type: "error", error: { type, message }, request_id: "req_fake" } };
}

/** Anthropic's Messages API: text, or one tool use. */
export function messages({ fields, words }: FakeAsked): FakeReply {
  if (!Array.isArray(fields.messages) || fields.messages.length === 0) {
    return anthropicError(400, "invalid_request_error", "messages: Field required");
  }
  if (typeof fields.max_tokens !== "number") {
    return anthropicError(400, "invalid_request_error", "max_tokens: Field required");
  }
  const saying = sayingOf({ ...fields, tools: openAiTools(fields.tools), tool_choice: "auto" }, words);
  const inputTokens = countWords([fields.system ?? "", fields.messages]);
  return fields.stream === true
    ? typedEvents(events(fields, saying, inputTokens))
    : jsonReply({ ...start(fields), content: [block(saying)], ...ending(saying), usage: usage(saying, inputTokens) });
}

export function countTokens({ fields }: FakeAsked): FakeReply {
  if (!Array.isArray(fields.messages)) return anthropicError(400, "invalid_request_error", "messages: Field required");
  return jsonReply({ input_tokens: countWords([fields.system ?? "", fields.messages, fields.tools ?? []]) });
}

/** Anthropic's tools have their name at the top. */
function openAiTools(tools: unknown): readonly object[] {
  if (!Array.isArray(tools)) return [];
  return tools.map((tool: { name?: unknown }) => ({ type: "function", function: { name: tool.name } }));
}

function start(fields: Readonly<Record<string, unknown>>): object {
  return { id: "msg_fake", type: "message", role: "assistant", model: fields.model };
}

function block({ words, toolCall }: FakeSaying): object {
  if (toolCall === undefined) return { type: "text", text: words.join("") };
  const input: unknown = JSON.parse(toolCall.arguments.join(""));
  return { type: "tool_use", id: "toolu_fake", name: toolCall.name, input };
}

function ending({ finishReason }: FakeSaying): object {
  const reasons = { stop: "end_turn", length: "max_tokens", tool_calls: "tool_use" } as const;
  return { stop_reason: reasons[finishReason], stop_sequence: null };
}

function usage({ tokens }: FakeSaying, inputTokens: number): object {
  const cache = { cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
  return { input_tokens: inputTokens, ...cache, output_tokens: tokens };
}

function events(
  fields: Readonly<Record<string, unknown>>,
  saying: FakeSaying,
  inputTokens: number,
): readonly FakeEvent[] {
  const { words, toolCall } = saying;
  const opening = {
    stop_reason: null,
    stop_sequence: null,
    usage: { ...usage(saying, inputTokens), output_tokens: 1 },
  };
  const empty =
    toolCall === undefined
      ? { type: "text", text: "" }
      : { type: "tool_use", id: "toolu_fake", name: toolCall.name, input: {} };
  const deltas =
    toolCall === undefined
      ? words.map((text) => ({ type: "text_delta", text }))
      : toolCall.arguments.map((part) => ({ type: "input_json_delta", partial_json: part }));
  const event = (type: string, more: object): FakeEvent => ({ type, ...more });
  return [
    event("message_start", { message: { ...start(fields), content: [], ...opening } }),
    event("content_block_start", { index: 0, content_block: empty }),
    event("ping", {}),
    ...deltas.map((delta) => event("content_block_delta", { index: 0, delta })),
    event("content_block_stop", { index: 0 }),
    event("message_delta", { delta: ending(saying), usage: { output_tokens: saying.tokens } }),
    event("message_stop", {}),
  ];
}
