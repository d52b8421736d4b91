import type { Kysely, Transaction } from "kysely";
import type { Clock } from "../base/clock.ts";
import type { Database } from "../store/open-database.ts";
import type { Tables } from "../store/tables.ts";
import { itemsOf, type ResponseStore, type StoredResponse } from "../translate/response-store.ts";
import type { ResponsesConfig } from "./config.ts";

export interface ResponseStoreOptions {
  readonly database: Database;
  readonly clock: Clock;
  /** As they are now: how long an answer is kept is decided when it is put. */
  readonly limits: () => ResponsesConfig;
}

const dayMs = 86_400_000;
/** Answers that go in one statement. */
const removedAtOnce = 128;

/**
 * Keeps answers in the database, for every gateway that shares it. When it is full, the oldest of the largest tenant
 * give way. Every method throws NexusError `database_unavailable`.
 */
export function createResponseStore({ database, clock, limits: limitsNow }: ResponseStoreOptions): ResponseStore {
  const keep = async (tenant: string, stored: StoredResponse, mayBeNew: boolean): Promise<boolean> => {
    const limits = limitsNow();
    const document = JSON.stringify(stored);
    const bytes = Buffer.byteLength(document);
    if (bytes > Math.min(limits.answerBytesMax, limits.bytesMax)) return false;
    const now = clock.now();
    const expiresAt = now + limits.keepDays * dayMs;
    const row = { tenant_id: tenant, id: stored.id, document, bytes, created_at: now, expires_at: expiresAt };
    const isKept = await database.write(async (transaction) => {
      const isThere = await replaceRow(transaction, row);
      if (!isThere && !mayBeNew) return false;
      if (!isThere) await insertRow(transaction, row);
      await insertItems(transaction, tenant, stored);
      return true;
    });
    if (isKept) await makeRoom(database, limits, now);
    return isKept;
  };
  return {
    put: (tenant, stored) => keep(tenant, stored, true),
    replace: (tenant, stored) => keep(tenant, stored, false),
    async get(tenant, id) {
      const row = await database.read((db) => find(db, { tenant, id, now: clock.now() }));
      return row === undefined ? undefined : (JSON.parse(row.document) as StoredResponse);
    },
    delete: (tenant, id) =>
      database.write(async (transaction) => {
        const isThere = (await find(transaction, { tenant, id, now: clock.now() })) !== undefined;
        await remove(transaction, tenant, [id]);
        return isThere;
      }),
    async item(tenant, itemId) {
      const row = await database.read((db) =>
        db
          .selectFrom("response_items")
          .innerJoin("responses", (join) =>
            join
              .onRef("responses.tenant_id", "=", "response_items.tenant_id")
              .onRef("responses.id", "=", "response_items.response_id"),
          )
          .select("document")
          .where("response_items.tenant_id", "=", tenant)
          .where("response_items.item_id", "=", itemId)
          .where("expires_at", ">", clock.now())
          .limit(1)
          .executeTakeFirst(),
      );
      if (row === undefined) return undefined;
      return itemsOf(JSON.parse(row.document) as StoredResponse).find(({ id }) => id === itemId);
    },
  };
}

function find(
  db: Kysely<Tables>,
  { tenant, id, now }: { readonly tenant: string; readonly id: string; readonly now: number },
) {
  return db
    .selectFrom("responses")
    .select("document")
    .where("tenant_id", "=", tenant)
    .where("id", "=", id)
    .where("expires_at", ">", now)
    .executeTakeFirst();
}

async function insertRow(transaction: Transaction<Tables>, row: Tables["responses"]): Promise<void> {
  await transaction.insertInto("responses").values(row).execute();
  await addToShelf(transaction, row.tenant_id, { responses: 1, bytes: row.bytes });
}

/**
 * Answers whether there was one, whose items are gone then. The row stays the same one: whoever deletes it meanwhile in
 * another process waits for this, and then deletes it.
 */
