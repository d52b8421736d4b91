/**
 * Looks every 10 ms until it finds something, and returns that. For what sends no event. The limit bounds a hang and
 * measures nothing: it is long enough for a machine that is slow and busy.
 *
 * @param what What is waited for. A function is asked when it did not come, and may name what was seen last.
 * @param withinMs For what takes longer by nature, as a model that is loaded.
 * @throws Error that names it when it is not there in time; and what `look` throws.
 */
export async function waitFor<T>(
  what: string | (() => string),
  look: () => T | Promise<T>,
  withinMs = 30_000,
): Promise<Found<T>> {
  const end = performance.now() + withinMs;
  do {
    const found = await look();
    if (found) return found as Found<T>;
    await new Promise((resolve) => setTimeout(resolve, 10));
  } while (performance.now() < end);
  throw new Error(`${typeof what === "string" ? what : what()}: not within ${withinMs / 1_000} s`);
}

type Found<T> = Exclude<T, undefined | null | false | 0 | "">;
