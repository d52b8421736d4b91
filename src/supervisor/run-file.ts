import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { isProcessName } from "./process-spec.ts";

/** Where the files of all processes are; `DataPaths` is one. */
export interface ProcessDirectories {
  readonly run: string;
  readonly logs: string;
}

/** The files of one process. */
export interface ProcessFiles {
  /** Written by the supervisor as soon as the process runs, removed when it has ended: `RunRecord`. */
  readonly runFile: string;
  /** Written by the process itself once it listens, from its `NEXUS_RUN_FILE`: `{pid, url}`. */
  readonly addressFile: string;
  /** stdout and stderr of the process, appended. */
  readonly logFile: string;
}

export function processFiles(directories: ProcessDirectories, name: string): ProcessFiles {
  return {
    runFile: join(directories.run, `${name}.json`),
    addressFile: join(directories.run, `${name}.address.json`),
    logFile: join(directories.logs, `${name}.log`),
  };
}

/** Whose address file in this run directory a path is; undefined when it is none. */
export function nameFromAddressFile(runDirectory: string, path: string | undefined): string | undefined {
  if (path === undefined || dirname(path) !== runDirectory || !path.endsWith(".address.json")) return undefined;
  return basename(path, ".address.json");
}

/** For the owner's eyes only: what is in them decides what is signalled. */
export function makeDirectories({ run, logs }: ProcessDirectories): void {
  for (const directory of [run, logs]) mkdirSync(directory, { recursive: true, mode: 0o700 });
}

const runRecordSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  pid: z.int().positive(),
  startTime: z.string(),
  startedAt: z.number(),
  specDigest: z.string(),
  stopGraceMs: z.number().nonnegative(),
  logFile: z.string(),
});

/** What a supervisor must know to take over a process that another one started. */
export type RunRecord = z.infer<typeof runRecordSchema>;

/**
 * Synchronous, and not flushed to the disk: between the start of a process and its record there must be as little time
 * as possible, and a power cut that loses the record has ended the process too. Readers see all of it or nothing.
 */
export function writeRunRecord(path: string, record: RunRecord): void {
  const temporary = `${path}.tmp`;
  try {
    writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** All run records of a directory. Files that are none are not touched. */
export function readRunRecords(directory: string): RunRecord[] {
  return readdirSync(directory).flatMap((file) => {
    const name = file.endsWith(".json") ? file.slice(0, -".json".length) : "";
    const record = isProcessName(name) ? readRunRecord(join(directory, file)) : undefined;
    return record?.name === name ? [record] : [];
  });
}

function readRunRecord(path: string): RunRecord | undefined {
  try {
    return runRecordSchema.safeParse(JSON.parse(readFileSync(path, "utf8"))).data;
  } catch {
    return undefined;
  }
}

/** When a process has gone, or before its successor starts. Never throws: a broken disk must not stop a restart. */
export function removeRunFiles({ runFile, addressFile }: ProcessFiles, log: Logger): void {
  for (const file of [runFile, addressFile]) {
    try {
      rmSync(file, { force: true });
    } catch (error) {
      log.warn({ file, error: describeError(error) }, "a run file cannot be removed");
    }
  }
}

const addressSchema = z.object({ pid: z.int().positive(), url: z.url({ protocol: /^https?$/ }) });

/**
 * Where the process says that it listens; undefined until it does. The pid in it is not compared: behind a wrapper
 * such as `npm run` it is a descendant's. The file is removed before every start, so that it cannot be an older one's.
 */
export async function readAddress(path: string): Promise<string | undefined> {
  try {
    return addressSchema.safeParse(JSON.parse(await readFile(path, "utf8"))).data?.url;
  } catch {
    return undefined;
  }
}
