import { type FakeSaying, sayingOf } from "./fake-generation.ts";
import {
  badField,
  countWords,
  created,
  type FakeAsked,
  type FakeEvent,
  type FakeReply,
  jsonReply,
  typedEvents,
} from "./fake-reply.ts";

/** OpenAI's Responses API: one message, or one call of a function. */
export function responses(asked: FakeAsked): FakeReply {
  const { fields } = asked;
  if (fields.input === undefined) return badField("input", "is missing");
  const limit = fields.max_output_tokens;
  const saying = sayingOf({ ...fields, messages: fields.input, max_tokens: limit }, asked.words);
  const answer: Answer = { fields, saying, promptTokens: countWords(fields.input) };
  return fields.stream === true ? typedEvents(numbered(events(answer))) : jsonReply(finished(answer));
}

interface Answer {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly saying: FakeSaying;
  readonly promptTokens: number;
}

const responseId = "resp_fake";

/** The response object with what it has so far. */
function response({ fields }: Answer, status: string, more: object): object {
  return {
    id: responseId,
    object: "response",
    created_at: created,
    status,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: fields.instructions ?? null,
    max_output_tokens: fields.max_output_tokens ?? null,
    model: fields.model,
    output: [],
    parallel_tool_calls: true,
    previous_response_id: fields.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    store: fields.store ?? true,
    temperature: fields.temperature ?? 1,
    text: fields.text ?? { format: { type: "text" } },
    tool_choice: fields.tool_choice ?? "auto",
    tools: fields.tools ?? [],
    top_p: 1,
    truncation: "disabled",
    usage: null,
    user: null,
    metadata: fields.metadata ?? {},
    ...more,
  };
}

function finished(answer: Answer): object {
  const { saying, promptTokens } = answer;
  const isCut = saying.finishReason === "length";
  const output = saying.tokens;
  return response(answer, isCut ? "incomplete" : "completed", {
    output: [item(saying, "completed")],
    ...(isCut ? { incomplete_details: { reason: "max_output_tokens" } } : {}),
    usage: {
      input_tokens: promptTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: promptTokens + output,
    },
  });
}

function textPart(text: string): object {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function item({ words, toolCall }: FakeSaying, status: "in_progress" | "completed"): object {
  const isDone = status === "completed";
  if (toolCall !== undefined) {
    const given = isDone ? toolCall.arguments.join("") : "";
    return {
      id: "fc_fake",
      type: "function_call",
      status,
      call_id: "call_fake",
      name: toolCall.name,
      arguments: given,
    };
  }
  const content = isDone ? [textPart(words.join(""))] : [];
  return { id: "msg_fake", type: "message", status, role: "assistant", content };
}

/** In the order in which OpenAI sends them. */
function events(answer: Answer): readonly FakeEvent[] {
  const { saying } = answer;
  const type = saying.finishReason === "length" ? "response.incomplete" : "response.completed";
  const open = response(answer, "in_progress", {});
  const event = (name: string, more: object): FakeEvent => ({ type: name, ...more });
  return [
    event("response.created", { response: open }),
    event("response.in_progress", { response: open }),
    event("response.output_item.added", { output_index: 0, item: item(saying, "in_progress") }),
    ...(saying.toolCall === undefined ? textEvents(saying.words) : callEvents(saying.toolCall)),
    event("response.output_item.done", { output_index: 0, item: item(saying, "completed") }),
    event(type, { response: finished(answer) }),
  ];
}

function textEvents(words: readonly string[]): readonly FakeEvent[] {
  const place = { item_id: "msg_fake", output_index: 0, content_index: 0 };
  const text = words.join("");
  const event = (name: string, more: object): FakeEvent => ({ type: name, ...place, ...more });
  return [
    event("response.content_part.added", { part: textPart("") }),
    ...words.map((delta) => event("response.output_text.delta", { delta, logprobs: [] })),
    event("response.output_text.done", { text, logprobs: [] }),
    event("response.content_part.done", { part: textPart(text) }),
  ];
}

function callEvents({ name, arguments: given }: NonNullable<FakeSaying["toolCall"]>): readonly FakeEvent[] {
  const place = { item_id: "fc_fake", output_index: 0 };
  return [
    ...given.map((delta) => ({ type: "response.function_call_arguments.delta", ...place, delta })),
    { type: "response.function_call_arguments.done", ...place, name, arguments: given.join("") },
  ];
}

function numbered(list: readonly FakeEvent[]): readonly FakeEvent[] {
  return list.map((event, index) => ({ ...event, sequence_number: index }));
}
