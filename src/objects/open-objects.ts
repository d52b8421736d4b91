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
import { createLiveResponses } from "./live-responses.ts";
import { createResponseStore } from "./response-store.ts";
import { createRunStore, type RunStore } from "./run-store.ts";

/** What clients leave with the gateway. */
export interface Objects {
  /** As they stand, those among them that are still being made. */
  readonly responses: ResponseStore;
  /** Answers that are made in the background. */
  readonly runs: RunStore;
  readonly jobs: JobStore;
  readonly files: Files;
  readonly batches: BatchStore;
  /** Other limits hold from now on. What is there already stays as it is. */
  configure(settings: ObjectLimits): void;
  close(): void;
}

export interface ObjectsOptions {
  readonly database: Database;
  readonly settings: ObjectLimits;
  /** For the bytes of files, where the configuration names no other folder. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What of the configuration may change while the stores are open; `files.directory` is looked at when they are opened. */
export interface ObjectLimits {
  readonly responses: ResponsesConfig;
  readonly files: FilesConfig;
}

/** Opens the stores; nothing is asked of the database yet. */
export function openObjects({ database, directory, settings, clock, log }: ObjectsOptions): Objects {
  let limits = settings;
  const runs = createRunStore({ database, clock });
  const files = new Files({
    store: createFileStore({ database, clock, limits: () => limits.files }),
    bytes: createFileBytes(settings.files.directory ?? directory),
    limits: () => limits.files,
    clock,
    log,
  });
  return {
    responses: createLiveResponses(createResponseStore({ database, clock, limits: () => limits.responses }), runs),
    runs,
    jobs: createJobStore({ database, clock }),
    files,
    batches: createBatchStore({ database, clock }),
    configure(next) {
      limits = next;
    },
    close: () => files.close(),
  };
}
