import type { Kysely } from "kysely";

/** Answers that are made in the background: which run, and what they have said. */
export async function createBackgroundResponses(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("response_runs")
    .addColumn("tenant_id", "text", (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addColumn("status", "text", (column) => column.notNull())
    .addColumn("holder", "text", (column) => column.notNull())
    .addColumn("held_until", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("response_runs_key", ["tenant_id", "id"])
    .execute();
  await db.schema.createIndex("response_runs_holder").on("response_runs").column("holder").execute();
  await db.schema
    .createTable("response_events")
    .addColumn("tenant_id", "text", (column) => column.notNull())
    .addColumn("response_id", "text", (column) => column.notNull())
    .addColumn("first", "integer", (column) => column.notNull())
    .addColumn("last", "integer", (column) => column.notNull())
    .addColumn("events", "text", (column) => column.notNull())
    .addColumn("expires_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("response_events_key", ["tenant_id", "response_id", "first"])
    .execute();
  await db.schema.createIndex("response_events_expiry").on("response_events").column("expires_at").execute();
}
