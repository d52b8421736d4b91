import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { type ResponsesConfig, responsesConfigSchema } from "../../src/objects/config.ts";
import { createResponseStore } from "../../src/objects/response-store.ts";
import { type Database, openDatabase } from "../../src/store/open-database.ts";
import type { ResponseStore } from "../../src/translate/response-store.ts";

let directory: string | undefined;
let databases = 0;

/** The address of an empty SQLite database that is gone with the process. */
export function makeTestDatabaseUrl(): string {
  if (directory === undefined) {
    const made = mkdtempSync(join(tmpdir(), "nexus-objects-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    directory = made;
  }
  return `sqlite:${join(directory, `${databases++}.db`)}`;
}

export function openTestDatabase(url = makeTestDatabaseUrl()): Database {
  return openDatabase({ url: async () => url, isDurable: false, log: silentLogger });
}

/** An empty store of responses. */
export function openTestResponseStore(
  limits: Partial<ResponsesConfig> = {},
  { database = openTestDatabase(), clock = systemClock }: { database?: Database; clock?: Clock } = {},
): ResponseStore {
  const all = { ...responsesConfigSchema.parse({}), ...limits };
  return createResponseStore({ database, clock, limits: () => all });
}
