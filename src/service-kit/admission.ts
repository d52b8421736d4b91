import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";

/** Gives a slot back. Calling it twice frees one slot. */
export type Release = () => void;

/** The slots of one service and the queue in front of them. */
export interface Admission {
  /**
   * Waits for a slot, first come, first served. The caller releases it when the work has truly ended.
   * @throws NexusError `queue_full` with `Retry-After` when the queue is full; the signal's reason when it aborts.
   */
  acquire(signal: AbortSignal): Promise<Release>;
  active(): number;
  queued(): number;
}

/** Weight of the newest holding time in the running mean: about the last five requests count. */
const newestWeight = 0.2;

/** `slots` requests at once, `queueMax` that wait. */
export function createAdmission(slots: number, queueMax: number, clock: Clock): Admission {
  // A set keeps insertion order and forgets a waiter that left in constant time.
  const waiting = new Set<() => void>();
  let active = 0;
  let meanHoldMs: number | undefined;

  const retryAfterSeconds = (): number => {
    const perSlotMs = (meanHoldMs ?? 1000) / slots;
    return Math.min(60, Math.max(1, Math.ceil(perSlotMs / 1000)));
  };
  const take = (): Release => {
    active++;
    const since = clock.monotonic();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      active--;
      const heldMs = clock.monotonic() - since;
      meanHoldMs = meanHoldMs === undefined ? heldMs : meanHoldMs + newestWeight * (heldMs - meanHoldMs);
      const [next] = waiting;
      next?.();
    };
  };

  return {
    async acquire(signal) {
      signal.throwIfAborted();
      if (active < slots) return take();
      if (waiting.size >= queueMax) {
        throw new NexusError("queue_full", `All ${slots} slots are taken and ${queueMax} requests wait. Try again.`, {
          retryAfterSeconds: retryAfterSeconds(),
        });
      }
      return await new Promise<Release>((resolve, reject) => {
        const leave = (): void => {
          waiting.delete(enter);
          reject(signal.reason);
        };
        const enter = (): void => {
          waiting.delete(enter);
          signal.removeEventListener("abort", leave);
          resolve(take());
        };
        waiting.add(enter);
        signal.addEventListener("abort", leave, { once: true });
      });
    },
    active: () => active,
    queued: () => waiting.size,
  };
}
