import type { Kysely } from "kysely";
import { createKeysAndUsage } from "./migrations/0001-keys-and-usage.ts";
import { createObjects } from "./migrations/0002-objects.ts";
import { createBackgroundResponses } from "./migrations/0003-background-responses.ts";

/** One step of the schema. Once released it never changes: another step follows it. */
export interface Migration {
  /** 1, 2, 3 and so on. */
  readonly number: number;
  readonly name: string;
  /** Runs once, in a transaction, in the words that SQLite and PostgreSQL share. */
  readonly run: (db: Kysely<unknown>) => Promise<void>;
}

/** In their order. */
export const migrations: readonly Migration[] = [
  { number: 1, name: "keys and usage", run: createKeysAndUsage },
  { number: 2, name: "responses, jobs, files and batches", run: createObjects },
  { number: 3, name: "responses in the background", run: createBackgroundResponses },
];
