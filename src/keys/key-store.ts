import type { Transaction } from "kysely";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Database } from "../store/open-database.ts";
import type { Tables } from "../store/tables.ts";
import {
  defaultTenantId,
  type KeyRecord,
  type KeyRole,
  type Limits,
  type LimitsPatch,
  patchLimits,
} from "./key-record.ts";
import { beginChange, readKeys } from "./key-rows-store.ts";
import { hashKey, makeSecret, newId } from "./key-secret.ts";
import { isLive } from "./key-state.ts";

export interface NewKey {
  readonly name: string;
  readonly role: KeyRole;
  /** Default: 256 random bits. */
  readonly key?: string | undefined;
  /** Id or name. Default: the tenant `default`. */
  readonly tenant?: string | undefined;
  /** Default: none. */
  readonly limits?: Limits | undefined;
  /** Milliseconds since the epoch. Default: never. */
  readonly expiresAt?: number | null | undefined;
}

/** What is left out stays. */
export interface KeyChange {
  readonly name?: string | undefined;
  readonly limits?: LimitsPatch | undefined;
  /** Null: never. */
  readonly expiresAt?: number | null | undefined;
}

export interface Rotation {
  /** How long the old key goes on working, so that clients can change over. 0 ends it now. */
  readonly overlapMs: number;
  /** Default: 256 random bits. */
  readonly key?: string | undefined;
}

export interface MadeKey {
  /** It is in this answer and nowhere else: it cannot be shown again. */
  readonly key: string;
  readonly record: KeyRecord;
}

/** Creates, changes and lists keys. Any number of processes may do so; the gateways hear of it through `KeyCache`. */
export interface KeyStore {
  /**
   * Makes a key, or takes one that clients have already.
   * @throws NexusError `conflict` when the name or the key is taken, `not_found` for the tenant, `invalid_request` when the key cannot be one.
   */
  create(input: NewKey): Promise<MadeKey>;
  /** The oldest first. */
  list(): Promise<readonly KeyRecord[]>;
  /** The record of a key that works now. */
  find(key: string): Promise<KeyRecord | undefined>;
  /** @throws NexusError `not_found`; `conflict` when the new name is taken or the key is revoked. */
  change(idOrName: string, change: KeyChange): Promise<KeyRecord>;
  /**
   * Gives it a new key; name, limits and usage stay.
   * @throws NexusError `not_found`; `conflict` when it is revoked.
   */
  rotate(idOrName: string, rotation: Rotation): Promise<MadeKey>;
  /** @throws NexusError `not_found` when no key has this id or name. */
  revoke(idOrName: string): Promise<KeyRecord>;
}

/** The store over a database. All that is kept of a key is its hash. */
export function createKeyStore({ database, clock }: { readonly database: Database; readonly clock: Clock }): KeyStore {
  const change = <T>(run: (transaction: Transaction<Tables>, revision: number) => Promise<T>): Promise<T> =>
    database.write(async (transaction) => run(transaction, await beginChange(transaction)));

  return {
    list: () => database.read((db) => readKeys(db, {}, rethrow)),
    async find(key) {
      const hash = hashKey(key);
      const [record] = await database.read((db) => readKeys(db, { hash }, rethrow));
      return record !== undefined && isLive(record, hash, clock.now()) ? record : undefined;
    },
    create: (input) => change((transaction, revision) => createKey(input, { transaction, revision, now: clock.now() })),
    change: (idOrName, wanted) =>
      change(async (transaction, revision) => {
        const { id, name } = await findLive(transaction, idOrName);
        if (wanted.name !== undefined && wanted.name !== name) await refuseTakenName(transaction, wanted.name);
        const { limits } = await readOne(transaction, id);
        const set = {
          revision,
          ...(wanted.name === undefined ? {} : { name: wanted.name }),
          ...(wanted.limits === undefined ? {} : { limits: JSON.stringify(patchLimits(limits, wanted.limits)) }),
          ...(wanted.expiresAt === undefined ? {} : { expires_at: wanted.expiresAt }),
        };
        await transaction.updateTable("keys").set(set).where("id", "=", id).execute();
        return readOne(transaction, id);
      }),
    rotate: (idOrName, rotation) =>
      change((transaction, revision) => rotateKey(idOrName, rotation, { transaction, revision, now: clock.now() })),
    revoke: (idOrName) =>
      change(async (transaction, revision) => {
        const found = await findKey(transaction, idOrName);
        if (found.revoked_at !== null) return readOne(transaction, found.id);
        const set = { revoked_at: clock.now(), revision };
        await transaction.updateTable("keys").set(set).where("id", "=", found.id).execute();
        return readOne(transaction, found.id);
      }),
  };
}

