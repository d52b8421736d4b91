/** What a line needs to know of those who stand in it. */
export interface Standing {
  readonly tenant: string;
  /** It was let in before and lost its instance: it stands before its tenant's others. */
  readonly isRetry: boolean;
}

/** One tenant's place in a line. */
interface TenantLine<W> {
  readonly again: Set<W>;
  readonly first: Set<W>;
  /** Slot time in milliseconds that the tenant has had, on the scale of the line's level. */
  served: number;
}

/** A tenant is at most so many turns ahead of its fair share or behind it: what it is owed or owes beyond is forgotten. */
const turnsMax = 8;

/**
 * A line in which tenants take turns: next is the one that has had the least slot time, first come first served within
 * a tenant. After weighted fair queueing (Demers, Keshav, Shenker 1989) with equal weights: the level is what each
 * tenant that waits would have had, were slot time divided without rest. A tenant that joins starts there, so that
 * nobody saves up turns by staying away. Prices are noted when a turn begins and put right when its true one is known.
 */
export class FairLine<W extends Standing> {
  readonly #lines = new Map<string, TenantLine<W>>();
  #level = 0;
  #size = 0;
  /** Tenants of whom somebody waits. */
  #tenants = 0;
  /** Tenants without anyone waiting are looked through for forgetting once there are so many lines. */
  #sweepAt = 64;

  get size(): number {
    return this.#size;
  }

  join(waiter: W): void {
    const line = this.#lineOf(waiter.tenant);
    if (count(line) === 0) {
      line.served = Math.max(line.served, this.#level);
      this.#tenants++;
    }
    (waiter.isRetry ? line.again : line.first).add(waiter);
    this.#size++;
  }

  /** Takes somebody out of the line, wherever he stands; false when he is not in it. */
  leave(waiter: W): boolean {
    const line = this.#lines.get(waiter.tenant);
    if (line === undefined || !(line.again.delete(waiter) || line.first.delete(waiter))) return false;
    if (count(line) === 0) this.#tenants--;
    this.#size--;
    // Nobody waits: what anyone has had does not matter any more.
    if (this.#size === 0) this.#lines.clear();
    return true;
  }

  /** Who is next, among those that `isAble` accepts. */
  next(isAble: (waiter: W) => boolean): W | undefined {
    let best: W | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const line of this.#lines.values()) {
      if (line.served >= least) continue;
      const waiter = firstAble(line.again, isAble) ?? firstAble(line.first, isAble);
      if (waiter === undefined) continue;
      best = waiter;
      least = line.served;
    }
    return best;
  }

  /**
   * Lets somebody out to be served, at a price of slot time. Call what it returns with the true price once it is known.
   */
  serve(waiter: W, priceMs: number): (trueMs: number) => void {
    const { tenant } = waiter;
    const line = this.#lineOf(tenant);
    line.served = Math.max(line.served, this.#level - turnsMax * priceMs);
    this.#charge(line, priceMs);
    this.leave(waiter);
    this.#sweep();
    return (trueMs) => {
      if (this.#lines.get(tenant) !== line) return;
      this.#charge(line, trueMs - priceMs);
      line.served = Math.min(line.served, this.#level + turnsMax * priceMs);
    };
  }

  #charge(line: TenantLine<W>, ms: number): void {
    line.served += ms;
    this.#level += ms / Math.max(1, this.#tenants);
  }

  /** How many will be served before a newcomer of this tenant, were all requests alike. */
  ahead(tenant: string): number {
    const line = this.#lines.get(tenant);
    const own = line === undefined ? 0 : count(line);
    let ahead = own;
    for (const other of this.#lines.values()) {
      if (other !== line) ahead += Math.min(count(other), own + 1);
    }
    return ahead;
  }

  /** The newest one of the tenant with the most waiting, and how many that tenant has. Retries are spared. */
  last(): { readonly waiter: W; readonly count: number } | undefined {
    let longest: TenantLine<W> | undefined;
    for (const line of this.#lines.values()) {
      if (line.first.size > (longest?.first.size ?? 0)) longest = line;
    }
    if (longest === undefined) return undefined;
    let newest: W | undefined;
    for (const waiter of longest.first) newest = waiter;
    return newest === undefined ? undefined : { waiter: newest, count: longest.first.size };
  }

  waitingOf(tenant: string): number {
    return this.#lines.get(tenant)?.first.size ?? 0;
  }

  *[Symbol.iterator](): Generator<W> {
    for (const line of this.#lines.values()) {
      yield* line.again;
      yield* line.first;
    }
  }

  #lineOf(tenant: string): TenantLine<W> {
    let line = this.#lines.get(tenant);
    if (line === undefined) {
      line = { again: new Set(), first: new Set(), served: this.#level };
      this.#lines.set(tenant, line);
    }
    return line;
  }

  /** Forgets tenants without anyone waiting that are owed nothing and owe nothing. */
  #sweep(): void {
    if (this.#lines.size < this.#sweepAt) return;
    for (const [tenant, line] of this.#lines) {
      if (count(line) === 0 && line.served <= this.#level) this.#lines.delete(tenant);
    }
    this.#sweepAt = Math.max(64, this.#lines.size * 2);
  }
}

function count<W>(line: TenantLine<W>): number {
  return line.again.size + line.first.size;
}

function firstAble<W>(waiters: ReadonlySet<W>, isAble: (waiter: W) => boolean): W | undefined {
  for (const waiter of waiters) if (isAble(waiter)) return waiter;
  return undefined;
}
