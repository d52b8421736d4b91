import { sql } from "kysely";
import type { Clock } from "../base/clock.ts";
import type { Database } from "../store/open-database.ts";
import type { JobsTable } from "../store/tables.ts";
import { type Page, type PageQuery, readPage } from "./page-store.ts";

export type JobKind = JobsTable["kind"];

/** A film or a piece of music that one instance makes. */
export interface Job {
  /** What clients call it. */
  readonly id: string;
  readonly tenant: string;
  readonly kind: JobKind;
  /** `<service>/<instance>` */
  readonly instance: string;
  /** What its instance calls it. */
  readonly backendId: string;
  readonly model: string;
  /** As its instance described it last, under the client's id. */
  readonly lastSeen: Readonly<Record<string, unknown>>;
}

/** Where jobs are and whose they are. Every method throws NexusError `database_unavailable`. */
export interface JobStore {
  add(job: Job): Promise<void>;
  find(tenant: string, kind: JobKind, id: string): Promise<Job | undefined>;
  page(tenant: string, kind: JobKind, query: PageQuery): Promise<Page<Job>>;
  noteSeen(id: string, document: Job["lastSeen"]): Promise<void>;
  remove(id: string): Promise<void>;
}

/** Services keep what they made for a day or so; whatever is older than this is gone there, too. */
const keepMs = 30 * 86_400_000;

export function createJobStore({ database, clock }: { readonly database: Database; readonly clock: Clock }): JobStore {
  return {
    async add({ id, tenant, kind, instance, backendId, model, lastSeen }) {
      const now = clock.now();
      const row = { id, tenant_id: tenant, kind, instance, backend_id: backendId, model, created_at: now };
      await database.write(async (transaction) => {
        await transaction.deleteFrom("jobs").where("expires_at", "<=", now).execute();
        await transaction
          .insertInto("jobs")
          .values({ ...row, last_seen: JSON.stringify(lastSeen), expires_at: now + keepMs })
          .execute();
      });
    },
    async find(tenant, kind, id) {
      const row = await database.read((db) =>
        db
          .selectFrom("jobs")
          .selectAll()
          .where("id", "=", id)
          .where("tenant_id", "=", tenant)
          .where("kind", "=", kind)
          .where("expires_at", ">", clock.now())
          .executeTakeFirst(),
      );
      return row === undefined ? undefined : toJob(row);
    },
    async page(tenant, kind, query) {
      const only = sql`kind = ${kind} and expires_at > ${clock.now()}`;
      const { entries, hasMore } = await database.read((db) => readPage(db, { table: "jobs", tenant, only }, query));
      return { entries: entries.map(toJob), hasMore };
    },
    async noteSeen(id, document) {
      await database.write((transaction) =>
        transaction
          .updateTable("jobs")
          .set({ last_seen: JSON.stringify(document) })
          .where("id", "=", id)
          .execute(),
      );
    },
    async remove(id) {
      await database.write((transaction) => transaction.deleteFrom("jobs").where("id", "=", id).execute());
    },
  };
}

function toJob({ id, tenant_id, kind, instance, backend_id, model, last_seen }: JobsTable): Job {
  const lastSeen = JSON.parse(last_seen) as Job["lastSeen"];
  return { id, tenant: tenant_id, kind, instance, backendId: backend_id, model, lastSeen };
}
