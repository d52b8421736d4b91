import type { Clock } from "../base/clock.ts";
import type { Slot } from "./admission.ts";
import { type AttemptFailure, clientClosed, isAttemptFailure } from "./attempt-failure.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** What can be told from others. */
export interface Keyed {
  readonly key: string;
}

/** One try of one candidate. */
export interface Attempt<C> {
  /** Belongs to whoever takes the answer, and is given back at its last byte. After a failure the loop gives it back. */
  readonly slot: Slot<C>;
  /** Counts from 1. */
  readonly number: number;
  /** True when another attempt of the same request is under way. */
  readonly isHedge: boolean;
  /** Aborted when the client left, the deadline passed, or another attempt was quicker. Stays in force after the answer. */
  readonly signal: AbortSignal;
}

/** What the loop does to the world. */
export interface AttemptEffects<C extends Keyed, A> {
  /**
   * A slot of a candidate that is not among `tried`, best first: at once, or after a wait in the queue. Undefined when
   * there is no other candidate. Candidates without a free slot are passed over as long as another has one.
   * @throws NexusError, or rejects with it, when it would wait too long.
   */
  next(tried: ReadonlySet<string>): Slot<C> | Promise<Slot<C>> | undefined;
  /** The same, but never with a wait. Needed for hedging only. */
  nextNow?(tried: ReadonlySet<string>): Slot<C> | undefined;
  /**
   * Sends the request and answers once the first byte of a good answer is there.
   * @throws AttemptFailure when another candidate may do better; anything else ends the loop.
   */
  send(attempt: Attempt<C>): Promise<A>;
  /** Told of every attempt that failed, before the next one. What it throws ends the loop. */
  failed(candidate: C, failure: AttemptFailure): void;
  /** Throws an answer away that came after a quicker one. Needed for hedging only. */
  discard?(answer: A): void;
  /** Told how a second attempt beside the first has ended: it answered first, or it was not needed. */
  hedged?(candidate: C, hasWon: boolean): void;
}

export interface TryLimits {
  readonly attemptsMax: number;
  readonly budget: RetryBudget;
  /** The client's: once aborted nothing more is sent. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** On `clock.monotonic()`: by then an answer must have begun. Default: only each attempt has its deadlines. */
  readonly deadlineAt?: number | undefined;
  /**
   * Milliseconds without an answer after which a second candidate is asked too. Only for requests that may be served
   * twice. Default: never.
   */
  readonly hedgeAfterMs?: number | undefined;
}

/** A request between its first attempt and the first byte of its answer. */
export interface Run<C extends Keyed, A> {
  readonly effects: AttemptEffects<C, A>;
  readonly limits: TryLimits;
  readonly signal: AbortSignal;
  readonly tried: Set<string>;
  sent: number;
}

/**
 * One attempt; its slot is given back unless it brings an answer.
 * @throws AttemptFailure, after telling `failed`; anything else that `send` throws.
 */
export async function attempt<C extends Keyed, A>(
  slot: Slot<C>,
  run: Run<C, A>,
  how: Pick<Attempt<C>, "isHedge" | "signal"> = { isHedge: false, signal: run.signal },
): Promise<A> {
  try {
    if (how.signal.aborted) throw clientClosed();
    run.tried.add(slot.candidate.key);
    run.sent++;
    return await run.effects.send({ slot, number: run.sent, ...how });
  } catch (thrown) {
    slot.release();
    if (how.signal.aborted) throw clientClosed();
    if (isAttemptFailure(thrown)) run.effects.failed(slot.candidate, thrown);
    throw thrown;
  }
}
