import { type Selectable, sql, type Transaction } from "kysely";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Database } from "../store/open-database.ts";
import type { BatchesTable, Tables } from "../store/tables.ts";
import { type Page, type PageQuery, readPage } from "./page-store.ts";

/** Of which somebody still has to do something. */
export const openStatuses = ["validating", "in_progress", "finalizing", "cancelling"] as const;
export type OpenStatus = (typeof openStatuses)[number];
export type FinalStatus = "completed" | "failed" | "expired" | "cancelled";
export type BatchStatus = OpenStatus | FinalStatus;

/** What is wrong with a batch as a whole. */
export interface BatchProblem {
  readonly code: string;
  readonly message: string;
  readonly line: number | null;
}

/** Many requests that were handed in at once. Moments are milliseconds since 1970. */
export interface Batch {
  readonly id: string;
  readonly tenant: string;
  /** In whose name it runs: its limits and rights are those of this key. */
  readonly keyId: string;
  /** `/v1/chat/completions` */
  readonly endpoint: string;
  readonly inputFileId: string;
  readonly completionWindow: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  /** How long its results are kept; null: until somebody deletes them. */
  readonly outputExpiryMs: number | null;
  readonly status: BatchStatus;
  readonly errors: readonly BatchProblem[];
  /** When it came into each status. */
  readonly moments: Readonly<Partial<Record<BatchStatus, number>>>;
  readonly outputFileId: string | null;
  readonly errorFileId: string | null;
  /** Lines, and those of them with a good answer and with an error. */
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** The answer to one line of a batch's file. */
export interface LineAnswer {
  /** From 1. */
  readonly line: number;
  readonly isError: boolean;
  /** What the output or the error file says of it: JSON in one line. */
  readonly document: string;
}

export interface BatchEnd {
  readonly status: FinalStatus;
  readonly errors?: readonly BatchProblem[];
  readonly outputFileId?: string | null;
  readonly errorFileId?: string | null;
}

/**
 * Batches, and how far each is. One process at a time works on a batch: it holds a lease on it and renews it. What a
 * process writes that has lost its lease counts for nothing. Every method throws NexusError `database_unavailable`.
 */
export interface BatchStore {
  /** @throws NexusError `rate_limit_exceeded` when the tenant has `openMax` that are not finished. */
  add(batch: Batch, openMax: number): Promise<void>;
  find(tenant: string, id: string): Promise<Batch | undefined>;
  page(tenant: string, query: PageQuery): Promise<Page<Batch>>;
  /** Asks for its end; one that is nearly or wholly finished stays as it is. Undefined when there is none. */
  cancel(tenant: string, id: string): Promise<Batch | undefined>;
  /** Whether a batch that is not finished reads the file. */
  reads(tenant: string, fileId: string): Promise<boolean>;
  /** Takes up to `max` that nobody holds, the oldest first. */
  claim(lease: Lease, max: number): Promise<readonly Batch[]>;
  /** Renews what the holder holds. What is missing in the answer it holds no longer. */
  renew(lease: Lease): Promise<ReadonlyMap<string, BatchStatus>>;
  /** Lets others have it at once. */
  release(holder: string, id: string): Promise<void>;
  /** Whether it was still held. */
  advance(holder: string, id: string, to: { readonly status: OpenStatus; readonly total?: number }): Promise<boolean>;
  /** Lines that have their answer. */
  answeredLines(id: string): Promise<ReadonlySet<number>>;
  /** Keeps an answer for good and counts it; a second one to the same line is dropped. Whether it was still held. */
  keepAnswer(holder: string, id: string, answer: LineAnswer): Promise<boolean>;
  /** In the order of the lines, from after one of them on. */
  answers(id: string, isError: boolean, after: number): Promise<readonly LineAnswer[]>;
  /** Ends it; its answers are in its files by now. Whether it was still held. */
  finish(holder: string, id: string, end: BatchEnd): Promise<boolean>;
}

/** Who works on batches, and until when if nothing more is heard of him. */
export interface Lease {
  readonly holder: string;
  readonly until: number;
}

const answersAtOnce = 64;

export function createBatchStore({
  database,
  clock,
}: {
  readonly database: Database;
  readonly clock: Clock;
}): BatchStore {
  return {
    ...clientSide(database, clock),
    ...leasing(database, clock),
    ...progress(database, clock),
    ...answering(database),
  };
}

function clientSide(database: Database, clock: Clock): Pick<BatchStore, "add" | "find" | "page" | "cancel" | "reads"> {
  const findRow = (db: Transaction<Tables>, tenant: string, id: string) =>
    db.selectFrom("batches").selectAll().where("id", "=", id).where("tenant_id", "=", tenant).executeTakeFirst();
  return {
    add: (batch, openMax) =>
      database.write(async (transaction) => {
        const open = await transaction
          .selectFrom("batches")
          .select("id")
          .where("tenant_id", "=", batch.tenant)
          .where("status", "in", openStatuses)
          .limit(openMax)
          .execute();
        if (open.length >= openMax) {
          throw new NexusError("rate_limit_exceeded", `There are ${openMax} batches already that are not finished.`, {
            retryAfterSeconds: 60,
          });
        }
        await transaction.insertInto("batches").values(toRow(batch)).execute();
      }),
    async find(tenant, id) {
      const row = await database.read((db) =>
        db.selectFrom("batches").selectAll().where("id", "=", id).where("tenant_id", "=", tenant).executeTakeFirst(),
      );
      return row === undefined ? undefined : toBatch(row);
    },
    async page(tenant, query) {
      const { entries, hasMore } = await database.read((db) => readPage(db, { table: "batches", tenant }, query));
      return { entries: entries.map(toBatch), hasMore };
    },
    cancel: (tenant, id) =>
      database.write(async (transaction) => {
        const row = await findRow(transaction, tenant, id);
        if (row === undefined) return undefined;
        const moments = withMoment(row, "cancelling", clock.now());
        await transaction
          .updateTable("batches")
          .set({ status: "cancelling", moments })
          .where("id", "=", id)
          .where("status", "in", ["validating", "in_progress"])
          .execute();
        const changed = await findRow(transaction, tenant, id);
        return changed === undefined ? undefined : toBatch(changed);
      }),
    async reads(tenant, fileId) {
      const row = await database.read((db) =>
        db
          .selectFrom("batches")
          .select("id")
          .where("tenant_id", "=", tenant)
          .where("input_file_id", "=", fileId)
          .where("status", "in", openStatuses)
          .executeTakeFirst(),
      );
      return row !== undefined;
    },
  };
}

/** Who works on what. */
function leasing(database: Database, clock: Clock): Pick<BatchStore, "claim" | "renew" | "release"> {
  return {
    async claim({ holder, until }, max) {
      const now = clock.now();
      const { rows } = await database.write((transaction) =>
        sql<BatchesTable>`update batches set holder = ${holder}, held_until = ${until} where held_until <= ${now} and id in (
          select id from batches where status in (${sql.join(openStatuses)}) and held_until <= ${now}
          order by created_at limit ${max}) returning *`.execute(transaction),
      );
      return rows.map(toBatch);
    },
    async renew({ holder, until }) {
      const rows = await database.write((transaction) =>
        transaction
          .updateTable("batches")
          .set({ held_until: until })
          .where("holder", "=", holder)
          .where("status", "in", openStatuses)
          .returning(["id", "status"])
          .execute(),
      );
      return new Map(rows.map(({ id, status }) => [id, status as BatchStatus]));
    },
    async release(holder, id) {
      await database.write((transaction) =>
        transaction
          .updateTable("batches")
          .set({ holder: null, held_until: 0 })
          .where("id", "=", id)
          .where("holder", "=", holder)
          .execute(),
      );
    },
  };
}

/** From one status to the next. */
function progress(database: Database, clock: Clock): Pick<BatchStore, "advance" | "finish"> {
  return {
    advance: (holder, id, { status, total }) =>
      database.write(async (transaction) => {
        const row = await heldRow(transaction, holder, id);
        // Whoever has asked for its end in between is not overruled.
        if (row === undefined || (row.status === "cancelling" && status === "in_progress")) return row !== undefined;
        const moments = withMoment(row, status, clock.now());
        await transaction
          .updateTable("batches")
          .set({ status: row.status === "cancelling" ? row.status : status, moments, total: total ?? row.total })
          .where("id", "=", id)
          .execute();
        return true;
      }),
    finish: (holder, id, { status, errors = [], outputFileId = null, errorFileId = null }) =>
      database.write(async (transaction) => {
        const row = await heldRow(transaction, holder, id);
        if (row === undefined) return false;
        const files = { output_file_id: outputFileId, error_file_id: errorFileId };
        await transaction
          .updateTable("batches")
          .set({
            ...files,
            status,
            errors: JSON.stringify(errors),
            moments: withMoment(row, status, clock.now()),
            holder: null,
            held_until: 0,
          })
          .where("id", "=", id)
          .execute();
        await transaction.deleteFrom("batch_answers").where("batch_id", "=", id).execute();
        return true;
      }),
  };
}

/** Answers until they are in a file. */
function answering(database: Database): Pick<BatchStore, "answeredLines" | "keepAnswer" | "answers"> {
  return {
    async answeredLines(id) {
      const rows = await database.read((db) =>
        db.selectFrom("batch_answers").select("line").where("batch_id", "=", id).execute(),
      );
      return new Set(rows.map(({ line }) => line));
    },
    keepAnswer: (holder, id, { line, isError, document }) =>
      database.write(async (transaction) => {
        if ((await heldRow(transaction, holder, id)) === undefined) return false;
        const added = await transaction
          .insertInto("batch_answers")
          .values({ batch_id: id, line, is_error: isError ? 1 : 0, document })
          .onConflict((conflict) => conflict.columns(["batch_id", "line"]).doNothing())
          .returning("line")
          .executeTakeFirst();
        if (added === undefined) return true;
        const counter = isError ? "failed" : "completed";
        await transaction
          .updateTable("batches")
          .set((row) => ({ [counter]: row(counter, "+", 1) }))
          .where("id", "=", id)
          .execute();
        return true;
      }),
    async answers(id, isError, after) {
      const rows = await database.read((db) =>
        db
          .selectFrom("batch_answers")
          .selectAll()
          .where("batch_id", "=", id)
          .where("is_error", "=", isError ? 1 : 0)
          .where("line", ">", after)
          .orderBy("line")
          .limit(answersAtOnce)
          .execute(),
      );
      return rows.map(({ line, document }) => ({ line, isError, document }));
    },
  };
}

/** The batch while the holder has it. It stays the holder's until the transaction ends: its row is written first. */
async function heldRow(
  transaction: Transaction<Tables>,
  holder: string,
  id: string,
): Promise<Selectable<BatchesTable> | undefined> {
  return await transaction
    .updateTable("batches")
    .set({ holder })
    .where("id", "=", id)
    .where("holder", "=", holder)
    .where("status", "in", openStatuses)
    .returningAll()
    .executeTakeFirst();
}

function withMoment({ moments }: Pick<BatchesTable, "moments">, status: BatchStatus, now: number): string {
  return JSON.stringify({ [status]: now, ...(JSON.parse(moments) as Batch["moments"]) });
}

function toRow(batch: Batch): BatchesTable {
  return {
    id: batch.id,
    tenant_id: batch.tenant,
    key_id: batch.keyId,
    endpoint: batch.endpoint,
    input_file_id: batch.inputFileId,
    completion_window: batch.completionWindow,
    metadata: JSON.stringify(batch.metadata),
    output_expiry_ms: batch.outputExpiryMs,
    status: batch.status,
    errors: JSON.stringify(batch.errors),
    moments: JSON.stringify(batch.moments),
    output_file_id: batch.outputFileId,
    error_file_id: batch.errorFileId,
    total: batch.total,
    completed: batch.completed,
    failed: batch.failed,
    created_at: batch.createdAt,
    expires_at: batch.expiresAt,
    holder: null,
    held_until: 0,
  };
}

function toBatch(row: BatchesTable): Batch {
  return {
    id: row.id,
    tenant: row.tenant_id,
    keyId: row.key_id,
    endpoint: row.endpoint,
    inputFileId: row.input_file_id,
    completionWindow: row.completion_window,
    metadata: JSON.parse(row.metadata) as Batch["metadata"],
    outputExpiryMs: row.output_expiry_ms,
    status: row.status as BatchStatus,
    errors: JSON.parse(row.errors) as Batch["errors"],
    moments: JSON.parse(row.moments) as Batch["moments"],
    outputFileId: row.output_file_id,
    errorFileId: row.error_file_id,
    total: row.total,
    completed: row.completed,
    failed: row.failed,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}
