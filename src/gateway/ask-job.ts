import { NexusError } from "../base/errors.ts";
import { toTraceparent } from "../base/ids.ts";
import type { InstanceRecord } from "../contract/instance-record.ts";
import type { Operation } from "../contract/operations.ts";
import type { Job } from "../objects/job-store.ts";
import { AttemptFailure } from "../resilience/attempt-failure.ts";
import { timeoutsFor } from "../routing/timeouts.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { refusalOf } from "./refusal-of.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** A call for a job that exists. */
export interface JobCall {
  readonly exchange: Exchange;
  readonly parts: GatewayParts;
  readonly operation: Operation;
  readonly job: Job;
  /** Aborted when nobody needs the answer any more. Default: when the client has left. */
  readonly signal?: AbortSignal;
}

/** What is asked of whom. */
export interface JobQuestion {
  readonly parts: Pick<GatewayParts, "index">;
  readonly operation: Pick<Operation, "id">;
  readonly job: Job;
}

/** Where a job is asked about. */
export interface JobPlace {
  readonly record: InstanceRecord;
  readonly path: string;
}

/** To the first byte of what a server keeps in a table: clients of a list wait for the slowest of all instances. */
const lookMs = 5_000;
/** When the instance may be back. */
const retryAfterSeconds = 10;

/**
 * Asks the instance that made a job, and no other: nobody else knows it.
 * @throws NexusError `no_instance_available` while it is away, `not_found` when it does not know the job any more.
 */
export async function askJob(call: JobCall, query = ""): Promise<UpstreamAnswer> {
  const { exchange, parts, job } = call;
  const startedAt = exchange.clock.monotonic();
  const note = (failure: string | undefined) => {
    const startMs = startedAt - exchange.startedAt;
    const durationMs = exchange.clock.monotonic() - startedAt;
    exchange.attempts.push({ instance: job.instance, failure, startMs, durationMs });
  };
  try {
    const answer = await send(call, query);
    note(undefined);
    return answer;
  } catch (error) {
    if (!(error instanceof AttemptFailure)) throw error;
    note(error.kind);
    if (error.status === 404) throw unknownThere(job);
    if (error.kind !== "status") parts.hurryProbe(job.instance);
    throw error.kind === "status" && error.status !== 503 ? error.error : away(job, error.message);
  }
}

/**
 * The instance of a job, and where it takes the operation.
 * @throws NexusError `no_instance_available` while it is away, `unsupported_feature` when it does not offer this.
 */
export function placeOf({ parts, operation, job }: JobQuestion): JobPlace {
  const record = parts.index().snapshot.instances.get(job.instance);
  if (record === undefined) throw away(job, "it is not in the registry");
  const endpoint = record.metadata.endpoints.find(({ operation_id }) => operation_id === operation.id);
  if (endpoint === undefined) {
    throw new NexusError("unsupported_feature", `The service that made this ${job.kind} does not offer this.`);
  }
  return { record, path: endpoint.path.replace("{id}", encodeURIComponent(job.backendId)) };
}

async function send(call: JobCall, query: string): Promise<UpstreamAnswer> {
  const { exchange, parts, operation } = call;
  const { record, path } = placeOf(call);
  const { timeouts } = parts.settings;
  const firstTokenMs = operation.answers.includes("media") ? operation.firstTokenMs : lookMs;
  const answer = await parts.upstreams.send(record, {
    method: operation.method,
    path: path + query,
    headers: {
      accept: "*/*",
      "x-request-id": exchange.id,
      traceparent: toTraceparent(exchange.trace),
      ...rangeOf(exchange),
    },
    body: null,
    signal: call.signal ?? exchange.signal,
    timeouts: timeoutsFor(operation.id, [timeouts], { ...timeouts, firstTokenMs }),
  });
  const refusal = isDone(operation, answer) ? undefined : refusalOf(answer);
  if (refusal === undefined) return answer;
  answer.discard();
  throw refusal;
}

/** Whether the call was of use. What is not there any more is deleted. */
export function isDone({ method }: Operation, { status }: Pick<UpstreamAnswer, "status">): boolean {
  return status < 300 || (method === "DELETE" && status === 404);
}

/** Which part of a film the client wants: its player jumps about in it. Of a head alone there are no parts. */
function rangeOf({ request }: Exchange): Record<string, string> {
  const headers: Record<string, string> = {};
  if (request.method !== "GET") return headers;
  for (const name of ["range", "if-range"]) {
    const value = request.header(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

function away({ kind, instance }: Job, detail: string): NexusError {
  return new NexusError(
    "no_instance_available",
    `The service that makes this ${kind} is away; the ${kind} is there again when it comes back. Ask later.`,
    { detail: `${instance}: ${detail}`, retryAfterSeconds },
  );
}

function unknownThere({ id, kind, instance }: Job): NexusError {
  return new NexusError("not_found", `The service that made the ${kind} '${id}' does not have it any more.`, {
    detail: instance,
  });
}
