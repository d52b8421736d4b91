import { type InstanceRecord, instanceKey } from "../contract/instance-record.ts";
import type { Model } from "../contract/metadata.ts";
import type { RegistrySnapshot } from "../registry/registry.ts";
import { hashText } from "./hash.ts";

/** One model on one instance. */
export interface Offer {
  /** `<service>/<instance>`. */
  readonly key: string;
  /** Of the key: where it stands on the ring of instances. */
  readonly hash: number;
  readonly record: InstanceRecord;
  readonly model: Model;
}

/** One step in the history of the offers of a name. */
export interface OfferChange {
  readonly offer: Offer;
  readonly isNew: boolean;
}

/** Steps that are kept for a name. Who is further behind looks at all offers again. */
const stepsMax = 256;

/** What has changed in the offers of one name since somebody began to ask. */
export class OfferHistory {
  #steps: OfferChange[] = [];
  #forgotten = 0;

  /** Grows with every step. */
  get version(): number {
    return this.#forgotten + this.#steps.length;
  }

  /** The steps after `version`, or undefined when they are no longer known. */
  since(version: number): readonly OfferChange[] | undefined {
    return version < this.#forgotten ? undefined : this.#steps.slice(version - this.#forgotten);
  }

  note(change: OfferChange): void {
    this.#steps.push(change);
    // Half at a time, so that a step costs the same however many there are.
    if (this.#steps.length > stepsMax) this.#forgotten += this.#steps.splice(0, stepsMax / 2).length;
  }
}

/** Records are immutable, so what one offers is worked out once in its life. */
const offersOfRecord = new WeakMap<InstanceRecord, readonly Offer[]>();

function recordOffers(record: InstanceRecord): readonly Offer[] {
  let offers = offersOfRecord.get(record);
  if (offers === undefined) {
    const key = instanceKey(record);
    const hash = hashText(key);
    offers = distinctModels(record).map((model) => ({ key, hash, record, model }));
    offersOfRecord.set(record, offers);
  }
  return offers;
}

/** What requests can be routed to. A service that lists a model twice has it once. */
function distinctModels(record: InstanceRecord): readonly Model[] {
  const { models } = record.metadata;
  if (isGateway(record)) return [];
  return models.length < 2 ? models : [...new Map(models.map((model) => [model.id, model])).values()];
}

/** A gateway routes to services, never to itself or another gateway: requests could go round in circles. */
function isGateway(record: InstanceRecord): boolean {
  return record.metadata.capabilities.features.includes("nexus-gateway");
}

/** The names that a client may use for a model: its id and the aliases that its service gives it. */
export function namesOf(model: Model): ReadonlySet<string> {
  return new Set([model.id, ...model.aliases]);
}

/**
 * The fleet by what clients ask for. Follows from snapshot to snapshot in time that grows with what has changed; the same
 * snapshot gives the same index, however it came there.
 */
export class ModelIndex {
  #snapshot: RegistrySnapshot;
  #records: readonly InstanceRecord[];
  #offers = new Map<string, Offer[]>();
  readonly #histories = new Map<string, OfferHistory>();

  constructor(snapshot: RegistrySnapshot) {
    this.#snapshot = snapshot;
    this.#records = [...snapshot.instances.values()];
    this.#build();
  }

  get snapshot(): RegistrySnapshot {
    return this.#snapshot;
  }

  /** Offers by model id and by every alias that a service gives its models, in the order of their keys. */
  get offers(): ReadonlyMap<string, readonly Offer[]> {
    return this.#offers;
  }

  /** The changes of a name's offers from now on. Another object means: look at all of them again. */
  historyOf(name: string): OfferHistory {
    let history = this.#histories.get(name);
    if (history === undefined) {
      history = new OfferHistory();
      this.#histories.set(name, history);
    }
    return history;
  }

