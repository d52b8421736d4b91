import type { Clock } from "../base/clock.ts";
import type { Database } from "../store/open-database.ts";
import type { ResponseStore } from "../translate/response-store.ts";
import type { BatchesConfig, FilesConfig, ResponsesConfig } from "./config.ts";
import { createJobStore, type JobStore } from "./job-store.ts";
import { createResponseStore } from "./response-store.ts";

/** What clients leave with the gateway. */
export interface Objects {
  readonly responses: ResponseStore;
  readonly jobs: JobStore;
}

export interface ObjectsOptions {
  readonly database: Database;
  readonly settings: ObjectSettings;
  readonly clock: Clock;
}

export interface ObjectSettings {
  readonly responses: ResponsesConfig;
  readonly files: FilesConfig;
  readonly batches: BatchesConfig;
}

/** Opens the stores; nothing is asked of the database yet. */
export function openObjects({ database, settings, clock }: ObjectsOptions): Objects {
  return {
    responses: createResponseStore({ database, clock, limits: settings.responses }),
    jobs: createJobStore({ database, clock }),
  };
}
