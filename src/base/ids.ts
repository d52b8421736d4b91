import { randomFillSync } from "node:crypto";

/** Random bytes are asked for in bulk: one call for a few of them costs fifty times what they are worth. */
const poolBytes = 4_096;
let pool: Buffer | undefined;
let used = poolBytes;

/** `bytes` random bytes, each as two hex digits. No bytes are used twice. */
function randomHex(bytes: number): string {
  pool ??= Buffer.allocUnsafeSlow(poolBytes);
  if (used + bytes > poolBytes) {
    randomFillSync(pool);
    used = 0;
  }
  const hex = pool.toString("hex", used, used + bytes);
  used += bytes;
  return hex;
}

/** A new request id: `req_` and 32 hex digits. */
export function newRequestId(): string {
  return `req_${randomHex(16)}`;
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
  const spanId = randomHex(8);
  const match = header === undefined || header.startsWith("ff") ? null : traceparentPattern.exec(header);
  const [, traceId = "", parent = "", flags = "00"] = match ?? [];
  if (match === null || /^0+$/.test(traceId) || /^0+$/.test(parent)) {
    return { traceId: randomHex(16), spanId, parentSpanId: undefined, sampled: true };
  }
  return { traceId, spanId, parentSpanId: parent, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The `traceparent` to send onward. */
export function toTraceparent(trace: TraceContext): string {
  return `00-${trace.traceId}-${trace.spanId}-${trace.sampled ? "01" : "00"}`;
}
