import { mix } from "./hash.ts";
import type { LiveFilter, Standing } from "./live-filter.ts";
import { placeOf } from "./model-index.ts";
import { pickAffine } from "./prefix-affinity.ts";
import type { Preparation, Rank } from "./preparation.ts";
import type { Rejection, RoutingContext } from "./route-plan.ts";
import type { Prospect } from "./static-filter.ts";

/** How to choose among prospects. */
export interface ChoiceRules {
  readonly conditionOf: RoutingContext["conditionOf"];
  readonly turn: number;
  /** Undefined when the beginning of the request does not matter. */
  readonly prefixHash: number | undefined;
  readonly overflowAfterMs: number | undefined;
  /** Lists of up to so many instances are looked at from end to end. */
  readonly exactMax: number;
  /** Of longer ones, so many that have a free slot are enough. */
  readonly windowMax: number;
}

/** Instances of which each is as good as another, but for their load. */
export interface Group {
  /** The best first. */
  readonly standings: readonly Standing[];
  /** The one whose cache is expected to have the request's beginning; undefined when there is none. */
  readonly affine: Standing | undefined;
}

export interface Choice {
  /** In the order in which to try them. */
  readonly groups: readonly Group[];
  readonly rejected: readonly Rejection[];
  readonly isLastResort: boolean;
}

/** The loaded and the cold of one tier, in order, and how long the shortest of their queues is. */
interface Tier {
  readonly groups: readonly Group[];
  readonly waitMs: number;
}

/**
 * Orders the prospects that can take a request now. Exact for up to `exactMax` instances of a rank. Of more, `windowMax`
 * neighbours on the ring are compared, from another place for each request (or, where its beginning matters, from the
 * place that this gives): the least loaded of two taken by chance is nearly as good as that of all (Mitzenmacher, The
 * Power of Two Choices in Randomized Load Balancing, 2001), and the cost stays the same at any size of the fleet.
 */
export function choose(preparation: Preparation, filter: LiveFilter, rules: ChoiceRules): Choice {
  const survey = new Survey(filter, rules);
  const tiers: Tier[] = [];
  for (const ranks of preparation.tiers) {
    const tier = survey.tier(ranks);
    if (tier.groups.length > 0) tiers.push(tier);
    if (survey.isEnough && !overflows(tier, rules)) break;
  }
  const groups = inOrder(tiers, rules);
  const { rejected, spared } = survey;
  // What passive signals say never takes out the last instance: it is tried rather than refused.
  const isLastResort = groups.length === 0;
  return { groups: isLastResort ? lastResort(spared) : groups, rejected, isLastResort };
}

/** Those with too long a queue come last, where there is something else. */
function inOrder(tiers: readonly Tier[], rules: ChoiceRules): readonly Group[] {
  const [first, second] = tiers;
  if (first !== undefined && second === undefined) return first.groups;
  const calm = tiers.filter((tier) => !overflows(tier, rules));
  return [...calm, ...tiers.filter((tier) => !calm.includes(tier))].flatMap((tier) => tier.groups);
}

function overflows({ waitMs }: Tier, { overflowAfterMs }: ChoiceRules): boolean {
  return overflowAfterMs !== undefined && waitMs > overflowAfterMs;
}

/** One pass over the prospects, the best ranks first, until enough are found. */
class Survey {
  readonly rejected: Rejection[] = [];
  /** Left out for a while by what was seen of them. */
  readonly spared: Standing[] = [];
  readonly #filter: LiveFilter;
  readonly #rules: ChoiceRules;
  #free = 0;
  #found = 0;

  constructor(filter: LiveFilter, rules: ChoiceRules) {
    this.#filter = filter;
    this.#rules = rules;
  }

  get isEnough(): boolean {
    return this.#free >= this.#rules.windowMax || this.#found >= this.#rules.exactMax;
  }

  tier(ranks: readonly Rank[]): Tier {
    const groups: Group[] = [];
    let waitMs = Number.POSITIVE_INFINITY;
    for (const rank of ranks) {
      if (this.isEnough) break;
      const loaded = this.#gather(rank.loaded);
      const loadedWaitMs = shortestWait(loaded);
      // Where the loaded ones have a queue, loading it once more may be quicker.
      const cold = this.isEnough && loadedWaitMs === 0 ? [] : this.#gather(rank.cold);
      const [quicker, slower] = cold.length === 0 ? [cold, cold] : partition(cold, loadedWaitMs);
      this.#add(groups, quicker, byDelay);
      this.#add(groups, loaded, byLoad, this.#rules.prefixHash);
      this.#add(groups, slower, byDelay);
      waitMs = Math.min(waitMs, loadedWaitMs, shortestWait(cold));
    }
    return { groups, waitMs };
  }

