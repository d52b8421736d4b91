import type { Kysely } from "kysely";

/** What clients leave with the gateway: stored answers, jobs, files, batches. */
export async function createObjects(db: Kysely<unknown>): Promise<void> {
  await createResponses(db);
  await createJobs(db);
  await createFiles(db);
  await createBatches(db);
}

async function createResponses(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("response_shelves")
    .addColumn("tenant_id", "text", (column) => column.primaryKey())
    .addColumn("responses", "bigint", (column) => column.notNull())
    .addColumn("bytes", "bigint", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("responses")
    .addColumn("tenant_id", "text", (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addColumn("document", "text", (column) => column.notNull())
    .addColumn("bytes", "bigint", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("expires_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("responses_key", ["tenant_id", "id"])
    .execute();
  await db.schema.createIndex("responses_age").on("responses").columns(["tenant_id", "created_at"]).execute();
  await db.schema.createIndex("responses_expiry").on("responses").column("expires_at").execute();
  await db.schema
    .createTable("response_items")
    .addColumn("tenant_id", "text", (column) => column.notNull())
    .addColumn("item_id", "text", (column) => column.notNull())
    .addColumn("response_id", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("response_items_key", ["tenant_id", "item_id", "response_id"])
    .addForeignKeyConstraint(
      "response_items_of",
      ["tenant_id", "response_id"],
      "responses",
      ["tenant_id", "id"],
      (key) => key.onDelete("cascade"),
    )
    .execute();
  await db.schema
    .createIndex("response_items_response")
    .on("response_items")
    .columns(["tenant_id", "response_id"])
    .execute();
}

async function createJobs(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("jobs")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("tenant_id", "text", (column) => column.notNull())
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("instance", "text", (column) => column.notNull())
    .addColumn("backend_id", "text", (column) => column.notNull())
    .addColumn("model", "text", (column) => column.notNull())
    .addColumn("last_seen", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("expires_at", "bigint", (column) => column.notNull())
    .execute();
  await db.schema.createIndex("jobs_of").on("jobs").columns(["tenant_id", "kind", "created_at"]).execute();
  await db.schema.createIndex("jobs_expiry").on("jobs").column("expires_at").execute();
}

async function createFiles(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("files")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("tenant_id", "text", (column) => column.notNull())
    .addColumn("purpose", "text", (column) => column.notNull())
    .addColumn("filename", "text", (column) => column.notNull())
    .addColumn("bytes", "bigint", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("expires_at", "bigint")
    .execute();
  await db.schema.createIndex("files_of").on("files").columns(["tenant_id", "created_at"]).execute();
  await db.schema.createIndex("files_expiry").on("files").column("expires_at").execute();
}

async function createBatches(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("batches")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("tenant_id", "text", (column) => column.notNull())
    .addColumn("key_id", "text", (column) => column.notNull())
    .addColumn("endpoint", "text", (column) => column.notNull())
    .addColumn("input_file_id", "text", (column) => column.notNull())
    .addColumn("completion_window", "text", (column) => column.notNull())
    .addColumn("metadata", "text", (column) => column.notNull())
    .addColumn("output_expiry_ms", "bigint")
    .addColumn("status", "text", (column) => column.notNull())
    .addColumn("errors", "text", (column) => column.notNull())
    .addColumn("moments", "text", (column) => column.notNull())
    .addColumn("output_file_id", "text")
    .addColumn("error_file_id", "text")
    .addColumn("total", "bigint", (column) => column.notNull())
    .addColumn("completed", "bigint", (column) => column.notNull())
    .addColumn("failed", "bigint", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("expires_at", "bigint", (column) => column.notNull())
    .addColumn("holder", "text")
    .addColumn("held_until", "bigint", (column) => column.notNull())
    .execute();
  await db.schema.createIndex("batches_of").on("batches").columns(["tenant_id", "created_at"]).execute();
  await db.schema.createIndex("batches_status").on("batches").columns(["status", "created_at"]).execute();
  await db.schema
    .createTable("batch_answers")
    .addColumn("batch_id", "text", (column) => column.notNull().references("batches.id").onDelete("cascade"))
    .addColumn("line", "bigint", (column) => column.notNull())
    .addColumn("is_error", "integer", (column) => column.notNull())
    .addColumn("document", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("batch_answers_key", ["batch_id", "line"])
    .execute();
}
