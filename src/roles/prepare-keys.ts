import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { DataPaths } from "../config/paths.ts";
import type { Problem } from "../control/status.ts";
import type { ListenConfig } from "../gateway/config.ts";
import { importKeysFile } from "../keys/import-keys-store.ts";
import { createKeyCopy } from "../keys/key-copy.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { Database } from "../store/open-database.ts";
import { ensureOperatorKey } from "./first-keys.ts";
import { refuseWeakKeys } from "./listen-address.ts";

export interface PrepareKeysOptions {
  readonly database: Database;
  readonly keys: KeyStore;
  readonly listen: ListenConfig;
  readonly paths: DataPaths;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface PreparedKeys {
  /** While the database has not answered yet. */
  problems(): Problem[];
  close(): void;
}

const retryMs = 5_000;

/**
 * Takes over the keys of earlier versions and makes sure of the operator's. When the database is away the platform
 * starts all the same, with the keys that its gateway knew last, and this is done as soon as the database is back.
 * @throws NexusError `conflict` when a weak key works and others can reach the address.
 */
export async function prepareKeys(options: PrepareKeysOptions): Promise<PreparedKeys> {
  const { database, keys, listen, paths, clock, log } = options;
  let isAway = false;
  let stop = () => {};
  const prepare = async () => {
    const imported = await importKeysFile(paths.keys, database);
    if (imported !== undefined) log.info({ keys: imported }, "the keys of keys.json are in the database now");
    await refuseWeakKeys(listen, keys);
    await ensureOperatorKey(keys, paths.operatorKey);
  };
  const retryLater = () => {
    stop = clock.after(retryMs, () => {
      void prepare().then(
        () => {
          isAway = false;
          log.info({}, "the database is back");
        },
        (error: unknown) => {
          if (!isUnavailable(error)) log.error({ reason: describeError(error) }, "keys could not be prepared");
          retryLater();
        },
      );
    });
  };
  try {
    await prepare();
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    log.error({ reason: describeError(error) }, "the database does not answer; the last known keys stay in force");
    const known = await createKeyCopy(paths.gatewayKeys).read();
    await refuseWeakKeys(listen, { list: async () => known?.keys ?? [] });
    isAway = true;
    retryLater();
  }
  return {
    problems: () => (isAway ? [awayProblem] : []),
    close: () => stop(),
  };
}

const awayProblem: Problem = {
  subject: "database",
  message: "The database has not answered since the start; keys that were known before work.",
  fix: "Start it, or correct `database.url`; Nexus tries again every 5 s.",
};

/** `registry_unavailable` is not among them: this process asks nobody else. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof NexusError && error.code === "database_unavailable";
}
