import { type Kysely, sql, type Transaction } from "kysely";
import { NexusError } from "../base/errors.ts";
import { type Migration, migrations } from "./migrations.ts";

/** Any number, the same in every Nexus: who holds it changes the schema. */
const advisoryLock = 7_264_817_201;

interface MigrationRow {
  readonly number: number;
}

/**
 * Brings the schema up to date, in one transaction: all of it or nothing. Of processes that start together, one does it
 * and the others find it done; SQLite lets one write at a time, PostgreSQL has a lock for it.
 * @throws NexusError `conflict` when a newer Nexus has been here.
 */
export async function migrate(
  db: Kysely<unknown>,
  kind: "sqlite" | "postgres",
  steps: readonly Migration[] = migrations,
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    if (kind === "postgres") await sql`select pg_advisory_xact_lock(${sql.lit(advisoryLock)})`.execute(transaction);
    await sql`create table if not exists nexus_migrations (number integer primary key, name text not null)`.execute(
      transaction,
    );
    const done = await sql<MigrationRow>`select number from nexus_migrations`.execute(transaction);
    const newest = Math.max(0, ...done.rows.map(({ number }) => number));
    refuseNewer(newest, steps);
    for (const step of steps) if (step.number > newest) await runStep(step, transaction);
  });
}

async function runStep({ number, name, run }: Migration, transaction: Transaction<unknown>): Promise<void> {
  await run(transaction);
  await sql`insert into nexus_migrations (number, name) values (${number}, ${name})`.execute(transaction);
}

function refuseNewer(newest: number, steps: readonly Migration[]): void {
  const known = steps.at(-1)?.number ?? 0;
  if (newest <= known) return;
  throw new NexusError(
    "conflict",
    `The database was changed by a newer Nexus (its schema is ${newest}, this one knows ${known}). Update this one, or give it a database of its own with \`database.url\`.`,
  );
}
