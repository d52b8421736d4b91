import type { StreamEvent } from "../openai/stream-events.ts";
import { isObject, type JsonObject } from "./request-fields.ts";
import { type ResponseState, responseObject } from "./responses-object.ts";

/** An event with its place in the stream. */
export type NumberedEvent = JsonObject & { readonly type: string; readonly sequence_number: number };

/** What went wrong, as a response says it. */
export interface ResponseError {
  readonly code: string;
  readonly message: string;
}

export interface BackgroundIdentity {
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /** As the client sent it. */
  readonly request: JsonObject;
}

const finalTypes: ReadonlySet<string> = new Set(["response.completed", "response.incomplete", "response.failed"]);

/**
 * An answer that is made in the background: takes the events of the stream that makes it and gives those that its client
 * sees, under the id that the client knows. It begins before anybody has answered, and it always has an end.
 */
export class BackgroundAnswer {
  readonly #identity: BackgroundIdentity;
  #response: JsonObject;
  /** Items that are whole. */
  readonly #items: JsonObject[] = [];
  #count = 0;
  #isOver = false;

  constructor(identity: BackgroundIdentity) {
    this.#identity = identity;
    this.#response = this.#own({ status: "queued", output: [] });
  }

  /** As far as it is known. */
  get response(): JsonObject {
    return this.#response;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  begin(): readonly NumberedEvent[] {
    return this.#numbered(
      { type: "response.created", response: this.#response },
      { type: "response.queued", response: this.#response },
    );
  }

  push({ data }: StreamEvent): readonly NumberedEvent[] {
    const event = parse(data);
    if (event === undefined || this.#isOver) return [];
    const { type, response } = event;
    if (type === "response.created" || type === "response.queued") return [];
    if (isObject(event.error)) return this.fail(errorOf(event.error));
    if (type === "error") return this.fail(errorOf(event));
    if (type === "response.output_item.done" && isObject(event.item)) this.#items.push(event.item);
    if (!isObject(response)) return this.#numbered(event);
    this.#response = this.#underOwnId(response);
    this.#isOver = finalTypes.has(String(type));
    return this.#numbered({ ...event, response: this.#response });
  }

  /** Nothing more comes. Nothing, when it is over already. */
  fail(error: ResponseError): readonly NumberedEvent[] {
    return this.#end({ status: "failed", error });
  }

  /** Like `fail`, at the client's wish. */
  cancel(): readonly NumberedEvent[] {
    return this.#end({ status: "cancelled" });
  }

  #end(state: Pick<ResponseState, "status" | "error">): readonly NumberedEvent[] {
    if (this.#isOver) return [];
    this.#isOver = true;
    this.#response = this.#own({ ...state, output: this.#items });
    return this.#numbered({ type: `response.${state.status}`, response: this.#response });
  }

  #own(state: ResponseState): JsonObject {
    return responseObject(this.#identity, state);
  }

  #underOwnId(response: JsonObject): JsonObject {
    const { id, createdAt, request } = this.#identity;
    const { previous_response_id: previous = null } = request;
    const own = { id, created_at: createdAt, background: true, store: true, previous_response_id: previous };
    return { ...response, ...own };
  }

  #numbered(...events: readonly JsonObject[]): readonly NumberedEvent[] {
    return events.map(({ type, sequence_number: _, ...fields }) => ({
      type: String(type),
      sequence_number: this.#count++,
      ...fields,
    }));
  }
}

function parse(data: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return isObject(value) ? value : undefined;
  } catch {
    // `[DONE]`
    return undefined;
  }
}

function errorOf({ code, message }: JsonObject): ResponseError {
  return toResponseError(String(code), typeof message === "string" ? message : "The service failed.");
}

const limitCodes: ReadonlySet<string> = new Set([
  "rate_limit_exceeded",
  "queue_full",
  "deadline_exceeded",
  "insufficient_quota",
]);

/** A response knows few codes: the rest is said in words. */
export function toResponseError(code: string, message: string): ResponseError {
  return { code: limitCodes.has(code) ? "rate_limit_exceeded" : "server_error", message };
}

/** Whether nothing more will happen to it. */
export function isFinished({ status }: JsonObject): boolean {
  return status !== "queued" && status !== "in_progress";
}

/** A stored response that came to its end without its maker. */
export function asFailed(response: JsonObject, message: string): JsonObject {
  return { ...response, status: "failed", error: { code: "server_error", message } };
}
