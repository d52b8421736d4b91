import { NexusError } from "../base/errors.ts";
import type { Job } from "../objects/job-store.ts";
import { readBackendError } from "../openai/backend-error.ts";
import { isObject, type JsonObject } from "../translate/request-fields.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";

/** More than any instance has to say about a job. */
export const documentBytesMax = 1024 * 1024;

/** A job as its instance describes it. */
export type JobDocument = JsonObject & { readonly id: string };

/** @throws NexusError `backend_error` for what describes no job. */
export function parseJobDocument(body: Buffer): JobDocument {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw noJob(cause);
  }
  if (!isObject(value) || typeof value.id !== "string" || value.id === "") throw noJob();
  return { ...value, id: value.id };
}

function noJob(cause?: unknown): NexusError {
  return new NexusError("backend_error", "The service answered with something that is no job.", {
    source: "service",
    cause,
  });
}

/** The field that names the film that a film was made of. */
const sourceField = "remixed_from_video_id";

/** A job under the ids that clients know. `source` is the job that it was made of, if any. */
export function underOwnId(document: JobDocument, id: string, source?: unknown): JobDocument {
  return { ...document, id, ...(typeof source === "string" ? { [sourceField]: source } : {}) };
}

/** The client's id of the job that one was made of, if any. */
export function sourceOf({ lastSeen }: Job): unknown {
  return lastSeen[sourceField];
}

/** What an instance has answered that is no success. */
export interface JobRefusal {
  readonly status: number;
  readonly body: Buffer;
}

/**
 * Tells the client what the instance finds wrong with the request.
 * @throws NexusError `backend_error` for what is no error of the client's.
 */
export function relayRefusal({ status, body }: JobRefusal, exchange: Exchange, { settings }: GatewayParts): void {
  const said = readBackendError(body, status);
  if (status >= 500 || status < 400) {
    const message = `The service failed with status ${status}.`;
    throw new NexusError("backend_error", message, { source: "service", detail: said.error.message });
  }
  new ClientAnswer(exchange, settings.timeouts.heartbeatMs).failWith(status, said);
}
