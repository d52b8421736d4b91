import type { DataPaths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";

/** The command-line argument that makes a process a worker; only a primary gives it. */
export const workerArgument = "gateway-worker";

/** What a worker of a gateway works by. Sent as JSON. */
export interface WorkerSettings {
  readonly config: Config;
  readonly paths: DataPaths;
}

/** A worker's part of what is bounded for the gateway as a whole, and that workers do not count together. */
export function partOf(config: Config, workers: number): Config {
  const part = (whole: number) => Math.ceil(whole / workers);
  const { gateway, records } = config;
  const { admission, retry } = gateway;
  return {
    ...config,
    gateway: {
      ...gateway,
      admission: { ...admission, queueMax: part(admission.queueMax), queueTotalMax: part(admission.queueTotalMax) },
      retry: { ...retry, budgetMin: part(retry.budgetMin) },
    },
    records: { ...records, diskPerSecondMax: part(records.diskPerSecondMax) },
  };
}
