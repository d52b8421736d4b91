import { NexusError } from "../base/errors.ts";
import { toTraceparent } from "../base/ids.ts";
import type { Slot } from "../resilience/admission.ts";
import type { Attempt, AttemptEffects } from "../resilience/attempt.ts";
import { AttemptFailure } from "../resilience/attempt-failure.ts";
import type { InstanceCondition } from "../resilience/instance-conditions.ts";
import { tryCandidates } from "../resilience/try-candidates.ts";
import { nextGroup } from "../routing/next-group.ts";
import { planRoute } from "../routing/plan-route.ts";
import type { Candidate, RoutePlan, TokenBound } from "../routing/route-plan.ts";
import { timeoutsFor } from "../routing/timeouts.ts";
import { anthropicHeaders } from "../translate/anthropic-headers.ts";
import type { Ask, Way } from "./ask.ts";
import { modelsAllowed } from "./authenticate.ts";
import { type AttemptRecord, type Exchange, tenantOf } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { refusalOf } from "./refusal-of.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** What is asked for, and by whom. */
export interface Question {
  readonly exchange: Exchange;
  readonly ask: Ask;
  readonly parts: GatewayParts;
}

/** How an instance is asked. `A` is what it begins to answer with. */
export interface Opener<A> {
  /**
   * Asks one instance. Resolves once the answer has begun.
   * @throws AttemptFailure when another instance may do better.
   */
  open(candidate: Candidate, way: Way, signal: AbortSignal): Promise<A>;
  /** Throws an answer away that came after a quicker one. */
  discard(answer: A): void;
}

/** An instance that has begun to answer. It is held until one of the three ends is called; the first one counts. */
export interface Begun<A> {
  readonly candidate: Candidate;
  readonly way: Way;
  readonly answer: A;
  /** Good to its last byte. */
  succeed(): void;
  /** Began and broke off or stalled. */
  breakOff(reason: string): void;
  /** Ended in a way that says nothing about the instance. */
  withdraw(): void;
}

/** Where the request may go now. Decides and does nothing. */
export function planFor({ exchange, ask, parts }: Question): RoutePlan {
  const { admission, coldStarts, conditions } = parts;
  return planRoute(
    {
      operation: ask.operation,
      ways: ask.ways.map(({ operationId }) => operationId),
      model: ask.model,
      needs: ask.needs,
      prefixHash: ask.prefixHash,
      contextTokens: leastTokens(ask),
      isAllowed: modelsAllowed(exchange),
      turn: parts.nextTurn(),
    },
    {
      index: parts.index(),
      aliases: parts.aliases,
      routes: parts.routes,
      wasOffered: parts.wasOffered,
      conditionOf: (key) => conditions.of(key),
      coldStartMsOf: (model, host) => coldStarts.coldStartMs(model, host),
      waitMsOf: (key) => admission.waitMsOf(key),
    },
  );
}

/** No tokenizer in use has more than a few tokens of more bytes than this, runs of blanks apart. */
const bytesPerTokenMax = 16;

function leastTokens({ promptBytes }: Ask): TokenBound | undefined {
  if (promptBytes === undefined) return undefined;
  return { atLeast: Math.floor(promptBytes / bytesPerTokenMax), source: "counted by its bytes" };
}

/**
 * Only names that somebody gave become labels, log fields and rows of usage: clients must not be able to make them up.
 * What only a route's pattern fits goes by the pattern.
 */
export function knownName({ ask, parts }: Question, plan: RoutePlan): string {
  const { model } = ask;
  const isNamed = parts.index().offers.has(model) || Object.hasOwn(parts.aliases, model);
  return isNamed ? model : (plan.route?.name ?? model);
}

/** Where the request goes. @throws NexusError when it can go nowhere. */
function plannedRoute(question: Question): RoutePlan {
  const { exchange } = question;
  const plan = planFor(question);
  exchange.plan ??= plan;
  if (plan.failure?.code !== "model_not_found") exchange.model = knownName(question, plan);
  if (plan.failure !== undefined) {
    const retryAfterSeconds = plan.failure.code === "no_instance_available" ? 2 : undefined;
    throw new NexusError(plan.failure.code, plan.failure.message, {
      ...(plan.failure.code === "no_instance_available" ? {} : { param: "model" }),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      detail: plan.rejected.map(({ key, text }) => `${key}: ${text}`).join("; "),
    });
  }
  refuseWhileLimited(plan, question);
  return plan;
}

