import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { ConfigError, describeProblem } from "../config/config-error.ts";
import { LiveConfig } from "../config/live-config.ts";
import type { LoadedConfig } from "../config/load.ts";
import { historyOf } from "../config/reload-history.ts";
import type { Config } from "../config/schema.ts";
import type { ConfigControl, ConfigStatus } from "../control/config-routes.ts";
import { gatewayProcess } from "../control/describe-platform.ts";
import type { Problem } from "../control/status.ts";
import { openPrices } from "../keys/open-prices.ts";
import { DurableFile } from "../registry/durable-file.ts";
import type { Supervisor } from "../supervisor/create-supervisor.ts";
import type { Children } from "./child-specs.ts";
import { hasTaken, writeGatewayFile } from "./gateway-file.ts";
import type { Servers } from "./open-servers.ts";

export interface LivePlatformOptions {
  readonly loaded: LoadedConfig;
  readonly supervisor: Supervisor;
  readonly servers: Servers;
  /** What is to run under a configuration. */
  readonly describe: (config: Config) => Children;
  /** What else holds at once. Called when nothing can go wrong any more. */
  readonly onTaken: (loaded: LoadedConfig) => void;
  readonly isStopping: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The configuration of a running platform. */
export interface LivePlatform extends ConfigControl {
  /** Follows the file. */
  start(): void;
  problems(): Problem[];
  close(): Promise<void>;
}

/** A gateway reads what was written within a tenth of a second, or two where its file system tells nothing. */
const takeMsMax = 5_000;
const takeLookMs = 20;

export function openLivePlatform(options: LivePlatformOptions): LivePlatform {
  const { loaded, supervisor, describe, clock, log } = options;
  const { paths } = loaded;
  let file = describe(loaded.config).gatewayFile;
  let writtenAt = clock.monotonic();
  const live = new LiveConfig({
    loaded,
    async prepare(next) {
      const { children, commit } = await prepareChildren(options, next);
      return () => {
        file = children.gatewayFile;
        writtenAt = clock.monotonic();
        commit();
      };
    },
    onChange: () => keepHistory(),
    clock,
    log,
  });
  const history = new DurableFile({
    path: paths.reloads,
    render: () => JSON.stringify(historyOf(live.state)),
    clock,
    log,
    delayMs: 0,
  });
  const keepHistory = () => {
    history.touch();
    void history.flush();
  };
  const isWaiting = () => {
    const gateway = supervisor.status().find(({ name }) => name === gatewayProcess);
    return gateway?.pid === undefined || !hasTaken(file, gateway.pid, paths);
  };
  return {
    status: () => describeConfig(live),
    async reload() {
      const report = await live.reload();
      if (report.outcome === "refused") return report;
      await waitWhile(isWaiting, clock);
      const changes = report.changes.map(({ key, kind }) => ({ key, kind }));
      return { outcome: report.outcome, changes, waiting: isWaiting() ? [gatewayProcess] : [] };
    },
    start() {
      keepHistory();
      live.follow();
    },
    problems: () => [
      ...refusedProblem(live),
      ...(isWaiting() && clock.monotonic() - writtenAt > takeMsMax ? waitingProblem(supervisor, live) : []),
    ],
    async close() {
      await live.close();
      await history.close();
    },
  };
}

/** All that can fail comes first, and what the gateway will read last: from then on it holds. */
async function prepareChildren(options: LivePlatformOptions, next: LoadedConfig) {
  const { supervisor, servers, describe, onTaken, isStopping } = options;
  if (isStopping()) throw new NexusError("draining", "The platform is shutting down.");
  const children = describe(next.config);
  const takeServers = servers.prepare(next.config);
  await checkPrices(next, options);
  await writeGatewayFile(children.gatewayFile, next.paths);
  const commit = () => {
    onTaken(next);
    supervisor.set(children.specs);
    takeServers();
  };
  return { children, commit };
}

/** The gateway reads them; that it can is made sure of before it is told to. */
async function checkPrices({ config, whereIs }: LoadedConfig, { clock, log }: LivePlatformOptions): Promise<void> {
  try {
    (await openPrices({ file: config.prices.file, clock, log })).close();
  } catch (error) {
    const path = ["prices", "file"];
    throw new ConfigError([{ where: whereIs(path), path: path.join("."), message: describeError(error) }]);
  }
}

async function waitWhile(isWaiting: () => boolean, clock: Clock): Promise<void> {
  const end = clock.monotonic() + takeMsMax;
  while (isWaiting() && clock.monotonic() < end) {
    await new Promise<void>((resolve) => void clock.after(takeLookMs, resolve));
  }
}

function describeConfig({ current, state }: LiveConfig): ConfigStatus {
  const { inForceSince, refused, reloads } = state;
  return {
    file: current.file ?? null,
    digest: current.digest,
    in_force_since: new Date(inForceSince).toISOString(),
    refused:
      refused === undefined ? null : { since: new Date(refused.since).toISOString(), problems: refused.problems },
    reloads,
  };
}

function refusedProblem({ current, state: { refused } }: LiveConfig): Problem[] {
  if (refused === undefined) return [];
  const reasons = refused.problems.map(describeProblem).join("; ");
  const since = new Date(refused.since).toISOString();
  return [
    {
      subject: "configuration",
      message: `${current.file ?? "The file"} was refused at ${since}, and the configuration before is in force: ${reasons}`,
      fix: "Correct the file; it is read again when it changes. `nexus config validate` checks it.",
    },
  ];
}

function waitingProblem(supervisor: Supervisor, { state }: LiveConfig): Problem[] {
  // One that does not run, or does not answer, has a problem of its own, and reads the newest when it starts.
  const gateway = supervisor.status().find(({ name }) => name === gatewayProcess);
  if (gateway?.state !== "running" || gateway.isReady !== true) return [];
  const since = new Date(state.inForceSince).toISOString();
  return [
    {
      subject: gatewayProcess,
      message: `has not taken over the configuration of ${since}`,
      fix: "`nexus logs gateway` tells why; `nexus config reload` tries again.",
    },
  ];
}