  /** Goes on to a newer snapshot. Answers the names that nobody offers any more. */
  follow(snapshot: RegistrySnapshot): readonly string[] {
    const before = this.#records;
    this.#snapshot = snapshot;
    this.#records = [...snapshot.instances.values()];
    const { gone, come } = compareRecords(before, this.#records);
    if (gone.length + come.length > Math.max(stepsMax, this.#records.length / 8)) return this.#rebuild();
    const departed = new Set<string>();
    for (const record of gone) this.#each(record, (name, offer) => this.#remove(name, offer, departed));
    for (const record of come) {
      this.#each(record, (name, offer) => {
        this.#insert(name, offer);
        departed.delete(name);
      });
    }
    for (const name of departed) {
      this.#offers.delete(name);
      this.#histories.delete(name);
    }
    return [...departed];
  }

  #rebuild(): readonly string[] {
    const before = this.#offers;
    this.#offers = new Map();
    this.#histories.clear();
    this.#build();
    return [...before.keys()].filter((name) => !this.#offers.has(name));
  }

  #build(): void {
    for (const record of this.#records) {
      this.#each(record, (name, offer) => {
        const sameName = this.#offers.get(name);
        if (sameName === undefined) this.#offers.set(name, [offer]);
        else sameName.push(offer);
      });
    }
    // A registry keeps its order, so there is nothing to sort; other views may not.
    for (const offers of this.#offers.values()) if (!isSorted(offers)) offers.sort(compareOffers);
  }

  #each(record: InstanceRecord, run: (name: string, offer: Offer) => void): void {
    for (const offer of recordOffers(record)) {
      const { id, aliases } = offer.model;
      run(id, offer);
      if (aliases.length === 0) continue;
      for (const name of namesOf(offer.model)) if (name !== id) run(name, offer);
    }
  }

  #insert(name: string, offer: Offer): void {
    const offers = this.#offers.get(name);
    if (offers === undefined) this.#offers.set(name, [offer]);
    else offers.splice(placeOf(offers, offer, compareOffers), 0, offer);
    this.#histories.get(name)?.note({ offer, isNew: true });
  }

  #remove(name: string, offer: Offer, departed: Set<string>): void {
    const offers = this.#offers.get(name) ?? [];
    // Those that compare alike stand beside each other.
    const at = offers.indexOf(offer, placeOf(offers, offer, compareOffers));
    if (at !== -1) offers.splice(at, 1);
    this.#histories.get(name)?.note({ offer, isNew: false });
    if (offers.length === 0) departed.add(name);
  }
}

/** An index of a snapshot. */
export function indexModels(snapshot: RegistrySnapshot): ModelIndex {
  return new ModelIndex(snapshot);
}

/** By key, then by model: two models of one instance may go by the same name. */
function compareOffers(left: Offer, right: Offer): number {
  if (left.key !== right.key) return left.key < right.key ? -1 : 1;
  return left.model.id === right.model.id ? 0 : left.model.id < right.model.id ? -1 : 1;
}

/** By the hash of the key, so that neighbours have nothing in common: not the host, not the service. */
export function compareOnRing(left: Offer, right: Offer): number {
  return left.hash - right.hash || compareOffers(left, right);
}

function isSorted(offers: readonly Offer[]): boolean {
  return offers.every((offer, at) => at === 0 || compareOffers(offers[at - 1] ?? offer, offer) <= 0);
}

/** Index of the first element of a sorted list that does not go before `wanted`. */
export function placeOf<T, W>(sorted: readonly T[], wanted: W, compare: (left: T, right: W) => number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(sorted[middle] as T, wanted) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The records that are in one list only; what has only moved may be in both answers. Where both lists are in the order of
 * their keys, as registries keep them, it costs a comparison of addresses for what is the same.
 */
function compareRecords(
  before: readonly InstanceRecord[],
  after: readonly InstanceRecord[],
): { gone: readonly InstanceRecord[]; come: readonly InstanceRecord[] } {
  const gone: InstanceRecord[] = [];
  const come: InstanceRecord[] = [];
  let [left, right] = [0, 0];
  while (left < before.length || right < after.length) {
    const [old, fresh] = [before[left], after[right]];
    if (old === fresh) {
      left++;
      right++;
      continue;
    }
    const [oldKey, freshKey] = [old && instanceKey(old), fresh && instanceKey(fresh)];
    const isGone = old !== undefined && (freshKey === undefined || (oldKey ?? "") <= freshKey);
    const isCome = fresh !== undefined && (oldKey === undefined || freshKey === undefined || freshKey <= oldKey);
    if (isGone) gone.push(before[left++] as InstanceRecord);
    if (isCome) come.push(after[right++] as InstanceRecord);
  }
  return { gone, come };
}