/** Instances that asked for so little patience are waited for, in the queue. */
const patienceMs = 1_000;

/** @throws NexusError `rate_limit_exceeded` when everybody who could serve it has asked to be left alone for a while. */
function refuseWhileLimited({ candidates }: RoutePlan, { ask, parts }: Question): void {
  if (candidates[0]?.lastResort !== true) return;
  const leftMs = Math.min(...candidates.map(({ key }) => parts.conditions.of(key).limitedForMs));
  if (leftMs <= patienceMs) return;
  const retryAfterSeconds = Math.ceil(leftMs / 1_000);
  throw new NexusError(
    "rate_limit_exceeded",
    `Every instance of '${ask.model}' is at its limit. Try again in ${retryAfterSeconds} s.`,
    { retryAfterSeconds },
  );
}

/**
 * Finds an instance that begins to answer: plans, waits for a slot, tries. `onPlanned` is called once it is known that
 * the request can be served by somebody.
 * @throws NexusError when it can go nowhere, would wait too long, or everybody failed it.
 */
export async function dispatch<A>(
  question: Question,
  opener: Opener<A>,
  onPlanned: () => Promise<void>,
): Promise<Begun<A>> {
  const { exchange, ask, parts } = question;
  const plan = plannedRoute(question);
  await onPlanned();
  const { route } = plan;
  return await tryCandidates(effectsOf(question, opener, plan), {
    attemptsMax: parts.settings.retry.attemptsMax,
    budget: parts.retryBudget,
    signal: exchange.signal,
    clock: exchange.clock,
    deadlineAt: exchange.deadlineAt,
    hedgeAfterMs: ask.operation.idempotent ? route?.hedgeAfterMs : undefined,
  });
}

function effectsOf<A>(question: Question, opener: Opener<A>, first: RoutePlan): AttemptEffects<Candidate, Begun<A>> {
  const { exchange, ask, parts } = question;
  const admissions = openAdmissions(question, first);
  return {
    ...admissions,
    send: (attempt) => send(attempt, question, opener),
    failed(candidate, failure) {
      parts.metrics.attempt(candidate.record.service, failure.kind);
      if (failure.kind !== "status") parts.hurryProbe(candidate.key);
      exchange.log.warn(
        { instance: candidate.key, reason: failure.kind, status: failure.status, detail: failure.message },
        "attempt failed",
      );
      // Minutes of a GPU or money are not spent twice: only what never reached anybody is sent again.
      if (ask.operation.costly && failure.kind !== "refused") throw failure.error;
    },
    discard(begun) {
      opener.discard(begun.answer);
      begun.withdraw();
    },
    hedged: (candidate, hasWon) =>
      void exchange.notes.push(`hedged: ${candidate.key} ${hasWon ? "answered first" : "was not needed"}`),
  };
}

/** How the request gets its slots: the first from the plan at hand, later ones from the fleet as it is by then. */
function openAdmissions(
  question: Question,
  first: RoutePlan,
): Pick<AttemptEffects<Candidate, unknown>, "next" | "nextNow"> {
  const { exchange, ask, parts } = question;
  let plan: RoutePlan | undefined = first;
  const candidatesBut = (tried: ReadonlySet<string>) => {
    const { candidates } = plan ?? plannedRoute(question);
    plan = undefined;
    const { suits } = ask;
    const suited = suits === undefined ? candidates : candidates.filter(suits);
    return nextGroup(suited, tried);
  };
  const askFor = (tried: ReadonlySet<string>, known: readonly Candidate[]) => {
    let fresh: readonly Candidate[] | undefined = known;
    return {
      model: first.model,
      class: exchange.class,
      tenant: tenantOf(exchange),
      kind: kindOf(ask),
      deadlineAt: exchange.deadlineAt ?? Number.POSITIVE_INFINITY,
      signal: exchange.signal,
      isRetry: tried.size > 0,
      candidates() {
        const now = fresh ?? candidatesBut(tried);
        fresh = undefined;
        return now;
      },
    };
  };
  const counted = (slot: Slot<Candidate>) => {
    exchange.queueMs = (exchange.queueMs ?? 0) + slot.queuedMs;
    return slot;
  };
  return {
    next(tried) {
      const candidates = candidatesBut(tried);
      if (candidates.length === 0) return undefined;
      const slot = parts.admission.admit(askFor(tried, candidates));
      return slot instanceof Promise ? slot.then(counted) : counted(slot);
    },
    nextNow(tried) {
      // A hedge saves time; it is not worth a tier that is there for when this one fails, and may cost money.
      const candidates = candidatesBut(tried).filter(({ why }) => why.tier === first.candidates[0]?.why.tier);
      return candidates.length === 0 ? undefined : parts.admission.tryAdmit(askFor(tried, candidates));
    },
  };
}

