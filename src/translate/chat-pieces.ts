import { NexusError } from "../base/errors.ts";
import type { StreamEvent } from "../openai/stream-events.ts";
import { isObject, type JsonObject } from "./request-fields.ts";

/** One thing that a chat completion says. A whole answer and a stream of it say the same pieces, cut differently. */
export type ChatPiece =
  | { readonly kind: "text"; readonly text: string; readonly logprobs: readonly unknown[] }
  | { readonly kind: "reasoning"; readonly text: string }
  | { readonly kind: "refusal"; readonly text: string }
  | { readonly kind: "call"; readonly call: number; readonly id: string | undefined; readonly name: string }
  | { readonly kind: "arguments"; readonly call: number; readonly text: string }
  | { readonly kind: "finish"; readonly reason: string; readonly stoppedBy?: string }
  | { readonly kind: "usage"; readonly usage: ChatUsage };

/** Tokens as the backend counted them. */
export interface ChatUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens: number;
}

const doneMarker = "[DONE]";

/**
 * Reads the answer to `chat.completions.create` or `completions.create`, whole or as a stream, into pieces. Only the
 * first choice is read: the dialects that are translated cannot ask for more.
 */
export class ChatPieceReader {
  /** Calls in the order in which they began; the streams of some servers number all of them 0. */
  readonly #calls: { readonly index: number; readonly id: string | undefined }[] = [];

  /** @throws NexusError `backend_error` when it is no answer of a chat or a completion. */
  whole(body: Buffer): readonly ChatPiece[] {
    const answer = parseAnswer(body.toString("utf8"));
    const choice = firstChoice(answer);
    if (choice === undefined) throw badAnswer("it has no choices");
    return [...this.#choicePieces(choice, isObject(choice.message) ? choice.message : choice), ...usagePieces(answer)];
  }

  /** What an event adds; nothing for the end marker. @throws NexusError `backend_error` */
  event({ data }: StreamEvent): readonly ChatPiece[] {
    if (data === doneMarker) return [];
    const chunk = parseAnswer(data);
    if (chunk.error !== undefined && chunk.error !== null) throw failedInStream(chunk.error);
    const choice = firstChoice(chunk);
    if (choice === undefined) return usagePieces(chunk);
    return [...this.#choicePieces(choice, isObject(choice.delta) ? choice.delta : choice), ...usagePieces(chunk)];
  }

  #choicePieces(choice: JsonObject, said: JsonObject): readonly ChatPiece[] {
    const pieces: ChatPiece[] = [];
    // vLLM, llama.cpp and DeepSeek say `reasoning_content`; Ollama and OpenRouter say `reasoning`.
    const reasoning = said.reasoning_content ?? said.reasoning;
    if (isText(reasoning)) pieces.push({ kind: "reasoning", text: reasoning });
    const text = said.content ?? said.text;
    if (isText(text)) pieces.push({ kind: "text", text, logprobs: logprobsOf(choice) });
    if (isText(said.refusal)) pieces.push({ kind: "refusal", text: said.refusal });
    if (Array.isArray(said.tool_calls)) for (const call of said.tool_calls) pieces.push(...this.#callPieces(call));
    if (isText(choice.finish_reason)) pieces.push({ kind: "finish", reason: choice.finish_reason, ...stopOf(choice) });
    return pieces;
  }

  #callPieces(delta: unknown): readonly ChatPiece[] {
    if (!isObject(delta)) throw badAnswer("a tool call is no object");
    const told: JsonObject = isObject(delta.function) ? delta.function : {};
    const id = isText(delta.id) ? delta.id : undefined;
    const begun = this.#indexOfCall(delta, id, told);
    const call = begun === -1 ? this.#calls.length : begun;
    const pieces: ChatPiece[] = [];
    if (begun === -1) {
      if (!isText(told.name)) throw badAnswer("a tool call has no name");
      this.#calls.push({ index: typeof delta.index === "number" ? delta.index : call, id });
      pieces.push({ kind: "call", call, id, name: told.name });
    }
    // Some servers give the arguments as an object.
    const text = isObject(told.arguments) ? JSON.stringify(told.arguments) : told.arguments;
    if (isText(text)) pieces.push({ kind: "arguments", call, text });
    return pieces;
  }

  /** Which of the calls so far a delta goes on with, or -1. */
  #indexOfCall(delta: JsonObject, id: string | undefined, told: JsonObject): number {
    const { index } = delta;
    if (typeof index !== "number") {
      if (id !== undefined) return this.#calls.findLastIndex((call) => call.id === id);
      return isText(told.name) ? -1 : this.#calls.length - 1;
    }
    return this.#calls.findLastIndex(
      (call) => call.index === index && (id === undefined || call.id === undefined || call.id === id),
    );
  }
}

/** The object that a backend's answer or event is. @throws NexusError `backend_error` when it is none. */
export function parseAnswer(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badAnswer("it is not JSON", cause);
  }
  if (!isObject(value)) throw badAnswer("it is no object");
  return value;
}

function firstChoice(answer: JsonObject): JsonObject | undefined {
  if (!Array.isArray(answer.choices)) return undefined;
  return answer.choices.find((choice) => isObject(choice) && (choice.index ?? 0) === 0);
}

function logprobsOf(choice: JsonObject): readonly unknown[] {
  const { logprobs } = choice;
  return isObject(logprobs) && Array.isArray(logprobs.content) ? logprobs.content : [];
}

/** The stop sequence that was met, where a server tells it: vLLM says `stop_reason`, SGLang `matched_stop`. */
function stopOf({ stop_reason, matched_stop }: JsonObject): { readonly stoppedBy?: string } {
  const stoppedBy = stop_reason ?? matched_stop;
  return isText(stoppedBy) ? { stoppedBy } : {};
}

function usagePieces({ usage }: JsonObject): readonly ChatPiece[] {
  if (!isObject(usage)) return [];
  const inputDetails: JsonObject = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {};
  const outputDetails: JsonObject = isObject(usage.completion_tokens_details) ? usage.completion_tokens_details : {};
  return [
    {
      kind: "usage",
      usage: {
        promptTokens: countOf(usage.prompt_tokens),
        completionTokens: countOf(usage.completion_tokens),
        cachedTokens: countOf(inputDetails.cached_tokens),
        reasoningTokens: countOf(outputDetails.reasoning_tokens),
      },
    },
  ];
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function countOf(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}

/** An answer that its operation does not promise. `what` is for the log. */
export function badAnswer(what: string, cause?: unknown): NexusError {
  return new NexusError("backend_error", "The service answered with something that is no valid answer.", {
    source: "service",
    detail: what,
    ...(cause === undefined ? {} : { cause }),
  });
}

function failedInStream(error: unknown): NexusError {
  const message = isObject(error) ? error.message : error;
  return new NexusError("backend_error", "The service failed in the middle of its answer.", {
    source: "service",
    detail: typeof message === "string" ? message.slice(0, 1_000) : "no message",
  });
}
