import type { AdmissionAsk, Slot } from "../resilience/admission.ts";
import type { Attempt, AttemptEffects } from "../resilience/attempt.ts";
import { AttemptFailure } from "../resilience/attempt-failure.ts";
import type { InstanceCondition } from "../resilience/instance-conditions.ts";
import { tryCandidates } from "../resilience/try-candidates.ts";
import { nextGroup } from "../routing/next-group.ts";
import type { Candidate, RoutePlan } from "../routing/route-plan.ts";
import { isPaid } from "../routing/static-filter.ts";
import type { Ask, Way } from "./ask.ts";
import { type AttemptRecord, tenantOf } from "./exchange.ts";
import { plannedRoute, type Question } from "./plan-request.ts";

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

/**
 * Finds an instance that begins to answer: plans, waits for a slot, tries. `onPlanned` is called once it is known that
 * the request can be served by somebody.
 * @throws NexusError when it can go nowhere, would wait too long, or everybody failed it.
 */
export async function dispatch<A>(
  question: Question,
  opener: Opener<A>,
  onPlanned: () => void | Promise<void>,
): Promise<Begun<A>> {
  const { exchange, ask, parts } = question;
  const plan = plannedRoute(question);
  const wait = onPlanned();
  if (wait !== undefined) await wait;
  return await tryCandidates(new Dispatch(question, opener, plan), {
    attemptsMax: parts.settings.retry.attemptsMax,
    budget: parts.retryBudget,
    signal: exchange.signal,
    clock: exchange.clock,
    deadlineAt: exchange.deadlineAt,
    hedgeAfterMs: ask.operation.idempotent ? plan.route?.hedgeAfterMs : undefined,
  });
}

/** What the attempts of one request do to the world. */
class Dispatch<A> implements AttemptEffects<Candidate, Begun<A>> {
  readonly #question: Question;
  readonly #opener: Opener<A>;
  readonly #first: RoutePlan;
  /** The plan at hand; later slots come from the fleet as it is by then. */
  #plan: RoutePlan | undefined;

  constructor(question: Question, opener: Opener<A>, plan: RoutePlan) {
    this.#question = question;
    this.#opener = opener;
    this.#first = plan;
    this.#plan = plan;
  }

