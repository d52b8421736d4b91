import { existsSync } from "node:fs";
import { isAlive } from "./process-identity.ts";
import { readRunRecords } from "./run-file.ts";

/** Names of the processes that live and are on record in a run directory, whoever started them. */
export function findOrphans(runDirectory: string): readonly string[] {
  if (!existsSync(runDirectory)) return [];
  return readRunRecords(runDirectory)
    .filter(isAlive)
    .map((record) => record.name);
}
