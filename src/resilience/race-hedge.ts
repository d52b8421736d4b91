import type { Slot } from "./admission.ts";
import { attempt, type Keyed, type Run } from "./attempt.ts";
import { isAttemptFailure } from "./attempt-failure.ts";

/**
 * An attempt that is joined by a second one of another candidate when it has not answered after `hedgeAfterMs`, if a
 * slot is free at once and the retry budget allows it. The first good answer wins, the other attempt is cancelled.
 * @throws what the last of them throws when none answers.
 */
export function raceHedge<C extends Keyed, A>(first: Slot<C>, run: Run<C, A>): Promise<A> {
  const { effects, limits } = run;
  const { promise, resolve, reject } = Promise.withResolvers<A>();
  const underWay = new Set<AbortController>();
  let isOver = false;
  const end = (settle: () => void) => {
    isOver = true;
    cancelTimer();
    for (const controller of underWay) controller.abort();
    settle();
  };
  const start = async (slot: Slot<C>, isHedge: boolean): Promise<void> => {
    const controller = new AbortController();
    underWay.add(controller);
    try {
      const answer = await attempt(slot, run, { isHedge, signal: AbortSignal.any([run.signal, controller.signal]) });
      underWay.delete(controller);
      if (isHedge) effects.hedged?.(slot.candidate, !isOver);
      if (!isOver) return end(() => resolve(answer));
      effects.discard?.(answer);
      slot.release();
    } catch (thrown) {
      underWay.delete(controller);
      if (isHedge && controller.signal.aborted) effects.hedged?.(slot.candidate, false);
      if (!isOver && (underWay.size === 0 || !isAttemptFailure(thrown))) end(() => reject(thrown));
    }
  };
  const hedge = async () => {
    if (run.sent >= limits.attemptsMax) return;
    const giveBack = limits.budget.tryRetry();
    if (giveBack === undefined) return;
    try {
      const slot = effects.nextNow?.(run.tried);
      if (slot !== undefined) await start(slot, true);
    } catch {
      // Nobody else can serve it: the first attempt is all there is.
    } finally {
      giveBack();
    }
  };
  const cancelTimer = limits.clock.after(limits.hedgeAfterMs ?? 0, () => void hedge());
  void start(first, false);
  return promise;
}
