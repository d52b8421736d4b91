import { combineHashes } from "./hash.ts";
import type { Standing } from "./live-filter.ts";

/**
 * How far above its fair share an instance may be loaded by requests that prefer it: the factor c of Mirrokni, Thorup
 * and Zadimoghaddam, Consistent Hashing with Bounded Loads (SODA 2018). With 1.25 no instance has more than a quarter
 * above its share, and all but a few requests go where they prefer to.
 */
const loadFactor = 1.25;

/**
 * The instance that requests with this beginning prefer, so that one cache answers them all: the highest of weighted
 * random numbers that depend on request and instance only (rendezvous hashing: Thaler and Ravishankar, 1998; weights by
 * Schindelhauer and Schomaker, 2005). When an instance comes or goes, only its own requests move. One whose load would
 * exceed the bound is passed over for the next; undefined when all of them are.
 */
export function pickAffine(standings: readonly Standing[], prefixHash: number): Standing | undefined {
  let requests = 1;
  let slots = 0;
  for (const standing of standings) {
    requests += standing.inFlight;
    slots += slotsOf(standing);
  }
  let best: Standing | undefined;
  let bestScore = 0;
  for (const standing of standings) {
    const share = slotsOf(standing) / slots;
    if (standing.full || (standing.inFlight + 1) * (1 + standing.penalty) > Math.ceil(loadFactor * requests * share)) {
      continue;
    }
    // Between 0 and 1, both excluded.
    const random = (combineHashes(standing.prospect.offer.hash, prefixHash) + 0.5) / 2 ** 32;
    const score = slotsOf(standing) / -Math.log(random);
    if (score > bestScore) [best, bestScore] = [standing, score];
  }
  return best;
}

function slotsOf({ limit, prospect }: Standing): number {
  return limit * prospect.weight;
}
