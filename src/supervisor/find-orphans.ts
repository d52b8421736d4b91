import { existsSync } from "node:fs";
import { isAlive } from "../base/process-identity.ts";
import { findMarked } from "./leftovers.ts";
import { readRunRecords } from "./run-file.ts";

/** Names under which processes of a run directory live, on record or not, whoever started them. */
export function findOrphans(runDirectory: string): readonly string[] {
  if (!existsSync(runDirectory)) return [];
  const recorded = readRunRecords(runDirectory).filter(isAlive);
  return [...new Set([...recorded, ...findMarked(runDirectory)].map(({ name }) => name))];
}
