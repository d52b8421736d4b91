import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { KeyCopy } from "./key-copy.ts";
import type { KeyRecord, TenantRecord } from "./key-record.ts";
import { hashKey } from "./key-secret.ts";
import type { KeySnapshot, KeySource } from "./key-snapshot-store.ts";
import { isKeyLive, isLive } from "./key-state.ts";
import { type KnownKey, toKnownKey } from "./known-key.ts";

/** Finds out whose key it is, from memory. */
export interface KeyCache {
  /**
   * The key when it works, at once when it is known. An unknown one is looked for in the database before it is called
   * unknown.
   * @throws NexusError `database_unavailable` for a key that is not known here while the database is away: it may
   * exist, so this is never said to be a wrong key.
   */
  find(key: string): KnownKey | undefined | Promise<KnownKey | undefined>;
  /** The key of an id when it works, for what goes on in its name. @throws NexusError like `find`. */
  findById(id: string): KnownKey | undefined | Promise<KnownKey | undefined>;
  /** Every key that is known, whether it works or not. */
  all(): Iterable<KnownKey>;
  close(): void;
}

export interface KeyCacheOptions {
  readonly source: KeySource;
  /** Undefined: nothing is kept on disk. */
  readonly copy: KeyCopy | undefined;
  readonly clock: Clock;
  /** Told once when the database goes away, or its keys can't be kept on disk. */
  readonly onProblem: (error: unknown) => void;
}

/** How often the database is asked for changes: a revoked key stops working within half a second. */
const pollMs = 250;
/** How long a request waits for the database to tell whether its key exists. */
const unknownWaitMs = 1_500;
/** A burst of changes is written to disk once. */
const copyDelayMs = 1_000;

/** Reads what is on disk, then the database; resolves when one of them has answered or both have failed. */
export async function openKeyCache(options: KeyCacheOptions): Promise<KeyCache> {
  const cache = new PollingKeyCache(options);
  await cache.open();
  return cache;
}

class PollingKeyCache implements KeyCache {
  readonly #options: KeyCacheOptions;
  readonly #keys = new Map<string, KnownKey>();
  readonly #tenants = new Map<string, TenantRecord>();
  readonly #byHash = new Map<string, KnownKey>();
  #revision: number | undefined;
  #isAway = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #isClosed = false;
  #stopPolling = () => {};
  #stopCopying: (() => void) | undefined;

  constructor(options: KeyCacheOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const copy = await this.#options.copy?.read();
    // What the copy knows may be of another database: the first look at this one replaces it.
    if (copy !== undefined) this.#apply(copy);
    await within(this.#refresh(), unknownWaitMs, this.#options.clock);
    this.#poll();
  }

  find(key: string): KnownKey | undefined | Promise<KnownKey | undefined> {
    const hash = hashKey(key);
    const known = this.#byHash.get(hash);
    if (known !== undefined) return this.#ifLive(known, hash);
    return this.#findNew(() => this.#ifLive(this.#byHash.get(hash), hash));
  }

  findById(id: string): KnownKey | undefined | Promise<KnownKey | undefined> {
    const find = () => {
      const known = this.#keys.get(id);
      return known !== undefined && isKeyLive(known.record, this.#options.clock.now()) ? known : undefined;
    };
    return this.#keys.has(id) ? find() : this.#findNew(find);
  }

  all(): Iterable<KnownKey> {
    return this.#keys.values();
  }

  close(): void {
    this.#isClosed = true;
    this.#stopPolling();
    this.#stopCopying?.();
  }

  #ifLive(known: KnownKey | undefined, hash: string): KnownKey | undefined {
    return known !== undefined && isLive(known.record, hash, this.#options.clock.now()) ? known : undefined;
  }

  /** Perhaps it is newer than the last look. One look serves all who wait for it. */
  async #findNew(find: () => KnownKey | undefined): Promise<KnownKey | undefined> {
    const hasLooked = !this.#isAway && (await within(this.#refreshAfterNow(), unknownWaitMs, this.#options.clock));
    const known = find();
    if (known === undefined && (this.#isAway || !hasLooked)) {
      throw new NexusError(
        "database_unavailable",
        "This key is not known here yet, and the database does not answer.",
        {
          retryAfterSeconds: 2,
        },
      );
    }
    return known;
  }

  /** A look that begins after this call: one that is under way may have read already. */
  #refreshAfterNow(): Promise<void> {
    if (this.#running === undefined) return this.#refresh();
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#refresh();
    });
    return this.#next;
  }

  #refresh(): Promise<void> {
    this.#running ??= this.#look().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    try {
      const snapshot = await this.#options.source.changes(this.#revision);
      this.#isAway = false;
      if (snapshot === undefined || this.#isClosed) return;
      this.#apply(snapshot);
      this.#revision = snapshot.revision;
      this.#copySoon();
    } catch (error) {
      if (!this.#isAway && !this.#isClosed) this.#options.onProblem(error);
      this.#isAway = true;
    }
  }

  #apply({ isWhole, keys, tenants }: KeySnapshot): void {
    if (isWhole) {
      this.#keys.clear();
      this.#tenants.clear();
      this.#byHash.clear();
    }
    for (const tenant of tenants) this.#tenants.set(tenant.id, tenant);
    const changed = new Map(keys.map((record) => [record.id, record]));
    const tenantIds = new Set(tenants.map(({ id }) => id));
    for (const { record } of this.#keys.values()) {
      if (tenantIds.has(record.tenant_id) && !changed.has(record.id)) changed.set(record.id, record);
    }
    for (const record of changed.values()) this.#setKey(record);
  }

  #setKey(record: KeyRecord): void {
    const tenant = this.#tenants.get(record.tenant_id);
    if (tenant === undefined) {
      this.#options.onProblem(new Error(`key ${record.id} has a tenant that cannot be read`));
      return;
    }
    for (const { hash } of this.#keys.get(record.id)?.record.secrets ?? []) this.#byHash.delete(hash);
    const known = toKnownKey(record, tenant);
    this.#keys.set(record.id, known);
    for (const { hash } of record.secrets) this.#byHash.set(hash, known);
  }

  #poll(): void {
    if (this.#isClosed) return;
    this.#stopPolling = this.#options.clock.after(pollMs, () => {
      void this.#refresh().then(() => this.#poll());
    });
  }

  #copySoon(): void {
    const { copy, clock } = this.#options;
    if (copy === undefined || this.#stopCopying !== undefined) return;
    this.#stopCopying = clock.after(copyDelayMs, () => {
      this.#stopCopying = undefined;
      const keys = [...this.#keys.values()].map(({ record }) => record);
      const snapshot = { revision: this.#revision ?? 0, isWhole: true, keys, tenants: [...this.#tenants.values()] };
      copy.write(snapshot).catch(this.#options.onProblem);
    });
  }
}

/** Waits for a promise that never rejects, but not longer than this. Whether it is done. */
async function within(promise: Promise<void>, ms: number, clock: Clock): Promise<boolean> {
  const { promise: timeout, resolve } = Promise.withResolvers<boolean>();
  const cancel = clock.after(ms, () => resolve(false));
  const isDone = await Promise.race([promise.then(() => true), timeout]);
  cancel();
  return isDone;
}
