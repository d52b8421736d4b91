import type { Slot } from "./admission.ts";
import type { Keyed } from "./attempt.ts";

/** Candidates one after the other, each with a slot that nobody counts: for attempts without admission. */
export function inOrder<C extends Keyed>(
  candidates: readonly C[],
): (tried: ReadonlySet<string>) => Slot<C> | undefined {
  return (tried) => {
    const candidate = candidates.find(({ key }) => !tried.has(key));
    return candidate && { candidate, queuedMs: 0, release: () => {} };
  };
}
