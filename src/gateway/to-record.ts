import type { RecordedCandidate, RecordedRejection, RecordedScore, RequestRecord } from "../records/request-record.ts";
import type { Candidate, CandidateScore, Rejection, RoutePlan } from "../routing/route-plan.ts";
import type { Exchange } from "./exchange.ts";

/** Instances that a record lists; what is beyond them is counted. */
const candidatesMax = 20;
const rejectedMax = 50;

export interface Outcome {
  readonly status: number;
  readonly durationMs: number;
  /** The gateway that served it. */
  readonly gateway: string;
  /** Milliseconds since 1970 when it ended. */
  readonly endedAt: number;
}

/** What is kept of an exchange that has ended. */
export function toRecord(exchange: Exchange, outcome: Outcome): RequestRecord {
  const { startedAt, readAt, queueMs, firstByteAt, usage, plan, caller } = exchange;
  const since = (at: number) => roundMs(at - startedAt);
  return {
    id: exchange.id,
    trace_id: exchange.trace.traceId,
    at: new Date(outcome.endedAt - outcome.durationMs).toISOString(),
    gateway: outcome.gateway,
    operation: exchange.operation,
    status: outcome.status,
    ...defined({
      code: exchange.errorCode,
      detail: exchange.errorDetail,
      key: caller?.keyId,
      tenant: caller?.key?.tenant.name,
      class: exchange.class,
      cost_microusd: exchange.costMicroUsd,
      model: exchange.model,
      resolved_model: plan?.model,
      route: plan?.route?.name,
      instance: exchange.instance,
      tokens: usage && { prompt: usage.promptTokens, completion: usage.completionTokens },
    }),
    stream: exchange.stream,
    ...recordedChoice(plan, exchange.operation),
    attempts: exchange.attempts.map(({ instance, failure, startMs, durationMs }) => ({
      instance,
      outcome: failure ?? "ok",
      start_ms: roundMs(startMs),
      duration_ms: roundMs(durationMs ?? Math.max(0, outcome.durationMs - startMs)),
    })),
    notes: [...exchange.notes],
    timings_ms: {
      ...defined({
        read: readAt === undefined ? undefined : since(readAt),
        queue: queueMs === undefined ? undefined : roundMs(queueMs),
        first_byte: firstByteAt === undefined ? undefined : since(firstByteAt),
      }),
      total: roundMs(outcome.durationMs),
    },
    bytes_in: exchange.bytesIn,
    bytes_out: exchange.bytesOut,
  };
}

/** Where a plan says that a request for an operation can go, and where not. */
export function recordedChoice(
  plan: RoutePlan | undefined,
  operation: string,
): Pick<RequestRecord, "candidates" | "rejected" | "omitted"> {
  if (plan === undefined) return { candidates: [], rejected: [], omitted: 0 };
  const { candidates, rejected } = plan;
  return {
    candidates: candidates.slice(0, candidatesMax).map((candidate) => recordedCandidate(candidate, operation)),
    rejected: rejected.slice(0, rejectedMax).map(recordedRejection),
    omitted: plan.omitted + Math.max(0, candidates.length - candidatesMax) + Math.max(0, rejected.length - rejectedMax),
  };
}

function recordedCandidate({ key, operationId, why }: Candidate, operation: string): RecordedCandidate {
  return { instance: key, ...(operationId === operation ? {} : { via: operationId }), why: recordedScore(why) };
}

function recordedScore(score: CandidateScore): RecordedScore {
  const { coldStartMs } = score;
  return {
    tier: score.tier,
    weight: score.weight,
    unknown_features: score.unknownFeatures,
    state: score.state,
    ...(coldStartMs === undefined ? {} : { cold_start_ms: coldStartMs }),
    wait_ms: score.waitMs,
    in_flight: score.inFlight,
    limit: score.limit,
    penalty: score.penalty,
    full: score.full,
    load: score.load,
    affinity: score.affinity,
  };
}

function recordedRejection({ key, reason, text }: Rejection): RecordedRejection {
  return { instance: key, reason, text };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the fields that are not known: an absent field says so in fewer bytes. */
function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}

/** Milliseconds to the hundredth: finer is noise. */
export function roundMs(ms: number): number {
  return Math.round(ms * 100) / 100;
}
