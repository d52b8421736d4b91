import {
  invalidField,
  isGiven,
  type JsonObject,
  renamed,
  requiredModel,
  requiredObject,
  requiredText,
  unsupportedField,
} from "./request-fields.ts";
import { toResponse, toResponseStream } from "./responses-answer.ts";
import { toChatMessages } from "./responses-input.ts";
import { toChatTools } from "./responses-tools.ts";
import type { Translator } from "./translation.ts";

/** Fields that a chat completion has under the same name, or another one. */
const sameFields: Readonly<Record<string, string>> = {
  model: "model",
  temperature: "temperature",
  top_p: "top_p",
  // Local servers know this name; the newer one is for OpenAI's own models, which are asked for responses.
  max_output_tokens: "max_tokens",
  parallel_tool_calls: "parallel_tool_calls",
  user: "user",
};

/** Fields that are translated by themselves, repeated in the answer, or without meaning for one model on one machine. */
const knownFields: ReadonlySet<string> = new Set([
  ...Object.keys(sameFields),
  ...["input", "instructions", "tools", "tool_choice", "text", "reasoning", "top_logprobs", "include", "stream"],
  ...["stream_options", "metadata", "store", "previous_response_id", "max_tool_calls", "truncation", "background"],
  ...["service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"],
  ...["conversation", "prompt", "context_management", "moderation", "access_programs", "image"],
]);

/** Fields that would change the answer, and need what no chat completion has. */
const refusedFields: Readonly<Record<string, string>> = {
  background: "Leave out 'background'.",
  conversation: "There are no stored conversations here. Use 'previous_response_id', or send all items.",
  prompt: "There are no stored prompts here. Send 'instructions' and 'input'.",
  context_management: "The context is not managed here. Leave out 'context_management'.",
  moderation: "Answers are not moderated here. Ask for /v1/moderations.",
};

/**
 * OpenAI's Responses out of chat completions. A `previous_response_id` is only repeated in the answer: the request must
 * hold the items of that conversation already (see `withHistory`). Fields that OpenAI does not have are passed on, as
 * servers have options of their own.
 */
export const responsesToChat: Translator = {
  from: "responses.create",
  to: "chat.completions.create",
  translate(request, context) {
    refuseUnsupported(request);
    requiredModel(request);
    const body = {
      ...Object.fromEntries(Object.entries(request).filter(([name]) => !knownFields.has(name))),
      ...renamed(request, sameFields),
      messages: toChatMessages(request.input, request.instructions),
      ...toChatTools(request.tools, request.tool_choice),
      ...textFields(request.text),
      ...reasoningFields(request.reasoning),
      ...logprobFields(request),
      stream: request.stream === true,
      ...(request.stream === true ? { stream_options: { include_usage: true } } : {}),
    };
    return {
      body: Buffer.from(JSON.stringify(body)),
      whole: (answer) => toResponse(answer, request, context),
      stream: () => toResponseStream(request, context),
    };
  },
};

function refuseUnsupported(request: JsonObject): void {
  for (const [name, message] of Object.entries(refusedFields)) {
    const value = request[name];
    const isEmpty = !isGiven(value) || value === false || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) throw unsupportedField(name, message);
  }
}

function textFields(text: unknown): JsonObject {
  if (!isGiven(text)) return {};
  const { format, verbosity } = requiredObject(text, "text");
  return { ...(isGiven(verbosity) ? { verbosity } : {}), ...formatFields(format) };
}

function formatFields(given: unknown): JsonObject {
  if (!isGiven(given)) return {};
  const format = requiredObject(given, "text.format");
  switch (format.type) {
    case "text":
      return {};
    case "json_object":
      return { response_format: { type: "json_object" } };
    case "json_schema": {
      requiredText(format.name, "text.format.name");
      requiredObject(format.schema, "text.format.schema");
      const names = { name: "name", schema: "schema", description: "description", strict: "strict" };
      return { response_format: { type: "json_schema", json_schema: renamed(format, names) } };
    }
    default:
      throw invalidField("text.format.type", '"text", "json_object" or "json_schema"');
  }
}

function reasoningFields(reasoning: unknown): JsonObject {
  if (!isGiven(reasoning)) return {};
  const { effort } = requiredObject(reasoning, "reasoning");
  return isGiven(effort) ? { reasoning_effort: effort } : {};
}

function logprobFields({ top_logprobs: top, include }: JsonObject): JsonObject {
  const isIncluded = Array.isArray(include) && include.includes("message.output_text.logprobs");
  const count = typeof top === "number" && top > 0 ? top : undefined;
  if (!isIncluded && count === undefined) return {};
  return { logprobs: true, ...(count === undefined ? {} : { top_logprobs: count }) };
}
