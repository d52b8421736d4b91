/**
 * The least of several measurements: a machine that is busy with something else only ever adds to what is measured, so
 * one quiet moment shows what a promise of so many milliseconds is worth.
 */
export async function leastOf(count: number, measureMs: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let trial = 0; trial < count; trial++) least = Math.min(least, await measureMs());
  return least;
}
