import { sql, type Transaction } from "kysely";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Database } from "../store/open-database.ts";
import type { FilesTable, Tables } from "../store/tables.ts";
import type { FilesConfig } from "./config.ts";
import { type Page, type PageQuery, readPage } from "./page-store.ts";

/** What is known of a file besides its bytes. */
export interface StoredFile {
  readonly id: string;
  readonly tenant: string;
  readonly purpose: string;
  readonly filename: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

/** Results of batches: they take from what all files may take, and not from what their tenant may upload. */
export const resultPurpose = "batch_output";

/** Whose files there are. Every method throws NexusError `database_unavailable`. */
export interface FileStore {
  /** Once, however often it is asked to. @throws NexusError `storage_full` when it is too much. */
  add(file: StoredFile): Promise<void>;
  find(tenant: string, id: string): Promise<StoredFile | undefined>;
  page(tenant: string, query: PageQuery, purpose: string | undefined): Promise<Page<StoredFile>>;
  /** Whether there was one. */
  remove(tenant: string, id: string): Promise<boolean>;
  /** Takes some that are too old away; their ids. */
  removeExpired(): Promise<readonly string[]>;
  /** Those of the ids that there are. */
  known(ids: readonly string[]): Promise<ReadonlySet<string>>;
}

const expiredAtOnce = 100;

interface FileStoreOptions {
  readonly database: Database;
  readonly clock: Clock;
  /** As they are now. */
  readonly limits: () => FilesConfig;
}

export function createFileStore({ database, clock, limits }: FileStoreOptions): FileStore {
  const isLive = () => sql<boolean>`(expires_at is null or expires_at > ${clock.now()})`;
  return {
    async add(file) {
      const { createdAt, expiresAt, tenant, ...rest } = file;
      const row = { ...rest, tenant_id: tenant, created_at: createdAt, expires_at: expiresAt };
      await database.write(async (transaction) => {
        requireRoom(file, await readTaken(transaction, tenant), limits());
        await transaction
          .insertInto("files")
          .values(row)
          .onConflict((conflict) => conflict.column("id").doNothing())
          .execute();
      });
    },
    async find(tenant, id) {
      const row = await database.read((db) =>
        db
          .selectFrom("files")
          .selectAll()
          .where("id", "=", id)
          .where("tenant_id", "=", tenant)
          .where(isLive())
          .executeTakeFirst(),
      );
      return row === undefined ? undefined : toFile(row);
    },
    async page(tenant, query, purpose) {
      const only = purpose === undefined ? isLive() : sql`${isLive()} and purpose = ${purpose}`;
      const { entries, hasMore } = await database.read((db) => readPage(db, { table: "files", tenant, only }, query));
      return { entries: entries.map(toFile), hasMore };
    },
    async remove(tenant, id) {
      const removed = await database.write((transaction) =>
        transaction.deleteFrom("files").where("id", "=", id).where("tenant_id", "=", tenant).returning("id").execute(),
      );
      return removed.length > 0;
    },
    async removeExpired() {
      return await database.write(async (transaction) => {
        const expired = await transaction
          .selectFrom("files")
          .select("id")
          .where("expires_at", "<=", clock.now())
          .limit(expiredAtOnce)
          .execute();
        const ids = expired.map(({ id }) => id);
        if (ids.length > 0) await transaction.deleteFrom("files").where("id", "in", ids).execute();
        return ids;
      });
    },
    async known(ids) {
      if (ids.length === 0) return new Set();
      const rows = await database.read((db) => db.selectFrom("files").select("id").where("id", "in", ids).execute());
      return new Set(rows.map(({ id }) => id));
    },
  };
}

/** Bytes of all files, and of those that one tenant has uploaded. */
interface Taken {
  readonly total: number;
  readonly own: number;
}

async function readTaken(transaction: Transaction<Tables>, tenant: string): Promise<Taken> {
  const sums = await sql<Taken>`select coalesce(sum(bytes), 0) as total,
    coalesce(sum(case when tenant_id = ${tenant} and purpose <> ${resultPurpose} then bytes else 0 end), 0) as own
    from files`.execute(transaction);
  return sums.rows[0] ?? { total: 0, own: 0 };
}

/** @throws NexusError `storage_full` */
function requireRoom(
  { bytes, purpose }: StoredFile,
  { total, own }: Taken,
  { tenantBytesMax, bytesMax }: FilesConfig,
): void {
  if (purpose !== resultPurpose && own + bytes > tenantBytesMax) {
    throw new NexusError(
      "storage_full",
      `With this file yours would take more than ${tenantBytesMax} bytes. Delete some, or raise \`files.tenantBytesMax\`.`,
    );
  }
  if (total + bytes > bytesMax) {
    throw new NexusError(
      "storage_full",
      "There is no room for more files here. Delete some, or raise `files.bytesMax`.",
    );
  }
}

function toFile({ tenant_id, created_at, expires_at, ...rest }: FilesTable): StoredFile {
  return { ...rest, tenant: tenant_id, createdAt: created_at, expiresAt: expires_at };
}
