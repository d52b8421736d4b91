import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Database } from "../store/open-database.ts";
import type { ResponseStore } from "../translate/response-store.ts";
import { type BatchStore, createBatchStore } from "./batch-store.ts";
import type { FilesConfig, ResponsesConfig } from "./config.ts";
import { createFileBytes } from "./file-bytes.ts";
import { createFileStore } from "./file-store.ts";
import { Files } from "./files.ts";
import { createJobStore, type JobStore } from "./job-store.ts";
import { createResponseStore } from "./response-store.ts";

/** What clients leave with the gateway. */
export interface Objects {
  readonly responses: ResponseStore;
  readonly jobs: JobStore;
  readonly files: Files;
  readonly batches: BatchStore;
  close(): void;
}

export interface ObjectsOptions {
  readonly database: Database;
  readonly settings: ObjectSettings;
  /** For the bytes of files, where the configuration names no other folder. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ObjectSettings {
  readonly responses: ResponsesConfig;
  readonly files: FilesConfig;
}

/** Opens the stores; nothing is asked of the database yet. */
export function openObjects({ database, directory, settings, clock, log }: ObjectsOptions): Objects {
  const files = new Files({
    store: createFileStore({ database, clock, limits: settings.files }),
    bytes: createFileBytes(settings.files.directory ?? directory),
    limits: settings.files,
    clock,
    log,
  });
  return {
    responses: createResponseStore({ database, clock, limits: settings.responses }),
    jobs: createJobStore({ database, clock }),
    files,
    batches: createBatchStore({ database, clock }),
    close: () => files.close(),
  };
}
