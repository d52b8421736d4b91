import { randomBytes, randomUUID } from "node:crypto";

/** A new request id: `req_` and 32 hex digits. */
export function newRequestId(): string {
  return `req_${randomUUID().replaceAll("-", "")}`;
}

const requestIdPattern = /^[A-Za-z0-9._:-]{1,128}$/;

/** The id a client sent if it is safe to log and pass on, else a new one. */
export function requestIdFrom(header: string | undefined): string {
  return header !== undefined && requestIdPattern.test(header) ? header : newRequestId();
}

/** W3C Trace Context level 1, https://www.w3.org/TR/trace-context/. */
export interface TraceContext {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits: this hop. */
  readonly spanId: string;
  /** 16 lower-case hex digits: the hop before, if there was one. */
  readonly parentSpanId: string | undefined;
  readonly sampled: boolean;
}

const traceparentPattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** Continues the trace of a valid `traceparent`, or starts one. */
export function traceFrom(header: string | undefined): TraceContext {
  const spanId = randomBytes(8).toString("hex");
  const match = header === undefined || header.startsWith("ff") ? null : traceparentPattern.exec(header);
  const [, traceId = "", parent = "", flags = "00"] = match ?? [];
  if (match === null || /^0+$/.test(traceId) || /^0+$/.test(parent)) {
    return { traceId: randomBytes(16).toString("hex"), spanId, parentSpanId: undefined, sampled: true };
  }
  return { traceId, spanId, parentSpanId: parent, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The `traceparent` to send onward. */
export function toTraceparent(trace: TraceContext): string {
  return `00-${trace.traceId}-${trace.spanId}-${trace.sampled ? "01" : "00"}`;
}
