import { type Kysely, sql } from "kysely";

/** Tenants, keys, and what they use. */
export async function createKeysAndUsage(db: Kysely<unknown>): Promise<void> {
  await createKeys(db);
  await createUsage(db);
}

async function createKeys(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("changes")
    .addColumn("name", "text", (column) => column.primaryKey())
    .addColumn("counter", "bigint", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("tenants")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("name", "text", (column) => column.notNull().unique())
    .addColumn("limits", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("revision", "bigint", (column) => column.notNull())
    .execute();
  // Keys that name no tenant are its.
  await sql`insert into tenants (id, name, limits, created_at, revision)
    values ('ten_default', 'default', '{}', ${Date.now()}, 0)`.execute(db);
  await db.schema
    .createTable("keys")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("tenant_id", "text", (column) => column.notNull().references("tenants.id"))
    .addColumn("role", "text", (column) => column.notNull())
    .addColumn("hint", "text", (column) => column.notNull())
    .addColumn("is_weak", "integer", (column) => column.notNull())
    .addColumn("limits", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("expires_at", "bigint")
    .addColumn("revoked_at", "bigint")
    .addColumn("revision", "bigint", (column) => column.notNull())
    .execute();
  // A revoked key's name may be taken again.
  await sql`create unique index keys_live_name on keys (name) where revoked_at is null`.execute(db);
  await db.schema.createIndex("keys_revision").on("keys").column("revision").execute();
  await db.schema
    .createTable("key_secrets")
    .addColumn("hash", "text", (column) => column.primaryKey())
    .addColumn("key_id", "text", (column) => column.notNull().references("keys.id"))
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("valid_until", "bigint")
    .execute();
  await db.schema.createIndex("key_secrets_key").on("key_secrets").column("key_id").execute();
}

async function createUsage(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("usage_days")
    .addColumn("day", "text", (column) => column.notNull())
    .addColumn("key_id", "text", (column) => column.notNull())
    .addColumn("tenant_id", "text", (column) => column.notNull())
    .addColumn("model", "text", (column) => column.notNull())
    .addColumn("operation", "text", (column) => column.notNull())
    .addColumn("requests", "bigint", (column) => column.notNull())
    .addColumn("errors", "bigint", (column) => column.notNull())
    .addColumn("prompt_tokens", "bigint", (column) => column.notNull())
    .addColumn("completion_tokens", "bigint", (column) => column.notNull())
    .addColumn("cost_micro_usd", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("usage_days_key", ["key_id", "day", "model", "operation", "tenant_id"])
    .execute();
  await db.schema.createIndex("usage_days_tenant").on("usage_days").columns(["tenant_id", "day"]).execute();
  await db.schema.createIndex("usage_days_day").on("usage_days").column("day").execute();
  await db.schema
    .createTable("usage_recorders")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("last_batch", "bigint", (column) => column.notNull())
    .addColumn("seen_at", "bigint", (column) => column.notNull())
    .execute();
}
