import type { Clock } from "../base/clock.ts";
import { isObject } from "../translate/request-fields.ts";
import type { ResponseStore, ResponseStoreLimits, StoredResponse } from "../translate/response-store.ts";
import type { ResponseItem } from "../translate/responses-object.ts";

/**
 * Small enough for a gateway's memory, large enough for the conversations of a day. 30 days is how long OpenAI keeps
 * answers.
 */
export const responseStoreLimits: ResponseStoreLimits = {
  responsesMax: 10_000,
  bytesMax: 128 * 1024 * 1024,
  responseBytesMax: 16 * 1024 * 1024,
  keepMs: 30 * 24 * 60 * 60 * 1_000,
};

interface Entry {
  /** JSON: nobody can change it, and its size is known. */
  readonly text: string;
  readonly bytes: number;
  readonly itemIds: readonly string[];
  /** On the monotonic clock, ms. */
  readonly expiresAt: number;
}

/** What one tenant has, the oldest first. */
interface Shelf {
  readonly entries: Map<string, Entry>;
  /** The answers that each item belongs to: what was said is said again by reference. */
  readonly holders: Map<string, Set<string>>;
  bytes: number;
}

/** Keeps answers in memory until the process ends. When it is full, the oldest of the largest tenant gives way. */
export function createMemoryResponseStore(
  clock: Clock,
  limits: ResponseStoreLimits = responseStoreLimits,
): ResponseStore {
  return new MemoryResponseStore(clock, limits);
}

class MemoryResponseStore implements ResponseStore {
  readonly #clock: Clock;
  readonly #limits: ResponseStoreLimits;
  readonly #shelves = new Map<string, Shelf>();
  #count = 0;
  #bytes = 0;

  constructor(clock: Clock, limits: ResponseStoreLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  async put(tenant: string, stored: StoredResponse): Promise<boolean> {
    const text = JSON.stringify(stored);
    const bytes = Buffer.byteLength(text);
    if (bytes > Math.min(this.#limits.responseBytesMax, this.#limits.bytesMax)) return false;
    this.#remove(tenant, stored.id);
    const shelf = this.#shelves.get(tenant) ?? { entries: new Map(), holders: new Map(), bytes: 0 };
    this.#shelves.set(tenant, shelf);
    const itemIds = itemsOf(stored).map(({ id }) => id);
    shelf.entries.set(stored.id, { text, bytes, itemIds, expiresAt: this.#clock.monotonic() + this.#limits.keepMs });
    for (const itemId of itemIds) {
      const holders = shelf.holders.get(itemId);
      if (holders === undefined) shelf.holders.set(itemId, new Set([stored.id]));
      else holders.add(stored.id);
    }
    shelf.bytes += bytes;
    this.#bytes += bytes;
    this.#count++;
    this.#makeRoom();
    return true;
  }

  async get(tenant: string, id: string): Promise<StoredResponse | undefined> {
    const entry = this.#shelves.get(tenant)?.entries.get(id);
    if (entry === undefined) return undefined;
    if (entry.expiresAt > this.#clock.monotonic()) return JSON.parse(entry.text) as StoredResponse;
    this.#remove(tenant, id);
    return undefined;
  }

  async delete(tenant: string, id: string): Promise<boolean> {
    const isThere = (await this.get(tenant, id)) !== undefined;
    this.#remove(tenant, id);
    return isThere;
  }

  async item(tenant: string, itemId: string): Promise<ResponseItem | undefined> {
    for (const holder of this.#shelves.get(tenant)?.holders.get(itemId) ?? []) {
      const stored = await this.get(tenant, holder);
      if (stored !== undefined) return itemsOf(stored).find(({ id }) => id === itemId);
    }
    return undefined;
  }

  #remove(tenant: string, id: string): void {
    const shelf = this.#shelves.get(tenant);
    const entry = shelf?.entries.get(id);
    if (shelf === undefined || entry === undefined) return;
    shelf.entries.delete(id);
    for (const itemId of entry.itemIds) {
      const holders = shelf.holders.get(itemId);
      holders?.delete(id);
      if (holders?.size === 0) shelf.holders.delete(itemId);
    }
    shelf.bytes -= entry.bytes;
    this.#bytes -= entry.bytes;
    this.#count--;
    if (shelf.entries.size === 0) this.#shelves.delete(tenant);
  }

  #makeRoom(): void {
    while (this.#bytes > this.#limits.bytesMax || this.#count > this.#limits.responsesMax) {
      const [largest] = [...this.#shelves].sort(([, a], [, b]) => b.bytes - a.bytes);
      const oldest = largest?.[1].entries.keys().next().value;
      if (largest === undefined || oldest === undefined) return;
      this.#remove(largest[0], oldest);
    }
  }
}

/** Input, then output. */
export function itemsOf({ input, response }: StoredResponse): readonly ResponseItem[] {
  const output = Array.isArray(response.output) ? response.output : [];
  return [...input, ...output.filter((item): item is ResponseItem => isObject(item) && typeof item.id === "string")];
}
