import type { ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { toErrorBody } from "../base/error-body.ts";
import { NexusError, toNexusError } from "../base/errors.ts";
import type { BytesResponse, EventStreamResponse, ServiceResponse } from "./response.ts";

/** Where an answer goes, and what ends it early. */
export interface Outlet {
  readonly response: ServerResponse;
  /** Aborts with a `NexusError` when the client is gone or the service must end. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly heartbeatMs: number;
}

/** A client that takes nothing for this long is given up: its slot belongs to somebody who reads. */
export const stalledReaderMs = 60_000;

/**
 * Sends an answer to its end. Throws the error that kept it from being sent, or cut it off; once a part of it is out,
 * the client has been told (`error` event) or cut off (bytes) already.
 */
export async function sendResponse(outlet: Outlet, answer: ServiceResponse): Promise<void> {
  if (answer.kind === "event-stream") return await sendEventStream(outlet, answer);
  outlet.signal.throwIfAborted();
  if (answer.kind === "json") {
    const body = JSON.stringify(answer.value) ?? "null";
    return end(outlet.response, answer.status, { ...answer.headers, "content-type": "application/json" }, body);
  }
  const headers = { ...answer.headers, "content-type": answer.contentType };
  if (answer.source instanceof Uint8Array) return end(outlet.response, answer.status, headers, answer.source);
  await sendChunks(outlet, answer, answer.source);
}

/** The answer to a request that failed before anything was sent. */
export function sendError(response: ServerResponse, error: NexusError): void {
  const body = JSON.stringify(toErrorBody(error));
  const retryAfter = error.retryAfterSeconds === undefined ? {} : { "retry-after": String(error.retryAfterSeconds) };
  end(response, error.status, { ...retryAfter, "content-type": "application/json" }, body);
}

function end(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: string | Uint8Array,
): void {
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) }).end(body);
}

async function sendChunks(outlet: Outlet, answer: BytesResponse, source: AsyncIterable<Uint8Array>): Promise<void> {
  const { response, signal } = outlet;
  try {
    for await (const chunk of source) {
      signal.throwIfAborted();
      if (!response.headersSent) {
        response.writeHead(answer.status, { ...answer.headers, "content-type": answer.contentType });
      }
      await write(outlet, chunk);
    }
    signal.throwIfAborted();
    if (!response.headersSent) return end(response, answer.status, { "content-type": answer.contentType }, "");
    response.end();
  } catch (error) {
    // Without a length, only a broken connection tells the client that bytes are missing.
    if (response.headersSent) response.destroy();
    throw error;
  }
}

async function sendEventStream(outlet: Outlet, answer: EventStreamResponse): Promise<void> {
  const { response, signal } = outlet;
  const iterator = answer.items[Symbol.asyncIterator]();
  const open = (): void => {
    if (response.headersSent) return;
    response.writeHead(200, {
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      ...answer.headers,
      "content-type": "text/event-stream; charset=utf-8",
    });
  };
  const comment = (): void => {
    open();
    response.write(": waiting\n\n");
  };
  try {
    for (;;) {
      const next = await withHeartbeat(outlet, iterator.next(), comment);
      // A generator that ends because it was told to has not ended its answer: no `[DONE]`.
      signal.throwIfAborted();
      if (next.done === true) break;
      open();
      await write(outlet, answer.typed ? typedEvent(next.value) : dataEvent(next.value));
    }
    open();
    response.end(answer.typed ? "" : "data: [DONE]\n\n");
  } catch (thrown) {
    const error = signal.aborted ? signal.reason : thrown;
    if (response.headersSent && !response.destroyed) {
      response.end(`event: error\n${dataEvent(toErrorBody(toNexusError(error)))}`);
    }
    throw error;
  } finally {
    // Runs the generator's own `finally`; what that throws is already behind an answer that has ended.
    await Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

/** Waits for the next item and lets `beat` be heard after each pause; a full outgoing buffer needs no sign of life. */
async function withHeartbeat<T>(outlet: Outlet, next: Promise<T>, beat: () => void): Promise<T> {
  let cancel = (): void => {};
  const arm = (): void => {
    cancel = outlet.clock.after(outlet.heartbeatMs, () => {
      if (!outlet.response.destroyed && !outlet.response.writableNeedDrain) beat();
      arm();
    });
  };
  arm();
  try {
    return await next;
  } finally {
    cancel();
  }
}

/** One event. A text of several lines takes one `data:` line each, as the format demands. */
function dataEvent(item: object | string): string {
  const text = typeof item === "string" ? item : JSON.stringify(item);
  const lines = text.includes("\n") || text.includes("\r") ? text.split(/\r\n|\r|\n/) : [text];
  return `${lines.map((line) => `data: ${line}\n`).join("")}\n`;
}

/** One event that is named by its type, when it has a plain one. */
function typedEvent(item: object | string): string {
  const type = typeof item === "object" && "type" in item ? item.type : undefined;
  const isName = typeof type === "string" && /^[\w.-]{1,128}$/.test(type);
  return `${isName ? `event: ${type}\n` : ""}${dataEvent(item)}`;
}

/** Writes and, when the client is slower than the source, waits until it has caught up. */
async function write(outlet: Outlet, chunk: string | Uint8Array): Promise<void> {
  const { response, signal, clock } = outlet;
  if (response.write(chunk) || signal.aborted) return signal.throwIfAborted();
  let isStalled = false;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      cancel();
      response.off("drain", done).off("close", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(stalledReaderMs, () => {
      isStalled = true;
      response.destroy();
      done();
    });
    response.on("drain", done).on("close", done);
    signal.addEventListener("abort", done, { once: true });
  });
  if (isStalled) throw new NexusError("client_closed", "The client stopped reading its answer.");
  signal.throwIfAborted();
}
