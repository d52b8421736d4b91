import { NexusError } from "../base/errors.ts";
import { type AttemptEffects, attempt, type Keyed, type Run, type TryLimits } from "./attempt.ts";
import { type AttemptFailure, clientClosed, exhausted, isAttemptFailure } from "./attempt-failure.ts";
import { raceHedge } from "./race-hedge.ts";

/**
 * Tries candidates until one begins to answer. A request is sent again only before the first byte of an answer, to
 * another candidate; to the same one only when there is no other and its connection was reset, as happens when a
 * server closes an idle connection at the moment it is used.
 * @throws the `NexusError` of the last failure, `exhausted` when nothing was left to try; what `next` throws;
 * `first_token_timeout` at the deadline; `client_closed`.
 */
export async function tryCandidates<C extends Keyed, A>(effects: AttemptEffects<C, A>, limits: TryLimits): Promise<A> {
  const deadline = openDeadline(limits);
  const run: Run<C, A> = { effects, limits, signal: deadline.signal, tried: new Set(), sent: 0 };
  let failure: AttemptFailure | undefined;
  let lastKey = "";
  let isRepeated = false;
  try {
    for (;;) {
      if (run.signal.aborted) throw clientClosed();
      if (failure !== undefined && run.sent >= limits.attemptsMax) throw exhausted(failure);
      const giveBack = failure && (await takeRetry(failure, run));
      if (failure !== undefined && giveBack === undefined) throw failure.error;
      try {
        let slot = effects.next(run.tried);
        if (slot === undefined && failure?.kind === "reset" && !isRepeated) {
          isRepeated = true;
          run.tried.delete(lastKey);
          slot = effects.next(run.tried);
        }
        if (slot === undefined) throw failure === undefined ? noCandidate() : exhausted(failure);
        const taken = slot instanceof Promise ? await slot : slot;
        lastKey = taken.candidate.key;
        return await (limits.hedgeAfterMs === undefined ? attempt(taken, run) : raceHedge(taken, run));
      } catch (thrown) {
        if (!isAttemptFailure(thrown)) throw thrown;
        failure = thrown;
      } finally {
        giveBack?.();
      }
    }
  } catch (error) {
    if (limits.signal.aborted) throw clientClosed();
    if (deadline.signal.aborted) throw deadlineError();
    throw error;
  } finally {
    deadline.close();
  }
}

/**
 * A request whose connection failed was not served by anybody and waits for its turn. One that met an overloaded or
 * slow instance may add to the overload: it is sent again only if the budget has room at once.
 */
async function takeRetry<C extends Keyed, A>(
  failure: AttemptFailure,
  { limits, signal }: Run<C, A>,
): Promise<(() => void) | undefined> {
  const isLost = failure.kind === "refused" || failure.kind === "reset" || failure.kind === "connect_timeout";
  return isLost ? await limits.budget.waitForRetry(signal) : limits.budget.tryRetry();
}

/** The client's signal, aborted at the deadline too until `close` is called. */
function openDeadline({ signal, clock, deadlineAt }: TryLimits): { signal: AbortSignal; close: () => void } {
  if (deadlineAt === undefined || deadlineAt === Number.POSITIVE_INFINITY) return { signal, close: () => {} };
  const controller = new AbortController();
  const cancel = clock.after(deadlineAt - clock.monotonic(), () => controller.abort());
  return { signal: AbortSignal.any([signal, controller.signal]), close: cancel };
}

function deadlineError(): NexusError {
  return new NexusError("first_token_timeout", "No instance began to answer by the request's deadline.");
}

function noCandidate(): RangeError {
  return new RangeError("tryCandidates needs at least one candidate");
}
