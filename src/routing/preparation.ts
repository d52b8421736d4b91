import {
  compareOnRing,
  type ModelIndex,
  type Offer,
  type OfferChange,
  type OfferHistory,
  placeOf,
} from "./model-index.ts";
import { classifyOffer, type Prospect, type Question, type Refusal } from "./static-filter.ts";

/** Prospects that only their load tells apart, in the order of the ring of instances. */
export interface Rank {
  readonly tier: number;
  readonly unknownFeatures: number;
  /** Those that have the model in memory. */
  readonly loaded: readonly Prospect[];
  /** Those that would load it first. */
  readonly cold: readonly Prospect[];
}

/** What the records of the fleet say about requests of one kind. Immutable: a change of the fleet makes a new one. */
export interface Preparation {
  /** The best first: the lower tier, then the fewer features that nobody is sure of. */
  readonly ranks: readonly Rank[];
  /** The same, those of one tier together. */
  readonly tiers: readonly (readonly Rank[])[];
  readonly refused: readonly Refusal[];
  /** All offers that were looked at. */
  readonly size: number;
}

interface Source {
  readonly name: string;
  /** Undefined while nobody offers the name. */
  readonly history: OfferHistory | undefined;
  readonly version: number;
}

interface Entry {
  readonly preparation: Preparation;
  readonly sources: readonly Source[];
}

/** Kinds of requests that are kept ready, and the offers in all of them: some 100 bytes each. */
const entriesMax = 4_096;
const offersMax = 400_000;

/**
 * Preparations for the kinds of requests that come, each made once by looking at every offer and then kept up with the
 * fleet by looking at what has changed. A memory only: what it answers depends on nothing but question and index.
 */
export class PreparationCache {
  readonly #index: ModelIndex;
  readonly #entries = new Map<string, Entry>();
  #offers = 0;

  constructor(index: ModelIndex) {
    this.#index = index;
  }

  /** `key` says all of the question that differs between two of them. */
  get(key: string, question: Question): Preparation {
    const known = this.#entries.get(key);
    const entry = (known && this.#catchUp(known, question)) ?? this.#prepare(question);
    if (entry !== known) this.#keep(key, entry);
    return entry.preparation;
  }

  #keep(key: string, entry: Entry): void {
    this.#drop(key);
    // What nobody offers is soon found out again, and clients could ask for any number of such names.
    if (entry.preparation.size === 0) return;
    this.#entries.set(key, entry);
    this.#offers += entry.preparation.size;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= 1 || (this.#entries.size <= entriesMax && this.#offers <= offersMax)) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#offers -= this.#entries.get(key)?.preparation.size ?? 0;
    this.#entries.delete(key);
  }

  #prepare(question: Question): Entry {
    const offers = new Set(question.candidateModels.flatMap((name) => this.#index.offers.get(name) ?? []));
    const ranks = new Map<string, { tier: number; unknownFeatures: number; loaded: Prospect[]; cold: Prospect[] }>();
    const refused: Refusal[] = [];
    for (const offer of [...offers].sort(compareOnRing)) {
      const found = classifyOffer(offer, question);
      if (isRefusal(found)) refused.push(found);
      else listOf(found, ranks).push(found);
    }
    return { preparation: toPreparation(ranks.values(), refused), sources: this.#sourcesOf(question) };
  }

  #sourcesOf({ candidateModels }: Question): readonly Source[] {
    return [...new Set(candidateModels)].map((name) => {
      const history = this.#index.offers.has(name) ? this.#index.historyOf(name) : undefined;
      return { name, history, version: history?.version ?? 0 };
    });
  }

  /** The entry as of now; undefined when too much has happened. */
  #catchUp(entry: Entry, question: Question): Entry | undefined {
    const steps: OfferChange[] = [];
    for (const { name, history, version } of entry.sources) {
      if (history === undefined) {
        if (this.#index.offers.has(name)) return undefined;
        continue;
      }
      if (!this.#index.offers.has(name) || this.#index.historyOf(name) !== history) return undefined;
      if (history.version === version) continue;
      const since = history.since(version);
      if (since === undefined) return undefined;
      steps.push(...since);
    }
    if (steps.length === 0) return entry;
    return { preparation: applySteps(entry.preparation, steps, question), sources: this.#sourcesOf(question) };
  }
}

function isRefusal(found: Prospect | Refusal): found is Refusal {
  return "reason" in found;
}

type Ranks = Map<string, { tier: number; unknownFeatures: number; loaded: Prospect[]; cold: Prospect[] }>;

function listOf(prospect: Prospect, ranks: Ranks): Prospect[] {
  const { tier, unknownFeatures, offer } = prospect;
  const key = `${tier} ${unknownFeatures}`;
  let rank = ranks.get(key);
  if (rank === undefined) {
    rank = { tier, unknownFeatures, loaded: [], cold: [] };
    ranks.set(key, rank);
  }
  return offer.model.state === "loaded" ? rank.loaded : rank.cold;
}

function toPreparation(ranks: Iterable<Rank>, refused: readonly Refusal[]): Preparation {
  const sorted = [...ranks]
    .filter(({ loaded, cold }) => loaded.length + cold.length > 0)
    .sort((left, right) => left.tier - right.tier || left.unknownFeatures - right.unknownFeatures);
  const size = sorted.reduce((sum, { loaded, cold }) => sum + loaded.length + cold.length, refused.length);
  return { ranks: sorted, tiers: [...Map.groupBy(sorted, ({ tier }) => tier).values()], refused, size };
}

/** An offer with two names has two histories: what is there already is not put in again, what is gone not taken out. */
function applySteps(preparation: Preparation, steps: readonly OfferChange[], question: Question): Preparation {
  const ranks: Ranks = new Map(
    preparation.ranks.map(({ tier, unknownFeatures, loaded, cold }) => [
      `${tier} ${unknownFeatures}`,
      { tier, unknownFeatures, loaded: [...loaded], cold: [...cold] },
    ]),
  );
  const refused = [...preparation.refused];
  for (const { offer, isNew } of steps) {
    const found = classifyOffer(offer, question);
    if (isRefusal(found)) putOrTake(refused, found, isNew);
    else putOrTake(listOf(found, ranks), found, isNew);
  }
  return toPreparation(ranks.values(), refused);
}

function putOrTake<T extends { readonly offer: Offer }>(list: T[], item: T, isNew: boolean): void {
  const at = placeOf(list, item, (left, right) => compareOnRing(left.offer, right.offer));
  const isThere = list[at]?.offer === item.offer;
  if (isNew && !isThere) list.splice(at, 0, item);
  if (!isNew && isThere) list.splice(at, 1);
}
