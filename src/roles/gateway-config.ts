import { readFileSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { LiveConfig, type PrepareConfig } from "../config/live-config.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { DataPaths } from "../config/paths.ts";
import { historyOf, type ReloadHistory, reportReloads } from "../config/reload-history.ts";
import type { Config } from "../config/schema.ts";
import type { Gateway } from "../gateway/create-gateway.ts";
import type { LogLevel } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { RecordStore } from "../records/record-store.ts";
import { DurableFile } from "../registry/durable-file.ts";
import type { TakenConfig } from "./gateway-file.ts";
import type { Metering } from "./open-metering.ts";

/** What of a gateway process follows the configuration. */
export interface ConfiguredGateway {
  readonly gateway: Gateway;
  readonly metering: Metering;
  readonly records: RecordStore;
  setLogLevel(level: LogLevel): void;
}

/**
 * Makes a gateway ready for another configuration; the returned function makes it hold, between two requests.
 * @throws NexusError and what the file system throws, when the prices can't be used.
 */
export async function prepareGateway(configured: ConfiguredGateway, config: Config): Promise<() => void> {
  const { gateway, metering, records, setLogLevel } = configured;
  const takePrices = await metering.preparePrices(config.prices.file);
  return () => {
    const { auth, aliases, routes, responses, files, batches } = config;
    gateway.reload({ settings: config.gateway, auth, aliases, routes, limits: { responses, files, batches } });
    records.configure(config.records);
    setLogLevel(config.logs.level);
    takePrices();
  };
}

export interface FollowConfigOptions {
  readonly loaded: LoadedConfig;
  readonly prepare: PrepareConfig;
  /** Whether a platform's parent writes the file. */
  readonly isChild: boolean;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A gateway follows its configuration file, be it the operator's or the one that its parent writes. */
export function followGatewayConfig(options: FollowConfigOptions): LiveConfig {
  const { loaded, prepare, isChild, metrics, clock, log } = options;
  const { paths } = loaded;
  const live = new LiveConfig({
    loaded,
    prepare,
    onChange: () => noteTaken(),
    clock,
    log,
  });
  const taken = (): TakenConfig => ({ pid: process.pid, digest: live.current.digest });
  const takenFile = new DurableFile({
    path: paths.takenConfig,
    render: () => JSON.stringify(taken()),
    clock,
    log,
    delayMs: 0,
  });
  const noteTaken = () => {
    if (!isChild) return;
    takenFile.touch();
    void takenFile.flush();
  };
  const ownHistory = () => historyOf(live.state);
  // Of a platform's file its parent knows more: what it refuses never comes here.
  reportReloads(metrics, isChild ? () => readHistory(paths) ?? ownHistory() : ownHistory, clock);
  noteTaken();
  live.follow();
  return live;
}

function readHistory(paths: DataPaths): ReloadHistory | undefined {
  try {
    return JSON.parse(readFileSync(paths.reloads, "utf8")) as ReloadHistory;
  } catch {
    return undefined;
  }
}
