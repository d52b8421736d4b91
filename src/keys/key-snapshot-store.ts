import type { Database } from "../store/open-database.ts";
import type { KeyRecord, TenantRecord } from "./key-record.ts";
import { readKeys, readRevision, readTenants } from "./key-rows-store.ts";

/** What a gateway knows of keys, or what has changed since it looked. */
export interface KeySnapshot {
  readonly revision: number;
  /** Whether it is everything, or only what is newer. */
  readonly isWhole: boolean;
  readonly keys: readonly KeyRecord[];
  readonly tenants: readonly TenantRecord[];
}

/** Where a gateway reads keys from. */
export interface KeySource {
  /**
   * What has changed since a revision; undefined when nothing has. Everything when `since` is undefined, or when the
   * database is an older one than it was.
   * @throws NexusError `database_unavailable`.
   */
  changes(since: number | undefined): Promise<KeySnapshot | undefined>;
}

/** One cheap look at the counter, and rows only when it has moved. */
export function createKeySource(database: Database, onBadRow: (error: unknown) => void): KeySource {
  return {
    changes: (since) =>
      database.read(async (db) => {
        const revision = await readRevision(db);
        if (revision === since) return undefined;
        const isWhole = since === undefined || revision < since;
        const selection = isWhole ? {} : { changedSince: since };
        // Keys first: the tenant of a key that is seen has been there before it.
        const keys = await readKeys(db, selection, onBadRow);
        return { revision, isWhole, keys, tenants: await readTenants(db, selection, onBadRow) };
      }),
  };
}
