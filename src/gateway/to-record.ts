import type { KeptRequest } from "../records/record-store.ts";
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

/**
 * What is kept of an exchange that has ended: only what its record is written from. The exchange itself holds on to its
 * client's connection and to the buffers of its answer.
 */
export class EndedExchange implements KeptRequest {
  readonly id: string;
  readonly model: string | undefined;
  readonly resolvedModel: string | undefined;
  readonly key: string | undefined;
  readonly code: string | undefined;
  readonly isNotable: boolean;
  readonly #outcome: Outcome;
  readonly #facts: Facts;
  readonly #plan: RoutePlan | undefined;

  constructor(exchange: Exchange, outcome: Outcome) {
    const { plan, caller } = exchange;
    this.id = exchange.id;
    this.model = exchange.model;
    this.resolvedModel = plan?.model;
    this.key = caller?.keyId;
    this.code = exchange.errorCode;
    this.isNotable = this.code !== undefined || exchange.attempts.length > 1;
    this.#outcome = outcome;
    this.#facts = factsOf(exchange);
    this.#plan = plan;
  }

  toRecord(): RequestRecord {
    const [facts, { status, durationMs, gateway, endedAt }] = [this.#facts, this.#outcome];
    const { startedAt, readAt, queueMs, firstByteAt, usage } = facts;
    const since = (at: number) => roundMs(at - startedAt);
    return {
      id: this.id,
      trace_id: facts.traceId,
      at: new Date(endedAt - durationMs).toISOString(),
      gateway,
      operation: facts.operation,
      status,
      ...defined({
        code: this.code,
        detail: facts.errorDetail,
        key: this.key,
        tenant: facts.tenant,
        class: facts.class,
        cost_microusd: facts.costMicroUsd,
        model: this.model,
        resolved_model: this.resolvedModel,
        route: facts.route,
        instance: facts.instance,
        tokens: usage && { prompt: usage.promptTokens, completion: usage.completionTokens },
      }),
      stream: facts.stream,
      ...recordedChoice(this.#plan, facts.operation),
      attempts: facts.attempts.map(({ instance, failure, startMs, durationMs: ownMs }) => ({
        instance,
        outcome: failure ?? "ok",
        start_ms: roundMs(startMs),
        duration_ms: roundMs(ownMs ?? Math.max(0, durationMs - startMs)),
      })),
      notes: [...facts.notes],
      timings_ms: {
        ...defined({
          read: readAt === undefined ? undefined : since(readAt),
          queue: queueMs === undefined ? undefined : roundMs(queueMs),
          first_byte: firstByteAt === undefined ? undefined : since(firstByteAt),
        }),
        total: roundMs(durationMs),
      },
      bytes_in: facts.bytesIn,
      bytes_out: facts.bytesOut,
    };
  }
}

type Facts = ReturnType<typeof factsOf>;

function factsOf(exchange: Exchange) {
  return {
    traceId: exchange.trace.traceId,
    operation: exchange.operation,
    errorDetail: exchange.errorDetail,
    tenant: exchange.caller?.key?.tenant.name,
    class: exchange.class,
    costMicroUsd: exchange.costMicroUsd,
    route: exchange.plan?.route?.name,
    instance: exchange.instance,
    usage: exchange.usage,
    stream: exchange.stream,
    attempts: exchange.attempts,
    notes: exchange.notes,
    startedAt: exchange.startedAt,
    readAt: exchange.readAt,
    queueMs: exchange.queueMs,
    firstByteAt: exchange.firstByteAt,
    bytesIn: exchange.bytesIn,
    bytesOut: exchange.bytesOut,
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
