import { type Kysely, sql, type Transaction } from "kysely";
import type { Clock } from "../base/clock.ts";
import type { Database } from "../store/open-database.ts";
import type { Tables } from "../store/tables.ts";
import type { UsageBatch, UsageRow, UsageSums } from "./usage.ts";

/** Somebody's usage since a day. */
export interface SpendQuery {
  readonly kind: "key" | "tenant";
  readonly id: string;
  /** `2026-11-23`, inclusive. */
  readonly since: string;
}

export interface Spend {
  readonly tokens: number;
  readonly costMicroUsd: number;
}

export const usageDimensions = ["key", "tenant", "model", "operation", "day"] as const;
/** What sums of usage can be taken apart by. */
export type UsageDimension = (typeof usageDimensions)[number];

export interface UsageQuery {
  readonly by: readonly UsageDimension[];
  /** Days in UTC, both inclusive. */
  readonly from: string;
  readonly to: string;
  /** Ids. */
  readonly key?: string | undefined;
  readonly tenant?: string | undefined;
  readonly model?: string | undefined;
}

/** Sums, with the dimensions that were asked for. */
export type UsageLine = UsageSums & {
  readonly key_id?: string;
  readonly tenant_id?: string;
  readonly model?: string;
  readonly operation?: string;
  readonly day?: string;
};

export interface UsageStore {
  /**
   * Adds a batch, once however often it is asked to, and reads what is spent, the batch included, in the order of
   * `queries`: one transaction.
   * @throws NexusError `database_unavailable`: whether the batch was added is unknown then.
   */
  apply(batch: UsageBatch, queries: readonly SpendQuery[]): Promise<readonly Spend[]>;
  /** @throws NexusError `database_unavailable`. */
  spend(queries: readonly SpendQuery[]): Promise<readonly Spend[]>;
  /** At most `usageLinesMax`, the costliest and then the busiest first. */
  report(query: UsageQuery): Promise<readonly UsageLine[]>;
}

export const usageLinesMax = 10_000;

/** Rows of one statement: SQLite and PostgreSQL take some 32,000 parameters. */
const rowsPerInsert = 500;
/** A recorder that was silent for so long has died, and its spool with it. */
const recorderDaysMax = 400;
const dayMs = 86_400_000;

export function createUsageStore({
  database,
  clock,
}: {
  readonly database: Database;
  readonly clock: Clock;
}): UsageStore {
  return {
    apply: (batch, queries) =>
      database.write(async (transaction) => {
        if (await claim(batch, transaction, clock.now())) await addRows(batch.rows, transaction);
        return readSpend(queries, transaction);
      }),
    spend: (queries) => database.read((db) => readSpend(queries, db)),
    report: (query) => database.read((db) => readReport(query, db)),
  };
}

/**
 * Whether the batch is new. Its writer's row stays locked until the transaction ends, so that a try whose outcome is
 * unknown and its repetition cannot both be first.
 */
async function claim(
  { recorder, number }: UsageBatch,
  transaction: Transaction<Tables>,
  nowMs: number,
): Promise<boolean> {
  const row = { id: recorder, last_batch: number, seen_at: nowMs };
  const claimed = await transaction
    .insertInto("usage_recorders")
    .values(row)
    .onConflict((conflict) =>
      conflict
        .column("id")
        .doUpdateSet({ last_batch: number, seen_at: nowMs })
        .where("usage_recorders.last_batch", "<", number),
    )
    .returning("id")
    .executeTakeFirst();
  if (number === 1) {
    const oldest = nowMs - recorderDaysMax * dayMs;
    await transaction.deleteFrom("usage_recorders").where("seen_at", "<", oldest).execute();
  }
  return claimed !== undefined;
}

async function addRows(rows: readonly UsageRow[], transaction: Transaction<Tables>): Promise<void> {
  // In one order for all: two gateways that add to the same rows wait for each other, and never both.
  const sorted = rows.toSorted((left, right) => (orderOf(left) < orderOf(right) ? -1 : 1));
  for (let start = 0; start < sorted.length; start += rowsPerInsert) {
    await transaction
      .insertInto("usage_days")
      .values(sorted.slice(start, start + rowsPerInsert))
      .onConflict((conflict) =>
        conflict.columns(["key_id", "day", "model", "operation", "tenant_id"]).doUpdateSet({
          requests: sql<number>`usage_days.requests + excluded.requests`,
          errors: sql<number>`usage_days.errors + excluded.errors`,
          prompt_tokens: sql<number>`usage_days.prompt_tokens + excluded.prompt_tokens`,
          completion_tokens: sql<number>`usage_days.completion_tokens + excluded.completion_tokens`,
          cost_micro_usd: sql<number>`usage_days.cost_micro_usd + excluded.cost_micro_usd`,
        }),
      )
      .execute();
  }
}

function orderOf({ key_id, day, model, operation, tenant_id }: UsageRow): string {
  return JSON.stringify([key_id, day, model, operation, tenant_id]);
}

async function readSpend(queries: readonly SpendQuery[], db: Kysely<Tables>): Promise<Spend[]> {
  const spend: Spend[] = [];
  for (const { kind, id, since } of queries) {
    const row = await db
      .selectFrom("usage_days")
      .select([
        sql<number | null>`sum(prompt_tokens + completion_tokens)`.as("tokens"),
        sql<number | null>`sum(cost_micro_usd)`.as("cost"),
      ])
      .where(kind === "key" ? "key_id" : "tenant_id", "=", id)
      .where("day", ">=", since)
      .executeTakeFirst();
    spend.push({ tokens: row?.tokens ?? 0, costMicroUsd: row?.cost ?? 0 });
  }
  return spend;
}

const columns = {
  key: "key_id",
  tenant: "tenant_id",
  model: "model",
  operation: "operation",
  day: "day",
} as const satisfies Record<UsageDimension, string>;

async function readReport({ by, from, to, ...only }: UsageQuery, db: Kysely<Tables>): Promise<UsageLine[]> {
  const grouped = by.map((dimension) => columns[dimension]);
  let query = db
    .selectFrom("usage_days")
    .select([
      sql<number>`coalesce(sum(requests), 0)`.as("requests"),
      sql<number>`coalesce(sum(errors), 0)`.as("errors"),
      sql<number>`coalesce(sum(prompt_tokens), 0)`.as("prompt_tokens"),
      sql<number>`coalesce(sum(completion_tokens), 0)`.as("completion_tokens"),
      sql<number>`coalesce(sum(cost_micro_usd), 0)`.as("cost_micro_usd"),
    ])
    .where("day", ">=", from)
    .where("day", "<=", to);
  if (only.key !== undefined) query = query.where("key_id", "=", only.key);
  if (only.tenant !== undefined) query = query.where("tenant_id", "=", only.tenant);
  if (only.model !== undefined) query = query.where("model", "=", only.model);
  const ordered = by.includes("day") ? query.orderBy("day") : query;
  const rows = await ordered
    .orderBy("cost_micro_usd", "desc")
    .orderBy("requests", "desc")
    .$if(grouped.length > 0, (some) => some.select(grouped).groupBy(grouped))
    .limit(usageLinesMax)
    .execute();
  return rows.map((row) => ({ ...row }));
}
