import { NexusError } from "../base/errors.ts";

/**
 * Bounds of `Retry-After`. OpenAI's and Anthropic's clients obey it up to a minute; at more than that they come back
 * after a few seconds.
 */
const retryAfterSecondsMax = 60;

/** The queue has no room. `drainMs`: until those who wait now have been served, as measured. */
export function queueFull(model: string, drainMs: number | undefined): NexusError {
  return new NexusError("queue_full", `Too many requests wait for '${model}' already. Try again later.`, {
    retryAfterSeconds: retryAfterSeconds(drainMs),
  });
}

/** It would not get a slot within what the client or its class allows. `lateMs`: by how much it would be too late. */
export function tooLate(model: string, waitMs: number, lateMs: number): NexusError {
  const message = `The queue for '${model}' takes about ${Math.ceil(waitMs / 1_000)} s, longer than the request may wait. Try again later.`;
  return new NexusError("deadline_exceeded", message, { retryAfterSeconds: retryAfterSeconds(lateMs) });
}

/** The client's deadline came before a slot did. */
export function deadlinePassed(model: string, drainMs: number | undefined): NexusError {
  return new NexusError("deadline_exceeded", `No slot for '${model}' came free by the request's deadline.`, {
    retryAfterSeconds: retryAfterSeconds(drainMs),
  });
}

/** It has waited as long as its class may. */
export function waitedTooLong(model: string, waitedMs: number, drainMs: number | undefined): NexusError {
  const message = `No slot for '${model}' came free in ${Math.round(waitedMs / 1_000)} s. Try again later.`;
  return new NexusError("queue_full", message, { retryAfterSeconds: retryAfterSeconds(drainMs) });
}

function retryAfterSeconds(waitMs: number | undefined): number {
  return Math.min(retryAfterSecondsMax, Math.max(1, Math.ceil((waitMs ?? 1_000) / 1_000)));
}
