import type { Clock } from "../base/clock.ts";

/** The promise's outcome, or a rejection after `ms`. What comes later is ignored, failures included. */
export async function within<T>(promise: Promise<T>, ms: number, clock: Clock): Promise<T> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(ms, () => reject(new Error(`no answer within ${ms} ms`)));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}
