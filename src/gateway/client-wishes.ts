import { NexusError } from "../base/errors.ts";
import { type AdmissionClass, admissionClasses } from "../resilience/model-queue.ts";
import type { Exchange } from "./exchange.ts";

/** A client that would wait for longer is held to this: a day. */
const timeoutMsMax = 86_400_000;

/**
 * Takes over what the client says in headers about how it wants to be served: `x-nexus-class` (interactive, default or
 * batch) and how long it waits for the first byte, `x-nexus-timeout-ms`, or `x-stainless-timeout` in seconds, which
 * OpenAI's and Anthropic's own clients send.
 * @throws NexusError `invalid_header`
 */
export function readWishes(exchange: Exchange): void {
  const { request } = exchange;
  const named = request.header("x-nexus-class");
  if (named !== undefined) exchange.class = readClass(named);
  const ms = request.header("x-nexus-timeout-ms");
  const seconds = request.header("x-stainless-timeout");
  if (ms !== undefined && !/^[1-9]\d{0,9}$/.test(ms)) {
    throw new NexusError("invalid_header", "`x-nexus-timeout-ms` must be a whole number of milliseconds.");
  }
  // Somebody else's header: what cannot be read says nothing.
  const timeoutMs = ms === undefined ? Number(seconds ?? Number.NaN) * 1_000 : Number(ms);
  if (timeoutMs > 0) exchange.deadlineAt = exchange.startedAt + Math.min(timeoutMs, timeoutMsMax);
}

function readClass(name: string): AdmissionClass {
  const found = admissionClasses.find((known) => known === name.toLowerCase());
  if (found !== undefined) return found;
  throw new NexusError("invalid_header", `\`x-nexus-class\` must be one of ${admissionClasses.join(", ")}.`);
}