/** A change under way. */
interface Change {
  readonly transaction: Transaction<Tables>;
  readonly revision: number;
  readonly now: number;
}

async function createKey(input: NewKey, { transaction, revision, now }: Change): Promise<MadeKey> {
  const secret = makeSecret(input.key);
  const id = newId("key");
  await refuseTakenName(transaction, input.name);
  const row = {
    id,
    name: input.name,
    tenant_id: await findTenantId(transaction, input.tenant),
    role: input.role,
    hint: secret.hint,
    is_weak: secret.isWeak ? (1 as const) : (0 as const),
    limits: JSON.stringify(input.limits ?? {}),
    created_at: now,
    expires_at: input.expiresAt ?? null,
    revoked_at: null,
    revision,
  };
  await transaction.insertInto("keys").values(row).execute();
  await addSecret(transaction, { id, hash: secret.hash, now });
  return { key: secret.key, record: await readOne(transaction, id) };
}

async function rotateKey(
  idOrName: string,
  { overlapMs, key: chosen }: Rotation,
  { transaction, revision, now }: Change,
): Promise<MadeKey> {
  const { id } = await findLive(transaction, idOrName);
  const secret = makeSecret(chosen);
  // An older rotation's overlap is not made longer by this one.
  await transaction
    .updateTable("key_secrets")
    .set({ valid_until: now + overlapMs })
    .where("key_id", "=", id)
    .where((where) => where.or([where("valid_until", "is", null), where("valid_until", ">", now + overlapMs)]))
    .execute();
  await addSecret(transaction, { id, hash: secret.hash, now });
  const set = { hint: secret.hint, is_weak: secret.isWeak ? (1 as const) : (0 as const), revision };
  await transaction.updateTable("keys").set(set).where("id", "=", id).execute();
  return { key: secret.key, record: await readOne(transaction, id) };
}

function rethrow(error: unknown): never {
  throw error;
}

async function readOne(transaction: Transaction<Tables>, id: string): Promise<KeyRecord> {
  const [record] = await readKeys(transaction, { id }, rethrow);
  if (record === undefined) throw new Error(`key ${id} is gone within its own transaction`);
  return record;
}

interface FoundKey {
  readonly id: string;
  readonly name: string;
  readonly revoked_at: number | null;
}

/** By id, else by the name of one that is not revoked. */
async function findKey(transaction: Transaction<Tables>, idOrName: string): Promise<FoundKey> {
  const columns = ["id", "name", "revoked_at"] as const;
  const byId = await transaction.selectFrom("keys").select(columns).where("id", "=", idOrName).executeTakeFirst();
  if (byId !== undefined) return byId;
  const byName = await transaction
    .selectFrom("keys")
    .select(columns)
    .where("name", "=", idOrName)
    .where("revoked_at", "is", null)
    .executeTakeFirst();
  if (byName === undefined) throw new NexusError("not_found", `No key has the id or name '${idOrName}'.`);
  return byName;
}

async function findLive(transaction: Transaction<Tables>, idOrName: string): Promise<FoundKey> {
  const found = await findKey(transaction, idOrName);
  if (found.revoked_at === null) return found;
  throw new NexusError("conflict", `The key '${found.name}' is revoked: make another one.`);
}

async function refuseTakenName(transaction: Transaction<Tables>, name: string): Promise<void> {
  const taken = await transaction
    .selectFrom("keys")
    .select("id")
    .where("name", "=", name)
    .where("revoked_at", "is", null)
    .executeTakeFirst();
  if (taken === undefined) return;
  throw new NexusError("conflict", `A key named '${name}' exists: choose another name or revoke it first.`);
}

async function addSecret(
  transaction: Transaction<Tables>,
  { id, hash, now }: { readonly id: string; readonly hash: string; readonly now: number },
): Promise<void> {
  const taken = await transaction.selectFrom("key_secrets").select("hash").where("hash", "=", hash).executeTakeFirst();
  if (taken !== undefined) {
    throw new NexusError("conflict", "This key is in use already, or was and is revoked: choose another one.");
  }
  const row = { hash, key_id: id, created_at: now, valid_until: null };
  await transaction.insertInto("key_secrets").values(row).execute();
}

async function findTenantId(transaction: Transaction<Tables>, idOrName: string | undefined): Promise<string> {
  if (idOrName === undefined) return defaultTenantId;
  const found = await transaction
    .selectFrom("tenants")
    .select("id")
    .where((where) => where.or([where("id", "=", idOrName), where("name", "=", idOrName)]))
    .executeTakeFirst();
  if (found !== undefined) return found.id;
  throw new NexusError("not_found", `No tenant has the id or name '${idOrName}': \`nexus tenants create\` makes one.`);
}
