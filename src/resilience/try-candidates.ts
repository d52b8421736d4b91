import { type AttemptFailure, clientClosed, isAttemptFailure } from "./attempt-failure.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** What the loop does to the world. */
export interface AttemptEffects<C, A> {
  /**
   * Sends the request to one candidate and answers once the first byte of a good answer is there.
   * @throws AttemptFailure when another candidate may do better; anything else ends the loop.
   */
  send(candidate: C, attempt: number): Promise<A>;
  /** Told of every attempt that failed, before the next one. */
  failed(candidate: C, failure: AttemptFailure): void;
}

export interface TryLimits {
  readonly attemptsMax: number;
  readonly budget: RetryBudget;
  /** The client's: once aborted nothing more is sent. */
  readonly signal: AbortSignal;
}

/**
 * Tries candidates in order until one begins to answer. A request is sent again only before the first byte of an
 * answer, to another candidate; to the same one only when there is no other and its connection was reset, as happens
 * when a server closes an idle connection at the moment it is used.
 * @throws the `NexusError` of the last failure, or `client_closed`.
 */
export async function tryCandidates<C, A>(
  candidates: readonly C[],
  effects: AttemptEffects<C, A>,
  limits: TryLimits,
): Promise<A> {
  const waiting = [...candidates];
  let candidate = waiting.shift();
  let failure: AttemptFailure | undefined;
  let giveBack: (() => void) | undefined;
  let repeated = false;
  for (let attempt = 1; candidate !== undefined && attempt <= limits.attemptsMax; attempt++) {
    if (failure !== undefined) {
      giveBack = await takeRetry(failure, limits);
      if (giveBack === undefined) break;
    }
    if (limits.signal.aborted) throw clientClosed();
    try {
      return await effects.send(candidate, attempt);
    } catch (thrown) {
      if (limits.signal.aborted) throw clientClosed();
      if (!isAttemptFailure(thrown)) throw thrown;
      failure = thrown;
      effects.failed(candidate, failure);
    } finally {
      giveBack?.();
    }
    const mayRepeat = failure.kind === "reset" && !repeated && waiting.length === 0;
    if (mayRepeat) repeated = true;
    else candidate = waiting.shift();
  }
  if (limits.signal.aborted) throw clientClosed();
  if (failure === undefined) throw new RangeError("tryCandidates needs at least one candidate and one attempt");
  throw failure.error;
}

/**
 * A request whose connection failed was not served by anybody and waits for its turn. One that met an overloaded or
 * slow instance may add to the overload: it is sent again only if the budget has room at once.
 */
async function takeRetry(failure: AttemptFailure, { budget, signal }: TryLimits): Promise<(() => void) | undefined> {
  const isLost = failure.kind === "refused" || failure.kind === "reset" || failure.kind === "connect_timeout";
  return isLost ? await budget.waitForRetry(signal) : budget.tryRetry();
}
