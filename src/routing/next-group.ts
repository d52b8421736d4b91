import type { Candidate } from "./route-plan.ts";

/**
 * The candidates of which a request may take a slot, or for which it waits: what is left of the first group that was not
 * tried to its end. A busy tier is waited for; the next one is for when it fails.
 */
export function nextGroup(candidates: readonly Candidate[], tried: ReadonlySet<string>): readonly Candidate[] {
  const left = tried.size === 0 ? candidates : candidates.filter(({ key }) => !tried.has(key));
  return left.filter(({ group }) => group === left[0]?.group);
}