  #gather(prospects: readonly Prospect[]): readonly Standing[] {
    const { exactMax, windowMax, conditionOf } = this.#rules;
    const usable: Standing[] = [];
    const start = this.#startOf(prospects);
    const freeMax = prospects.length <= exactMax ? exactMax : windowMax;
    let free = 0;
    for (let step = 0; step < prospects.length && free < freeMax && usable.length < exactMax; step++) {
      const prospect = prospects[(start + step) % prospects.length] as Prospect;
      const condition = conditionOf(prospect.offer.key);
      const rejection = this.#filter.reject(prospect, condition);
      if (rejection === undefined) {
        const standing = this.#filter.stand(prospect, condition);
        if (!standing.full) free++;
        usable.push(standing);
        continue;
      }
      this.rejected.push(rejection);
      const isPassive = rejection.reason === "ejected" || rejection.reason === "limited";
      if (isPassive && this.spared.length < exactMax) this.spared.push(this.#filter.stand(prospect, condition));
    }
    this.#free += free;
    this.#found += usable.length;
    return usable;
  }

  /** Where to begin to look: equal ones take turns, as a sort leaves them in the order in which they were found. */
  #startOf(prospects: readonly Prospect[]): number {
    const { turn, prefixHash, exactMax } = this.#rules;
    if (prospects.length <= exactMax) return turn % prospects.length;
    if (prefixHash === undefined) return mix(turn) % prospects.length;
    return placeOf(prospects, prefixHash, ({ offer }, hash) => offer.hash - hash);
  }

  #add(groups: Group[], standings: readonly Standing[], order: Order, prefixHash?: number): void {
    if (standings.length === 0) return;
    const sorted = standings.length === 1 ? standings : standings.toSorted(order);
    const affine = prefixHash === undefined ? undefined : pickAffine(standings, prefixHash);
    if (affine === undefined) groups.push({ standings: sorted, affine });
    else groups.push({ standings: [affine, ...sorted.filter((standing) => standing !== affine)], affine });
  }
}

type Order = (left: Standing, right: Standing) => number;

/** Those with a free slot first; the least loaded; the one that needs no translation. */
const byLoad: Order = (left, right) =>
  Number(left.full) - Number(right.full) || left.load - right.load || left.prospect.way - right.prospect.way;

/** Where the model is being loaded already; where it is there soonest, as far as estimates tell; the least loaded. */
const byDelay: Order = (left, right) =>
  Number(left.full) - Number(right.full) ||
  Number(isWaitingForLoad(right)) - Number(isWaitingForLoad(left)) ||
  magnitudeOf(delayOf(left)) - magnitudeOf(delayOf(right)) ||
  byLoad(left, right);

function isWaitingForLoad({ prospect }: Standing): boolean {
  return prospect.offer.model.state === "loading";
}

/** Milliseconds until an instance would begin. */
function delayOf({ coldStartMs = 0, waitMs }: Standing): number {
  return coldStartMs + waitMs;
}

/** Estimates within a factor of two say the same. */
function magnitudeOf(ms: number): number {
  return Math.round(Math.log2(1 + ms));
}

function shortestWait(standings: readonly Standing[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { waitMs } of standings) least = Math.min(least, waitMs);
  return least;
}

/** Those that would begin within this time, and the others. */
function partition(standings: readonly Standing[], withinMs: number): [readonly Standing[], readonly Standing[]] {
  const isQuicker = (standing: Standing) => delayOf(standing) < withinMs;
  return [standings.filter(isQuicker), standings.filter((standing) => !isQuicker(standing))];
}

/** Those that are left out for a while: by tier, the best first. */
function lastResort(spared: readonly Standing[]): readonly Group[] {
  const isCold = ({ prospect }: Standing) => Number(prospect.offer.model.state !== "loaded");
  const tiers = Map.groupBy(spared, ({ prospect }) => prospect.tier);
  return [...tiers.values()].map((standings) => ({
    standings: standings.sort(
      (left, right) =>
        left.prospect.unknownFeatures - right.prospect.unknownFeatures ||
        isCold(left) - isCold(right) ||
        byLoad(left, right),
    ),
    affine: undefined,
  }));
}