/** Requests of one kind can be served by the same instances. */
function kindOf({ operation, needs }: Ask): string {
  let kind = operation.id;
  for (const need of Object.keys(needs)) if (needs[need] === true) kind += ` ${need}`;
  return kind;
}

async function send<A>(attempt: Attempt<Candidate>, question: Question, opener: Opener<A>): Promise<Begun<A>> {
  const { exchange, parts } = question;
  const { slot, signal } = attempt;
  const { candidate } = slot;
  const way = wayFor(candidate, question.ask);
  const condition = parts.conditions.of(candidate.key);
  const startedAt = exchange.clock.monotonic();
  const startMs = startedAt - exchange.startedAt;
  const tried: AttemptRecord = { instance: candidate.key, failure: "cancelled", startMs, durationMs: undefined };
  exchange.attempts.push(tried);
  const note = (failure: string | undefined) => {
    const durationMs = exchange.clock.monotonic() - startedAt;
    Object.assign(tried, { failure, durationMs });
    return durationMs;
  };
  condition.begin();
  try {
    const answer = await opener.open(candidate, way, signal);
    const firstByteMs = note(undefined);
    exchange.instance = candidate.key;
    exchange.served = { model: candidate.model.id, service: candidate.record.service };
    parts.metrics.attempt(candidate.record.service, "ok");
    const { model, record } = candidate;
    parts.coldStarts.note({ model: model.id, host: record.host, wasLoaded: model.state === "loaded", firstByteMs });
    return { candidate, way, answer, ...endings(condition, slot) };
  } catch (error) {
    if (error instanceof AttemptFailure) condition.fail(error, note(error.kind));
    else {
      note("cancelled");
      condition.withdraw();
    }
    throw error;
  }
}

function endings(
  condition: InstanceCondition,
  slot: Slot<Candidate>,
): Pick<Begun<unknown>, "succeed" | "breakOff" | "withdraw"> {
  let hasEnded = false;
  const end = (say: () => void) => {
    if (hasEnded) return;
    hasEnded = true;
    say();
    slot.release();
  };
  return {
    succeed: () => end(() => condition.succeed()),
    breakOff: (reason) => end(() => condition.breakOff(reason)),
    withdraw: () => end(() => condition.withdraw()),
  };
}

function wayFor(candidate: Candidate, ask: Ask): Way {
  const way = ask.ways.find(({ operationId }) => operationId === candidate.operationId);
  if (way === undefined) throw new RangeError(`the plan names ${candidate.operationId}, which was not offered to it`);
  return way;
}

/** Asks over HTTP. Resolves with an answer that is no refusal. */
export function httpOpener(question: Question): Opener<UpstreamAnswer> {
  const { exchange, ask, parts } = question;
  return {
    async open(candidate, way, signal) {
      const answer = await parts.upstreams.send(candidate.record, {
        method: ask.operation.method,
        path: candidate.endpoint.path,
        headers: {
          "content-type": way.contentType,
          accept: ask.stream ? "text/event-stream" : "*/*",
          "x-request-id": exchange.id,
          traceparent: toTraceparent(exchange.trace),
          ...dialectHeaders(question, candidate),
        },
        body: way.bodyFor(candidate.model.id),
        signal,
        timeouts: timeoutsFor(ask.operation.id, [exchange.plan?.route?.timeouts, parts.settings.timeouts], {
          ...parts.settings.timeouts,
          firstTokenMs: ask.operation.firstTokenMs,
        }),
      });
      const refusal = refusalOf(answer);
      if (refusal === undefined) return answer;
      answer.discard();
      throw refusal;
    },
    discard: (answer) => answer.discard(),
  };
}

/** What a server that is asked in its own client's words has to know besides the body. */
function dialectHeaders({ exchange, ask }: Question, { record, operationId }: Candidate) {
  const isNative = exchange.dialect.id === "anthropic" && operationId === ask.operation.id;
  return isNative && record.dialect === "anthropic" ? anthropicHeaders(exchange.request.rawHeaders) : {};
}
