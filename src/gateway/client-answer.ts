import { type ErrorBody, toErrorBody } from "../base/error-body.ts";
import type { NexusError } from "../base/errors.ts";
import type { Exchange } from "./exchange.ts";

/**
 * The answer as it goes out to the client. Two ways: a whole body with its status, or a stream of events, which may be
 * opened early to keep the connection alive while a model loads. After that, an error is an event.
 */
export class ClientAnswer {
  readonly #exchange: Exchange;
  readonly #heartbeatMs: number;
  #heartbeat: NodeJS.Timeout | undefined;
  #isEventStream = false;

  constructor(exchange: Exchange, heartbeatMs: number) {
    this.#exchange = exchange;
    this.#heartbeatMs = heartbeatMs;
  }

  get isOpen(): boolean {
    return this.#exchange.reply.headersSent;
  }

  /** From now on a comment goes out whenever nothing else has for `heartbeatMs`. Comments mean nothing to clients. */
  keepAlive(): void {
    this.#heartbeat = setTimeout(() => {
      this.openStream();
      this.#write(": waiting\n\n");
    }, this.#heartbeatMs);
  }

  openStream(contentType = "text/event-stream; charset=utf-8"): void {
    if (this.isOpen) return;
    this.#writeHead(200, {
      "content-type": contentType,
      "cache-control": "no-cache, no-transform",
      // Tells nginx not to collect the stream before passing it on.
      "x-accel-buffering": "no",
    });
  }

  /** Opens an answer whose length is not known. */
  openBody(status: number, contentType: string): void {
    this.#writeHead(status, { "content-type": contentType });
  }

  /** Returns false when the client reads too slowly; `onDrain` is called when it has caught up. */
  write(chunk: Buffer, onDrain: () => void): boolean {
    if (chunk.length === 0) return true;
    const wantsMore = this.#write(chunk);
    if (!wantsMore) this.#exchange.reply.onDrain(onDrain);
    return wantsMore;
  }

  /** Sends a whole body, or ends what was opened. */
  end(status: number, contentType: string, body: Buffer): void {
    this.#stopHeartbeat();
    const { reply } = this.#exchange;
    if (!this.isOpen) this.#writeHead(status, { "content-type": contentType, "content-length": body.length });
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
    this.failWith(error.status, toErrorBody(error));
  }

  failWith(status: number, body: ErrorBody): void {
    this.#stopHeartbeat();
    const { reply } = this.#exchange;
    this.#exchange.errorCode = body.error.code;
    const json = JSON.stringify(body);
    if (!this.isOpen) {
      this.end(status, "application/json; charset=utf-8", Buffer.from(json));
    } else if (this.#isEventStream) {
      this.#write(`event: error\ndata: ${json}\n\n`);
      this.endStream();
    } else {
      // Half a body cannot be taken back. Without its end, no client takes it for whole.
      reply.destroy();
    }
  }

  close(): void {
    this.#stopHeartbeat();
  }

  #writeHead(status: number, headers: Record<string, string | number>): void {
    const { reply, instance, attempts } = this.#exchange;
    if (instance !== undefined) reply.setHeader("x-nexus-instance", instance);
    if (attempts.length > 0) reply.setHeader("x-nexus-attempts", attempts.length);
    this.#isEventStream = String(headers["content-type"]).startsWith("text/event-stream");
    reply.writeHead(status, headers);
  }

  #write(chunk: Buffer | string): boolean {
    this.#heartbeat?.refresh();
    this.#count(chunk);
    return this.#exchange.reply.write(chunk);
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
