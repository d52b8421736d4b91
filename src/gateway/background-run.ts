import { type TraceContext, toTraceparent } from "../base/ids.ts";
import { readBackendError } from "../openai/backend-error.ts";
import type { StreamEvent } from "../openai/stream-events.ts";
import { collectResponse } from "../translate/collect-response.ts";
import type { JsonObject } from "../translate/request-fields.ts";
import type { StoredResponse } from "../translate/response-store.ts";
import { BackgroundAnswer, type NumberedEvent, toResponseError } from "../translate/responses-background.ts";
import { withoutStore } from "../translate/responses-history.ts";
import type { ClientReply, ClientRequest } from "./client-io.ts";
import type { CollectedAnswer } from "./collected-reply.ts";
import { EventReply } from "./event-reply.ts";
import { OwnRequest } from "./own-request.ts";
import type { OpenedRequest } from "./stored-responses.ts";

/** What is to be answered in the background. */
export interface BackgroundAsking {
  /** The answer's. */
  readonly id: string;
  readonly tenant: string;
  /** In whose name: its limits and rights are those of this key. */
  readonly keyId: string;
  /** As the client sent it. */
  readonly request: JsonObject;
  /** With what it builds on. */
  readonly opened: OpenedRequest;
  /** Seconds since 1970 when it came. */
  readonly nowSeconds: number;
  /** `x-nexus-class`, if the client gave it. */
  readonly class: string | undefined;
  readonly trace: TraceContext;
}

/** Why a run ends before its answer does. */
export type RunStop = "cancelled" | "too long" | "closing" | "lost";

const stopMessages: Readonly<Record<Exclude<RunStop, "cancelled">, string>> = {
  "too long": "The answer is longer than what is kept of one.",
  closing: "The gateway was stopped before this answer was done. Ask again.",
  lost: "The gateway lost this answer to another one.",
};

/** What all events of one answer may take. An answer is in them about three times, a piece, an item and the whole. */
const eventBytesMax = 64 * 1024 * 1024;

/**
 * One answer that is made without its client: the gateway asks itself for a stream, in the name of the client's key, and
 * keeps what comes until somebody takes it. Does no I/O of its own.
 */
export class BackgroundRun {
  readonly id: string;
  readonly tenant: string;
  readonly #asking: BackgroundAsking;
  readonly #answer: BackgroundAnswer;
  readonly #reply: EventReply;
  readonly #first = Promise.withResolvers<CollectedAnswer | undefined>();
  #pending: NumberedEvent[];
  #bytes = 0;
  #stopped: RunStop | undefined;
  #hasBegun = false;
  #hasEnded = false;
  #news = Promise.withResolvers<void>();

  constructor(asking: BackgroundAsking) {
    this.id = asking.id;
    this.tenant = asking.tenant;
    this.#asking = asking;
    const { id, nowSeconds: createdAt, request } = asking;
    this.#answer = new BackgroundAnswer({ id, createdAt, request });
    this.#pending = [...this.#answer.begin()];
    this.#reply = new EventReply(eventBytesMax, (event) => this.#take(event));
  }

  /** What came first: the beginning of the answer (undefined), or a refusal. */
  get first(): Promise<CollectedAnswer | undefined> {
    return this.#first.promise;
  }

  get stopped(): RunStop | undefined {
    return this.#stopped;
  }

  /** Whether somebody has begun to answer. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Whether nothing more will come. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get response(): JsonObject {
    return this.#answer.response;
  }

  /** As it is to be stored now. */
  get stored(): StoredResponse {
    const { input = [], previousId } = this.#asking.opened;
    return { id: this.id, previousId, response: this.response, input };
  }

  /** Asks, and follows the answer to its end. */
  async follow(serve: (request: ClientRequest, reply: ClientReply) => Promise<void>): Promise<void> {
    await serve(this.#ownRequest(), this.#reply);
    this.#end(await this.#reply.answer);
  }

  /** Cuts it; the first reason counts. */
  stop(reason: RunStop): void {
    this.#stopped ??= reason;
    this.#reply.destroy();
  }

  /** Resolves when there is something to take, or it has ended. */
  async untilNews(): Promise<void> {
    if (this.#pending.length > 0 || this.#hasEnded) return;
    await this.#news.promise;
  }

  /** What has come since the last time. */
  takeEvents(): readonly NumberedEvent[] {
    const events = this.#pending;
    this.#pending = [];
    return events;
  }

  #ownRequest(): OwnRequest {
    const { opened, keyId, id, trace, class: urgency } = this.#asking;
    const { background: _, ...rest } = withoutStore(opened.request);
    return new OwnRequest({
      method: "POST",
      target: "/v1/responses",
      headers: {
        "content-type": "application/json",
        "x-request-id": id,
        traceparent: toTraceparent(trace),
        ...(urgency === undefined ? {} : { "x-nexus-class": urgency }),
      },
      body: Buffer.from(JSON.stringify({ ...rest, stream: true })),
      onBehalfOf: keyId,
    });
  }

  #take(event: StreamEvent): void {
    if (this.#stopped !== undefined) return;
    this.#bytes += event.data.length;
    if (this.#bytes > eventBytesMax) {
      this.stop("too long");
      return;
    }
    this.#add(this.#answer.push(event));
    this.#hasBegun = true;
    this.#first.resolve(undefined);
  }

  #end(answer: CollectedAnswer | undefined): void {
    if (this.#stopped === "cancelled") this.#add(this.#answer.cancel());
    else if (this.#stopped !== undefined) this.#fail(stopMessages[this.#stopped]);
    else if (answer === undefined) this.#fail("The gateway cut this answer. Ask again.");
    else this.#read(answer);
    // However it went: an answer has an end.
    this.#fail("The service ended its answer before it was complete.");
    this.#hasEnded = true;
    this.#first.resolve(undefined);
    this.#news.resolve();
  }

  /** What came instead of events: a refusal, or a whole answer of a server that does not stream. */
  #read(answer: CollectedAnswer): void {
    if (answer.body.length === 0) return;
    const response = answer.status < 300 ? collectResponse(answer.body) : undefined;
    if (response !== undefined) {
      const type = `response.${String(response.status)}`;
      this.#add(this.#answer.push({ event: type, data: JSON.stringify({ type, response }) }));
      return;
    }
    const { code, message } = readBackendError(answer.body, answer.status).error;
    this.#add(this.#answer.fail(toResponseError(String(code), message)));
    this.#first.resolve(answer);
  }

  #fail(message: string): void {
    this.#add(this.#answer.fail({ code: "server_error", message }));
  }

  #add(events: readonly NumberedEvent[]): void {
    if (events.length === 0) return;
    this.#pending.push(...events);
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
