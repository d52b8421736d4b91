import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { NexusError, toNexusError } from "../base/errors.ts";
import { requestIdFrom, type TraceContext, toTraceparent, traceFrom } from "../base/ids.ts";
import type { LogFields, Logger } from "../base/logger.ts";

/** What the completion record says beyond the exchange itself; filled in on the way. */
export interface ExchangeNotes {
  operation: string;
  /** Only a name that the service has published. */
  model?: string;
  queuedMs?: number;
  bodyBytes?: number;
  /** True for endpoints that are asked every few seconds: their record is of level `debug`. */
  isProbe?: boolean;
}

/** A connection that asks to leave HTTP, as it stands after the request's head. */
export interface Upgrade {
  readonly socket: Duplex;
  readonly head: Buffer;
  /** Stops taking a client that says no more for one that has left: to be called before the WebSocket is opened. */
  unwatch(): void;
}

/** One request from accept to its last byte. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly log: Logger;
  /** Aborts with a `NexusError` as its reason. */
  readonly signal: AbortSignal;
  readonly notes: ExchangeNotes;
  /** The connection of a request that asks for a WebSocket; whoever does not take it answers as always. */
  readonly upgrade: Upgrade | undefined;
  abort(reason: NexusError): void;
  /** Milliseconds since it was opened. */
  elapsedMs(): number;
}

/** A request as it came. */
export interface Arrival {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly upgrade?: Upgrade;
}

/** Continues the client's id and trace, or starts them, and says both on the answer. */
export function openExchange({ request, response, upgrade }: Arrival, log: Logger, clock: Clock): Exchange {
  const requestId = requestIdFrom(single(request.headers["x-request-id"]));
  const trace = traceFrom(single(request.headers.traceparent));
  response.setHeader("x-request-id", requestId);
  response.setHeader("traceparent", toTraceparent(trace));
  const controller = new AbortController();
  const openedAt = clock.monotonic();
  response.once("close", () => {
    if (!response.writableFinished) controller.abort(new NexusError("client_closed", "The client closed the request."));
  });
  // A write that loses the race against a closing connection is no defect; `close` above tells the handler.
  response.on("error", () => {});
  return {
    request,
    response,
    requestId,
    trace,
    log: log.child({ request_id: requestId, trace_id: trace.traceId }),
    signal: controller.signal,
    notes: { operation: "unknown" },
    upgrade,
    abort: (reason) => controller.abort(reason),
    elapsedMs: () => clock.monotonic() - openedAt,
  };
}

/** The one completion record. `failure` is what ended the exchange before its regular end. Returns its HTTP status. */
export function logCompletion(exchange: Exchange, failure: unknown): number {
  const { request, response, notes, trace } = exchange;
  const error = failure === undefined ? undefined : toNexusError(failure);
  const status = error?.code === "client_closed" ? error.status : response.statusCode;
  const fields: LogFields = {
    method: request.method,
    path: (request.url ?? "").split("?", 1)[0]?.slice(0, 256),
    operation: notes.operation,
    status,
    duration_ms: Math.round(exchange.elapsedMs()),
    span_id: trace.spanId,
    ...(trace.parentSpanId === undefined ? {} : { parent_span_id: trace.parentSpanId }),
    ...(notes.model === undefined ? {} : { model: notes.model }),
    ...(notes.queuedMs === undefined ? {} : { queued_ms: Math.round(notes.queuedMs) }),
    ...(notes.bodyBytes === undefined ? {} : { body_bytes: notes.bodyBytes }),
    ...(error === undefined ? {} : { code: error.code, reason: error.message, detail: error.detail }),
    // Only a defect needs its stack: every other error says all in its code and detail.
    ...(error?.code === "internal_error" ? { error: error.cause ?? error } : {}),
  };
  const isDefect = error?.code === "internal_error";
  const level = isDefect ? "error" : error !== undefined && status >= 500 ? "warn" : notes.isProbe ? "debug" : "info";
  exchange.log[level](fields, "request completed");
  return status;
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
