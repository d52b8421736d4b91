import { type Kysely, sql, type Transaction } from "kysely";
import { z } from "zod";
import type { KeySecretsTable, KeysTable, Tables, TenantsTable } from "../store/tables.ts";
import { type KeyRecord, type Limits, limitsSchema, type TenantRecord } from "./key-record.ts";

/** Rows of keys and tenants, and the records that they are. */

/** What a newer Nexus may have added is not read. */
const storedLimitsSchema = z.object(limitsSchema.shape);

function readLimits(text: string): Limits {
  return storedLimitsSchema.parse(JSON.parse(text)) as Limits;
}

function momentText(moment: number | null): string | null {
  return moment === null ? null : new Date(moment).toISOString();
}

export function toTenant({ id, name, limits, created_at }: TenantsTable): TenantRecord {
  return { id, name, limits: readLimits(limits), created_at: new Date(created_at).toISOString() };
}

function toKey(row: KeysTable, secrets: readonly KeySecretsTable[]): KeyRecord {
  return {
    id: row.id,
    name: row.name,
    tenant_id: row.tenant_id,
    role: row.role,
    secrets: secrets
      .toSorted((left, right) => endOf(right) - endOf(left))
      .map(({ hash, valid_until }) => ({ hash, valid_until: momentText(valid_until) })),
    hint: row.hint,
    is_weak: row.is_weak === 1,
    limits: readLimits(row.limits),
    created_at: new Date(row.created_at).toISOString(),
    expires_at: momentText(row.expires_at),
    revoked_at: momentText(row.revoked_at),
  };
}

/** The newest one has no end. */
function endOf({ valid_until }: KeySecretsTable): number {
  return valid_until ?? Number.MAX_SAFE_INTEGER;
}

/** Which keys to read. All when left out. */
export interface KeySelection {
  readonly id?: string;
  readonly hash?: string;
  readonly changedSince?: number;
}

/** Keys with their secrets, the oldest first. A row that cannot be read is left out and told of. */
export async function readKeys(
  db: Kysely<Tables>,
  { id, hash, changedSince }: KeySelection,
  onBadRow: (error: unknown) => void,
): Promise<KeyRecord[]> {
  let keys = db.selectFrom("keys").selectAll().orderBy("created_at").orderBy("id");
  let secrets = db.selectFrom("key_secrets").selectAll();
  if (id !== undefined) {
    keys = keys.where("id", "=", id);
    secrets = secrets.where("key_id", "=", id);
  }
  if (hash !== undefined) {
    keys = keys.where("id", "in", db.selectFrom("key_secrets").select("key_id").where("hash", "=", hash));
    secrets = secrets.where("key_id", "in", db.selectFrom("key_secrets").select("key_id").where("hash", "=", hash));
  }
  if (changedSince !== undefined) {
    keys = keys.where("revision", ">", changedSince);
    const changed = db.selectFrom("keys").select("id").where("revision", ">", changedSince);
    secrets = secrets.where("key_id", "in", changed);
  }
  const rows = await keys.execute();
  if (rows.length === 0) return [];
  const secretsByKey = Map.groupBy(await secrets.execute(), ({ key_id }) => key_id);
  return rows.flatMap((row) => readable(() => toKey(row, secretsByKey.get(row.id) ?? []), onBadRow));
}

/** Tenants, the oldest first. */
export async function readTenants(
  db: Kysely<Tables>,
  { changedSince }: Pick<KeySelection, "changedSince">,
  onBadRow: (error: unknown) => void,
): Promise<TenantRecord[]> {
  let tenants = db.selectFrom("tenants").selectAll().orderBy("created_at").orderBy("id");
  if (changedSince !== undefined) tenants = tenants.where("revision", ">", changedSince);
  return (await tenants.execute()).flatMap((row) => readable(() => toTenant(row), onBadRow));
}

function readable<T>(read: () => T, onBadRow: (error: unknown) => void): T[] {
  try {
    return [read()];
  } catch (error) {
    onBadRow(error);
    return [];
  }
}

/** The counter that grows with every change of a key or tenant. */
export async function readRevision(db: Kysely<Tables>): Promise<number> {
  const row = await db.selectFrom("changes").select("counter").where("name", "=", "keys").executeTakeFirst();
  return row?.counter ?? 0;
}

/**
 * Begins a change: nobody else can change keys until the transaction ends, so that what it looks at stays true, and
 * readers who have seen a counter have seen everything up to it.
 */
export async function beginChange(transaction: Transaction<Tables>): Promise<number> {
  const { counter } = await transaction
    .insertInto("changes")
    .values({ name: "keys", counter: 1 })
    .onConflict((conflict) => conflict.column("name").doUpdateSet({ counter: sql<number>`changes.counter + 1` }))
    .returning("counter")
    .executeTakeFirstOrThrow();
  return counter;
}
