import type { RoutedOperationId } from "../../src/contract/operations.ts";
import type { FakePieces } from "./fake-faults.ts";
import type { FakeModel } from "./fake-model.ts";
import { type FakeAnswer, type FakeForm, openAiError } from "./fake-surface.ts";

/** A request for an operation, read and with its model found. */
export interface FakeAsked {
  readonly operation: RoutedOperationId;
  /** The JSON body, or a form's fields: the first of each name. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly form: FakeForm | undefined;
  readonly model: FakeModel;
  /** What the model says, a token each. */
  readonly words: readonly string[];
  /** Of the fake server itself. */
  readonly baseUrl: string;
}

/** A good answer in pieces, or a refusal. */
export type FakeReply = FakePieces | FakeAnswer;

export function isPieces(reply: FakeReply): reply is FakePieces {
  return "pieces" in reply;
}

export function jsonReply(value: object): FakePieces {
  return { isStream: false, headers: { "content-type": "application/json" }, pieces: [JSON.stringify(value)] };
}

export function textReply(text: string): FakePieces {
  return { isStream: false, headers: { "content-type": "text/plain; charset=utf-8" }, pieces: [text] };
}

/** Bytes in the pieces in which they are made. */
export function mediaReply(type: string, pieces: readonly Buffer[]): FakePieces {
  return { isStream: true, isMedia: true, headers: { "content-type": type }, pieces };
}

export interface FakeEvent {
  /** Named in an `event:` line too, as OpenAI's newer streams and Anthropic's are. */
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Events that carry their type. */
export function typedEvents(events: readonly FakeEvent[]): FakePieces {
  const pieces = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  return { isStream: true, headers: { "content-type": "text/event-stream" }, pieces };
}

/** Chunks without names, and `[DONE]`. */
export function doneEvents(documents: readonly object[]): FakePieces {
  const pieces = [...documents.map((document) => JSON.stringify(document)), "[DONE]"].map(
    (text) => `data: ${text}\n\n`,
  );
  return { isStream: true, headers: { "content-type": "text/event-stream" }, pieces };
}

export function badField(param: string, problem: string): FakeAnswer {
  const error = { message: `${param}: ${problem}`, type: "invalid_request_error", param, code: null };
  return { status: 400, body: { error } };
}

export function notFound(message: string): FakeAnswer {
  return openAiError(404, message, "invalid_request_error", "not_found");
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Words in every string of a value: a stand-in for tokens. */
export function countWords(value: unknown): number {
  if (typeof value === "string") return value.split(/\s+/).filter((word) => word !== "").length;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce<number>((sum, part) => sum + countWords(part), 0);
}

/** Seconds since 1970 of everything that was ever made here. */
export const created = 1_764_000_000;