async function replaceRow(transaction: Transaction<Tables>, row: Tables["responses"]): Promise<boolean> {
  const { tenant_id: tenant, id, ...values } = row;
  const locked = await transaction
    .updateTable("responses")
    .set((columns) => ({ bytes: columns.ref("bytes") }))
    .where("tenant_id", "=", tenant)
    .where("id", "=", id)
    .returning("bytes")
    .executeTakeFirst();
  if (locked === undefined) return false;
  await transaction.updateTable("responses").set(values).where("tenant_id", "=", tenant).where("id", "=", id).execute();
  await transaction
    .deleteFrom("response_items")
    .where("tenant_id", "=", tenant)
    .where("response_id", "=", id)
    .execute();
  await addToShelf(transaction, tenant, { responses: 0, bytes: row.bytes - locked.bytes });
  return true;
}

async function insertItems(transaction: Transaction<Tables>, tenant: string, stored: StoredResponse): Promise<void> {
  const ids = [...new Set(itemsOf(stored).map(({ id }) => id))];
  for (let start = 0; start < ids.length; start += removedAtOnce) {
    const rows = ids
      .slice(start, start + removedAtOnce)
      .map((item_id) => ({ tenant_id: tenant, item_id, response_id: stored.id }));
    await transaction.insertInto("response_items").values(rows).execute();
  }
}

/** Takes answers away, and their items with them. */
async function remove(transaction: Transaction<Tables>, tenant: string, ids: readonly string[]): Promise<void> {
  const removed = await transaction
    .deleteFrom("responses")
    .where("tenant_id", "=", tenant)
    .where("id", "in", ids)
    .returning("bytes")
    .execute();
  if (removed.length === 0) return;
  const bytes = removed.reduce((sum, row) => sum + row.bytes, 0);
  await addToShelf(transaction, tenant, { responses: -removed.length, bytes: -bytes });
}

async function addToShelf(
  transaction: Transaction<Tables>,
  tenant: string,
  { responses, bytes }: { readonly responses: number; readonly bytes: number },
): Promise<void> {
  await transaction
    .insertInto("response_shelves")
    .values({ tenant_id: tenant, responses, bytes })
    .onConflict((conflict) =>
      conflict.column("tenant_id").doUpdateSet((row) => ({
        responses: row("response_shelves.responses", "+", responses),
        bytes: row("response_shelves.bytes", "+", bytes),
      })),
    )
    .execute();
}

/** One transaction touches one tenant: two gateways that make room at once never wait for each other in a circle. */
async function makeRoom(database: Database, limits: ResponsesConfig, now: number): Promise<void> {
  await removeExpired(database, now);
  for (;;) {
    const shelves = await database.read((db) => db.selectFrom("response_shelves").selectAll().execute());
    const sum = (of: "responses" | "bytes") => shelves.reduce((total, shelf) => total + shelf[of], 0);
    const tooMany = sum("responses") - limits.answersMax;
    const tooLarge = sum("bytes") - limits.bytesMax;
    if (tooMany <= 0 && tooLarge <= 0) return;
    const [largest] = shelves.toSorted((left, right) => right.bytes - left.bytes);
    if (largest === undefined) return;
    const removed = await removeOldest(database, largest.tenant_id, { tooMany, tooLarge });
    if (removed === 0) return;
  }
}

/** How many were removed. */
function removeOldest(
  database: Database,
  tenant: string,
  { tooMany, tooLarge }: { readonly tooMany: number; readonly tooLarge: number },
): Promise<number> {
  return database.write(async (transaction) => {
    const oldest = await transaction
      .selectFrom("responses")
      .select(["id", "bytes"])
      .where("tenant_id", "=", tenant)
      .orderBy("created_at")
      .orderBy("id")
      .limit(removedAtOnce)
      .execute();
    let bytes = 0;
    const ids: string[] = [];
    for (const row of oldest) {
      if (ids.length >= tooMany && bytes >= tooLarge) break;
      ids.push(row.id);
      bytes += row.bytes;
    }
    if (ids.length > 0) await remove(transaction, tenant, ids);
    return ids.length;
  });
}

/** A few at a time, with every answer that is put: what is too old is not found in any case. */
async function removeExpired(database: Database, now: number): Promise<void> {
  const expired = await database.read((db) =>
    db
      .selectFrom("responses")
      .select(["tenant_id", "id"])
      .where("expires_at", "<=", now)
      .limit(removedAtOnce)
      .execute(),
  );
  for (const [tenant, rows] of Map.groupBy(expired, (row) => row.tenant_id)) {
    await database.write((transaction) =>
      remove(
        transaction,
        tenant,
        rows.map(({ id }) => id),
      ),
    );
  }
}
