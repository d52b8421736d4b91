import type { SlotReply, SlotRequest } from "./slot-messages.ts";

/** A worker, as the broker sees it. */
export interface SlotHolder {
  send(reply: SlotReply): void;
}

interface Instance {
  /** What the worker that asked last knew of the instance. */
  limit: number;
  /** Slots by holder; together never more than the limit, unless the limit has shrunk. */
  readonly held: Map<SlotHolder, number>;
  total: number;
  /** Who wants one more, in the order of asking. */
  readonly waiting: Set<SlotHolder>;
  /** Who gives back what comes free: others wait. */
  readonly recalled: Set<SlotHolder>;
  /** Who has not yet said what it can spare. */
  readonly asked: Set<SlotHolder>;
  /** Who waits and has been told that there is none. */
  readonly told: Set<SlotHolder>;
}

/** Of the free slots a worker gets such a part at once, divided by the number of workers: the others will want some. */
const shareDivisor = 2;

/**
 * Divides the slots of instances between workers. While there are plenty each has some in hand and asks for nothing;
 * once somebody waits, the others give back what is idle and what comes free, and those who wait take turns. What a
 * worker holds is free again when it has gone.
 */
export class SlotBroker {
  readonly #instances = new Map<string, Instance>();
  readonly #loads = new Map<SlotHolder, Map<string, number>>();

  join(holder: SlotHolder): void {
    this.#loads.set(holder, new Map());
    const used: Record<string, number> = {};
    for (const [other, load] of this.#loads) {
      if (other !== holder) for (const [key, count] of load) used[key] = (used[key] ?? 0) + count;
    }
    holder.send({ kind: "load", used });
  }

  /** Takes back all that a worker had. */
  leave(holder: SlotHolder): void {
    const load = this.#loads.get(holder);
    this.#loads.delete(holder);
    if (load !== undefined) this.#tellLoad(load.keys());
    for (const [key, instance] of this.#instances) {
      instance.total -= instance.held.get(holder) ?? 0;
      for (const set of [instance.held, instance.waiting, instance.recalled, instance.asked, instance.told]) {
        set.delete(holder);
      }
      this.#serve(key, instance);
    }
  }

  receive(holder: SlotHolder, request: SlotRequest): void {
    if (!this.#loads.has(holder)) return;
    if (request.kind === "load") this.#noteLoad(holder, request.used);
    else if (request.kind === "want") this.#want(holder, request.key, request.limit);
    else this.#take(holder, request);
  }

  /** Slots of an instance that are in some worker's hands. */
  held(key: string): number {
    return this.#instances.get(key)?.total ?? 0;
  }

  #want(holder: SlotHolder, key: string, limit: number): void {
    let instance = this.#instances.get(key);
    if (instance === undefined) {
      instance = {
        limit,
        held: new Map(),
        total: 0,
        waiting: new Set(),
        recalled: new Set(),
        asked: new Set(),
        told: new Set(),
      };
      this.#instances.set(key, instance);
    }
    instance.limit = limit;
    instance.waiting.add(holder);
    this.#serve(key, instance);
  }

  #take(holder: SlotHolder, { key, count, isAnswer }: Extract<SlotRequest, { kind: "give" }>): void {
    const instance = this.#instances.get(key);
    if (instance === undefined) return;
    const held = instance.held.get(holder) ?? 0;
    instance.total -= Math.min(held, count);
    if (held > count) instance.held.set(holder, held - count);
    else instance.held.delete(holder);
    if (isAnswer) instance.asked.delete(holder);
    this.#serve(key, instance);
  }

  #serve(key: string, instance: Instance): void {
    const { held, waiting, told } = instance;
    for (const holder of waiting) {
      const free = instance.limit - instance.total;
      if (free <= 0) break;
      waiting.delete(holder);
      told.delete(holder);
      const isWanted = waiting.size > 0;
      const share = Math.floor(free / (shareDivisor * Math.max(1, this.#loads.size)));
      const count = isWanted ? 1 : Math.max(1, share);
      held.set(holder, (held.get(holder) ?? 0) + count);
      instance.total += count;
      if (isWanted) instance.recalled.add(holder);
      else instance.recalled.delete(holder);
      holder.send({ kind: "grant", key, count, isWanted });
    }
    this.#recall(key, instance);
    if (instance.total === 0 && waiting.size === 0) this.#instances.delete(key);
  }

  /** Asks those who could help those who wait, and lets the others be. */
  #recall(key: string, { held, waiting, recalled, asked, told }: Instance): void {
    const isWantedBeside = (holder: SlotHolder) => waiting.size > (waiting.has(holder) ? 1 : 0);
    for (const holder of recalled) {
      if (isWantedBeside(holder)) continue;
      recalled.delete(holder);
      holder.send({ kind: "calm", key });
    }
    for (const holder of held.keys()) {
      if (recalled.has(holder) || !isWantedBeside(holder)) continue;
      recalled.add(holder);
      asked.add(holder);
      holder.send({ kind: "recall", key });
    }
    if (asked.size > 0) return;
    for (const holder of waiting) {
      if (told.has(holder)) continue;
      told.add(holder);
      holder.send({ kind: "none", key });
    }
  }

  #noteLoad(holder: SlotHolder, used: Readonly<Record<string, number>>): void {
    const load = this.#loads.get(holder);
    for (const [key, count] of Object.entries(used)) {
      if (count === 0) load?.delete(key);
      else load?.set(key, count);
    }
    this.#tellLoad(Object.keys(used), holder);
  }

  /** Tells everybody what the others use there. */
  #tellLoad(keys: Iterable<string>, from?: SlotHolder): void {
    const changed = [...keys];
    if (changed.length === 0) return;
    for (const holder of this.#loads.keys()) {
      if (holder === from) continue;
      const used: Record<string, number> = {};
      for (const key of changed) used[key] = this.#usedBeside(holder, key);
      holder.send({ kind: "load", used });
    }
  }

  #usedBeside(holder: SlotHolder, key: string): number {
    let used = 0;
    for (const [other, load] of this.#loads) if (other !== holder) used += load.get(key) ?? 0;
    return used;
  }
}