  next(tried: ReadonlySet<string>): Slot<Candidate> | Promise<Slot<Candidate>> | undefined {
    const { admission } = this.#question.parts;
    const candidates = this.#candidatesBut(tried);
    if (candidates.length === 0) return undefined;
    const slot = admission.admit(this.#askFor(tried, candidates));
    return slot instanceof Promise ? slot.then((late) => this.#counted(late)) : this.#counted(slot);
  }

  nextNow(tried: ReadonlySet<string>): Slot<Candidate> | undefined {
    const { admission } = this.#question.parts;
    // A hedge saves time; it is not worth a tier that is there for when this one fails, and may cost money.
    const tier = this.#first.candidates[0]?.why.tier;
    const candidates = this.#candidatesBut(tried).filter(({ why }) => why.tier === tier);
    return candidates.length === 0 ? undefined : admission.tryAdmit(this.#askFor(tried, candidates));
  }

  async send({ slot, signal }: Attempt<Candidate>): Promise<Begun<A>> {
    const { exchange, ask, parts } = this.#question;
    const { candidate } = slot;
    const { key, model, record } = candidate;
    const condition = parts.conditions.of(key);
    const way = wayFor(candidate, ask, condition.refusesToCount);
    const startedAt = exchange.clock.monotonic();
    const startMs = startedAt - exchange.startedAt;
    const tried: AttemptRecord = { instance: key, failure: "cancelled", startMs, durationMs: undefined };
    exchange.attempts.push(tried);
    condition.begin();
    try {
      const answer = await this.#opener.open(candidate, way, signal);
      tried.failure = undefined;
      tried.durationMs = exchange.clock.monotonic() - startedAt;
      exchange.instance = key;
      exchange.served = { model: model.id, service: record.service };
      parts.metrics.attempt(record.service, "ok");
      const wasLoaded = model.state === "loaded";
      parts.coldStarts.note({ model: model.id, host: record.host, wasLoaded, firstByteMs: tried.durationMs });
      return new Begun({ candidate, way, answer }, condition, slot);
    } catch (error) {
      const elapsedMs = exchange.clock.monotonic() - startedAt;
      tried.durationMs = elapsedMs;
      if (error instanceof AttemptFailure) {
        tried.failure = error.kind;
        condition.fail(error, elapsedMs);
      } else condition.withdraw();
      throw error;
    }
  }

  failed(candidate: Candidate, failure: AttemptFailure): void {
    const { exchange, ask, parts } = this.#question;
    parts.metrics.attempt(candidate.record.service, failure.kind);
    if (failure.kind !== "status") parts.hurryProbe(candidate.key);
    exchange.log.warn(
      { instance: candidate.key, reason: failure.kind, status: failure.status, detail: failure.message },
      "attempt failed",
    );
    // Minutes of a GPU or money are not spent twice: only what never reached anybody is sent again.
    if (ask.operation.costly && failure.kind !== "refused") throw failure.error;
  }

  discard(begun: Begun<A>): void {
    this.#opener.discard(begun.answer);
    begun.withdraw();
  }

  hedged({ key }: Candidate, hasWon: boolean): void {
    this.#question.exchange.notes.push(`hedged: ${key} ${hasWon ? "answered first" : "was not needed"}`);
  }

  #candidatesBut(tried: ReadonlySet<string>): readonly Candidate[] {
    const { candidates } = this.#plan ?? plannedRoute(this.#question);
    this.#plan = undefined;
    const { suits } = this.#question.ask;
    return nextGroup(suits === undefined ? candidates : candidates.filter(suits), tried);
  }

  /** `known`: the candidates as of now. */
  #askFor(tried: ReadonlySet<string>, known: readonly Candidate[]): AdmissionAsk<Candidate> {
    const { exchange, ask } = this.#question;
    let fresh: readonly Candidate[] | undefined = known;
    return {
      model: this.#first.model,
      class: exchange.class,
      tenant: tenantOf(exchange),
      kind: kindOf(ask),
      deadlineAt: exchange.deadlineAt ?? Number.POSITIVE_INFINITY,
      signal: exchange.signal,
      isRetry: tried.size > 0,
      candidates: () => {
        const now = fresh ?? this.#candidatesBut(tried);
        fresh = undefined;
        return now;
      },
    };
  }

  #counted(slot: Slot<Candidate>): Slot<Candidate> {
    const { exchange } = this.#question;
    exchange.queueMs = (exchange.queueMs ?? 0) + slot.queuedMs;
    return slot;
  }
}

/** Requests of one kind can be served by the same instances. */
function kindOf({ operation, needs }: Ask): string {
  let kind = operation.id;
  for (const need in needs) if (needs[need] === true) kind += ` ${need}`;
  return kind;
}

/** What costs money is paid by the token, so those are not estimated where somebody counts them. */
function wayFor(candidate: Candidate, ask: Ask, refusesToCount: boolean): Way {
  const way = ask.ways.find(({ operationId }) => operationId === candidate.operationId);
  if (way === undefined) throw new RangeError(`the plan names ${candidate.operationId}, which was not offered to it`);
  return isPaid(candidate.record) && !refusesToCount ? (way.counting ?? way) : way;
}

/** An instance that has begun to answer. It is held until one of the three ends is called; the first one counts. */
export class Begun<A> {
  readonly candidate: Candidate;
  readonly way: Way;
  readonly answer: A;
  readonly #condition: InstanceCondition;
  readonly #slot: Slot<Candidate>;
  #hasEnded = false;

  constructor(
    { candidate, way, answer }: { readonly candidate: Candidate; readonly way: Way; readonly answer: A },
    condition: InstanceCondition,
    slot: Slot<Candidate>,
  ) {
    this.candidate = candidate;
    this.way = way;
    this.answer = answer;
    this.#condition = condition;
    this.#slot = slot;
  }

  /** Good to its last byte. */
  succeed(): void {
    if (!this.#isFirstEnd()) return;
    this.#condition.succeed();
    this.#slot.release();
  }

  /** Began and broke off or stalled. */
  breakOff(reason: string): void {
    if (!this.#isFirstEnd()) return;
    this.#condition.breakOff(reason);
    this.#slot.release();
  }

  /** Ended in a way that says nothing about the instance. */
  withdraw(): void {
    if (!this.#isFirstEnd()) return;
    this.#condition.withdraw();
    this.#slot.release();
  }

  #isFirstEnd(): boolean {
    const isFirst = !this.#hasEnded;
    this.#hasEnded = true;
    return isFirst;
  }
}
