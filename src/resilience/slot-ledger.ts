/**
 * Who holds how many of an instance's slots. The default counts within this process; where several processes share
 * one fleet, another implementation may lease slots from the one that counts.
 */
export interface SlotLedger {
  /**
   * Takes one slot if fewer than `limit` are taken; never waits. False is also a wish: an implementation that leases
   * may ask for more, and tell the listeners once it has it.
   */
  tryTake(key: string, limit: number): boolean;
  /**
   * Whether a `tryTake` that said false is being settled elsewhere: the listeners hear of the answer within
   * milliseconds, whatever it is, and a request that would rather go there had better wait for it.
   */
  isAsking(key: string): boolean;
  /** Gives one slot back. Every `tryTake` that said true is followed by exactly one `give`. */
  give(key: string): void;
  /** Slots taken at present, by all processes as far as this one knows. */
  taken(key: string): number;
  /** Calls `listener` once for every slot that has become free, synchronously. The returned function ends that. */
  onFree(listener: (key: string) => void): () => void;
}

/** Slots as one process counts them. Keys without a taken slot take no memory. */
export class LocalSlotLedger implements SlotLedger {
  readonly #taken = new Map<string, number>();
  readonly #listeners = new Set<(key: string) => void>();

  tryTake(key: string, limit: number): boolean {
    const taken = this.#taken.get(key) ?? 0;
    if (taken >= limit) return false;
    this.#taken.set(key, taken + 1);
    return true;
  }

  isAsking(): boolean {
    return false;
  }

  give(key: string): void {
    const taken = this.#taken.get(key) ?? 0;
    if (taken <= 1) this.#taken.delete(key);
    else this.#taken.set(key, taken - 1);
    for (const listener of this.#listeners) listener(key);
  }

  taken(key: string): number {
    return this.#taken.get(key) ?? 0;
  }

  onFree(listener: (key: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
