import type { Kysely, Transaction } from "kysely";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Database } from "../store/open-database.ts";
import type { Tables } from "../store/tables.ts";
import type { JsonObject } from "../translate/request-fields.ts";
import type { Lease } from "./batch-store.ts";

/** How an answer stands that is being made; `cancelling`: somebody has asked for its end. */
export type RunStatus = "queued" | "in_progress" | "cancelling";

/** An event of an answer. */
export type RunEvent = JsonObject & { readonly sequence_number: number };

export interface RunSaying {
  readonly events: readonly RunEvent[];
  readonly hasBegun: boolean;
}

/**
 * Answers that are made in the background, and what they have said so far. The process that makes one holds a lease on
 * it and renews it. Every method throws NexusError `database_unavailable`.
 */
export interface RunStore {
  /** @throws NexusError `rate_limit_exceeded` when the tenant has `runsMax` already. */
  add(run: { readonly tenant: string; readonly id: string }, lease: Lease, runsMax: number): Promise<void>;
  /** How one stands that somebody works on; undefined when nobody does, or not any more. */
  find(tenant: string, id: string): Promise<RunStatus | undefined>;
  /** Asks for its end. */
  cancel(tenant: string, id: string): Promise<void>;
  /** Renews what the holder holds. What is missing in the answer it holds no longer. */
  renew(lease: Lease): Promise<ReadonlyMap<string, RunStatus>>;
  /** Adds what it has said, in order. Once somebody has begun to answer, it is under way. */
  addEvents(tenant: string, id: string, said: RunSaying): Promise<void>;
  /** What it has said after an event, a part of it when that is much. -1 for all. */
  eventsAfter(tenant: string, id: string, after: number): Promise<readonly RunEvent[]>;
  /** It has ended: what it has said is kept for a while. Its answer is in the store by now. */
  end(tenant: string, id: string): Promise<void>;
  /** It has never been, for clients: whoever works on it will find that out. */
  remove(tenant: string, id: string): Promise<void>;
  /** Takes it from a holder that has not been heard of. Whether it is nobody's, and so may be given up. */
  takeUp(tenant: string, id: string): Promise<boolean>;
}

/** For whoever reads the events of an answer that has ended (OpenAI: about ten minutes). */
const keepEndedMs = 600_000;
/** For the events of one that goes on; of what was given up by everybody nothing is left after that. */
const keepMs = 86_400_000;
/** Rows of events that are read at once. Each holds what was said in a tenth of a second or so. */
const rowsAtOnce = 32;

export function createRunStore({ database, clock }: { readonly database: Database; readonly clock: Clock }): RunStore {
  return { ...leasing(database, clock), ...saying(database, clock), ...ending(database, clock) };
}

type Leasing = "add" | "find" | "cancel" | "renew" | "takeUp";

function leasing(database: Database, clock: Clock): Pick<RunStore, Leasing> {
  const runOf = (db: Kysely<Tables>, tenant: string, id: string) =>
    db.selectFrom("response_runs").selectAll().where("tenant_id", "=", tenant).where("id", "=", id).executeTakeFirst();
  return {
    add: ({ tenant, id }, { holder, until }, runsMax) =>
      database.write(async (transaction) => {
        await sweep(transaction, clock.now());
        const open = await transaction
          .selectFrom("response_runs")
          .select("id")
          .where("tenant_id", "=", tenant)
          .where("held_until", ">", clock.now())
          .limit(runsMax)
          .execute();
        if (open.length >= runsMax) {
          throw new NexusError("rate_limit_exceeded", `There are ${runsMax} answers in the background already.`, {
            retryAfterSeconds: 10,
          });
        }
        const row = { tenant_id: tenant, id, status: "queued" as const, holder, held_until: until };
        await transaction.insertInto("response_runs").values(row).execute();
      }),
    async find(tenant, id) {
      const run = await database.read((db) => runOf(db, tenant, id));
      return run === undefined || run.held_until <= clock.now() ? undefined : run.status;
    },
    async cancel(tenant, id) {
      await database.write((transaction) =>
        transaction
          .updateTable("response_runs")
          .set({ status: "cancelling" })
          .where("tenant_id", "=", tenant)
          .where("id", "=", id)
          .execute(),
      );
    },
    async renew({ holder, until }) {
      const rows = await database.write((transaction) =>
        transaction
          .updateTable("response_runs")
          .set({ held_until: until })
          .where("holder", "=", holder)
          .returning(["id", "status"])
          .execute(),
      );
      return new Map(rows.map(({ id, status }) => [id, status]));
    },
    takeUp: (tenant, id) =>
      database.write(async (transaction) => {
        await transaction
          .deleteFrom("response_runs")
          .where("tenant_id", "=", tenant)
          .where("id", "=", id)
          .where("held_until", "<=", clock.now())
          .execute();
        return (await runOf(transaction, tenant, id)) === undefined;
      }),
  };
}

async function sweep(transaction: Transaction<Tables>, now: number): Promise<void> {
  await transaction.deleteFrom("response_events").where("expires_at", "<=", now).execute();
  await transaction
    .deleteFrom("response_runs")
    .where("held_until", "<=", now - keepMs)
    .execute();
}

function saying(database: Database, clock: Clock): Pick<RunStore, "addEvents" | "eventsAfter"> {
  return {
    async addEvents(tenant, id, { events, hasBegun }) {
      const first = events[0]?.sequence_number;
      const last = events.at(-1)?.sequence_number;
      if (first === undefined || last === undefined) return;
      const row = { tenant_id: tenant, response_id: id, first, last, expires_at: clock.now() + keepMs };
      await database.write(async (transaction) => {
        await transaction
          .insertInto("response_events")
          .values({ ...row, events: JSON.stringify(events) })
          // A write whose answer was lost is done again.
          .onConflict((conflict) => conflict.columns(["tenant_id", "response_id", "first"]).doNothing())
          .execute();
        if (!hasBegun) return;
        await transaction
          .updateTable("response_runs")
          .set({ status: "in_progress" })
          .where("tenant_id", "=", tenant)
          .where("id", "=", id)
          .where("status", "=", "queued")
          .execute();
      });
    },
    async eventsAfter(tenant, id, after) {
      const rows = await database.read((db) =>
        db
          .selectFrom("response_events")
          .select("events")
          .where("tenant_id", "=", tenant)
          .where("response_id", "=", id)
          .where("last", ">", after)
          .orderBy("first")
          .limit(rowsAtOnce)
          .execute(),
      );
      const events = rows.flatMap((row) => JSON.parse(row.events) as RunEvent[]);
      return events.filter(({ sequence_number }) => sequence_number > after);
    },
  };
}

function ending(database: Database, clock: Clock): Pick<RunStore, "end" | "remove"> {
  const removeRun = (transaction: Transaction<Tables>, tenant: string, id: string) =>
    transaction.deleteFrom("response_runs").where("tenant_id", "=", tenant).where("id", "=", id).execute();
  return {
    async end(tenant, id) {
      await database.write(async (transaction) => {
        await transaction
          .updateTable("response_events")
          .set({ expires_at: clock.now() + keepEndedMs })
          .where("tenant_id", "=", tenant)
          .where("response_id", "=", id)
          .execute();
        await removeRun(transaction, tenant, id);
      });
    },
    async remove(tenant, id) {
      await database.write(async (transaction) => {
        await transaction
          .deleteFrom("response_events")
          .where("tenant_id", "=", tenant)
          .where("response_id", "=", id)
          .execute();
        await removeRun(transaction, tenant, id);
      });
    },
  };
}
