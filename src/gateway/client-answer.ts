import { type ErrorBody, toErrorBody } from "../base/error-body.ts";
import type { NexusError } from "../base/errors.ts";
import { encodeEvent, framingTypes, type StreamEvent } from "../openai/stream-events.ts";
import type { Exchange } from "./exchange.ts";
import { readingMs } from "./http/limits.ts";

type LastWords = (error: ErrorBody, status: number) => readonly StreamEvent[];

export type AnswerHeaders = Readonly<Record<string, string | number>>;

/**
 * The answer as it goes out to the client. Two ways: a whole body with its status, or a stream of events, which may be
 * opened early to keep the connection alive while a model loads. After that, an error is an event.
 */
export class ClientAnswer {
  readonly #exchange: Exchange;
  readonly #heartbeatMs: number;
  #heartbeat: NodeJS.Timeout | undefined;
  #stopWaiting = (): void => {};
  #isStream = false;
  #lastWords: LastWords;

  constructor(exchange: Exchange, heartbeatMs: number) {
    this.#exchange = exchange;
    this.#heartbeatMs = heartbeatMs;
    this.#lastWords = (error, status) => [exchange.dialect.errorEvent(error, status, exchange.id)];
  }

  get isOpen(): boolean {
    return this.#exchange.reply.headersSent;
  }

  /**
   * From now on a comment goes out whenever nothing else has for `heartbeatMs`. Comments mean nothing to clients; where
   * the framing has none, nothing goes out.
   */
  keepAlive(): void {
    if (this.#exchange.dialect.framing !== "sse") return;
    this.#heartbeat = setTimeout(() => {
      this.openStream();
      this.#write(": waiting\n\n");
    }, this.#heartbeatMs);
  }

  /** How a stream that breaks ends, from now on. Default: the dialect's error event. */
  onBreak(lastWords: LastWords): void {
    this.#lastWords = lastWords;
  }

  openStream(contentType = framingTypes[this.#exchange.dialect.framing]): void {
    if (this.isOpen) return;
    this.#isStream = true;
    this.#writeHead(200, {
      "content-type": contentType,
      "cache-control": "no-cache, no-transform",
      // Tells nginx not to collect the stream before passing it on.
      "x-accel-buffering": "no",
    });
  }

  /** Opens an answer whose length is not known. */
  openBody(status: number, headers: AnswerHeaders): void {
    this.#writeHead(status, headers);
  }

  /** Returns false when the client reads too slowly; `onDrain` is called when it has caught up. */
  write(chunk: Buffer, onDrain: () => void): boolean {
    if (chunk.length === 0) return true;
    const wantsMore = this.#write(chunk);
    if (!wantsMore) this.#awaitReader(onDrain);
    return wantsMore;
  }

  /** Sends a whole body, or ends what was opened. */
  end(status: number, headers: AnswerHeaders, body: Buffer): void {
    this.#stopHeartbeat();
    const { reply } = this.#exchange;
    if (!this.isOpen) this.#writeHead(status, { ...headers, "content-length": body.length });
    this.#count(body);
    reply.end(body);
  }

  endStream(): void {
    this.#stopHeartbeat();
    this.#exchange.reply.end();
  }

  /** Tells the client what went wrong, with a status if that is still possible, else with an event and no `[DONE]`. */
  fail(error: NexusError): void {
    if (error.retryAfterSeconds !== undefined && !this.isOpen) {
      this.#exchange.reply.setHeader("retry-after", error.retryAfterSeconds);
    }
    // Clients repeat what failed; where everybody was tried already, or the budget is spent, that would be more of the same.
    if ((error.exhausted || error.code === "insufficient_quota") && !this.isOpen)
      this.#exchange.reply.setHeader("x-should-retry", "false");
    this.failWith(error.status, toErrorBody(error));
  }

  failWith(status: number, body: ErrorBody): void {
    this.#stopHeartbeat();
    const { reply, dialect, id } = this.#exchange;
    this.#exchange.errorCode = body.error.code;
    if (!this.isOpen) {
      const json = JSON.stringify(dialect.errorBody(body, status, id));
      this.end(status, { "content-type": "application/json; charset=utf-8" }, Buffer.from(json));
    } else if (this.#isStream) {
      this.#write(
        this.#lastWords(body, status)
          .map((event) => encodeEvent(event, dialect.framing))
          .join(""),
      );
      this.endStream();
    } else {
      // Half a body cannot be taken back. Without its end, no client takes it for whole.
      reply.destroy();
    }
  }

  close(): void {
    this.#stopHeartbeat();
    this.#stopWaiting();
  }

  #writeHead(status: number, headers: AnswerHeaders): void {
    const { reply, instance, attempts, queueMs } = this.#exchange;
    if (queueMs !== undefined) reply.setHeader("x-nexus-queue-ms", Math.round(queueMs));
    if (instance !== undefined) reply.setHeader("x-nexus-instance", instance);
    if (attempts.length > 0) reply.setHeader("x-nexus-attempts", attempts.length);
    reply.writeHead(status, headers);
  }

  #write(chunk: Buffer | string): boolean {
    this.#heartbeat?.refresh();
    this.#count(chunk);
    return this.#exchange.reply.write(chunk);
  }

  #awaitReader(onDrain: () => void): void {
    const { reply, clock } = this.#exchange;
    this.#stopWaiting();
    this.#stopWaiting = clock.after(readingMs, () => reply.destroy());
    reply.onDrain(() => {
      this.#stopWaiting();
      onDrain();
    });
  }

  #count(chunk: Buffer | string): void {
    this.#exchange.bytesOut += typeof chunk === "string" ? Buffer.byteLength(chunk) : chunk.length;
    this.#exchange.firstByteAt ??= this.#exchange.clock.monotonic();
  }

  #stopHeartbeat(): void {
    clearTimeout(this.#heartbeat);
    this.#heartbeat = undefined;
  }
}
