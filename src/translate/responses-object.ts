import type { ChatUsage } from "./chat-pieces.ts";
import { isGiven, isObject, type JsonObject } from "./request-fields.ts";

/** An item of a response's input or output. */
export type ResponseItem = JsonObject & { readonly id: string; readonly type: string };

/** How an answer stands. */
export interface ResponseState {
  readonly status: "queued" | "in_progress" | "completed" | "incomplete" | "failed" | "cancelled";
  readonly output: readonly JsonObject[];
  readonly usage?: ChatUsage | undefined;
  /** Seconds since 1970. */
  readonly completedAt?: number;
  readonly incompleteReason?: "max_output_tokens" | "content_filter";
  readonly error?: { readonly code: string; readonly message: string };
}

/** What stays the same in every snapshot of a response. */
export interface ResponseIdentity {
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  readonly request: JsonObject;
}

/** Fields of the request that an answer repeats, and what it says of those that were not given. */
const repeated: JsonObject = {
  instructions: null,
  max_output_tokens: null,
  max_tool_calls: null,
  metadata: {},
  model: null,
  parallel_tool_calls: true,
  previous_response_id: null,
  prompt_cache_key: null,
  safety_identifier: null,
  store: true,
  temperature: null,
  tool_choice: "auto",
  tools: [],
  top_logprobs: 0,
  top_p: null,
  user: null,
};

/** The Response object of OpenAI's API. `output_text` is missing: clients make it up from `output` by themselves. */
export function responseObject({ id, createdAt, request }: ResponseIdentity, state: ResponseState): JsonObject {
  const repeatedFields = Object.entries(repeated).map(([name, usual]) => [name, request[name] ?? usual]);
  const reasoning: JsonObject = isObject(request.reasoning) ? request.reasoning : {};
  const text: JsonObject = isObject(request.text) ? request.text : {};
  return {
    id,
    object: "response",
    created_at: createdAt,
    status: state.status,
    background: request.background === true,
    completed_at: state.completedAt ?? null,
    error: state.error ?? null,
    incomplete_details: state.incompleteReason === undefined ? null : { reason: state.incompleteReason },
    ...Object.fromEntries(repeatedFields),
    output: state.output,
    reasoning: { effort: reasoning.effort ?? null, summary: reasoning.summary ?? null },
    service_tier: "default",
    text: { ...text, format: isGiven(text.format) ? text.format : { type: "text" } },
    truncation: "disabled",
    usage: state.usage === undefined ? null : usageObject(state.usage),
  };
}

function usageObject(usage: ChatUsage): JsonObject {
  return {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens, cache_write_tokens: 0 },
    output_tokens: usage.completionTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.promptTokens + usage.completionTokens,
  };
}
