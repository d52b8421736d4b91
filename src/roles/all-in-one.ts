import { fileURLToPath } from "node:url";
import { type Clock, systemClock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { PlatformRequest, StartedPlatform } from "../cli/roles.ts";
import { describePlatform, gatewayProcess } from "../control/describe-platform.ts";
import { keyRoutes } from "../control/key-routes.ts";
import { platformRoutes } from "../control/platform-routes.ts";
import { registryRoutes } from "../control/registry-routes.ts";
import { startControlServer } from "../control/server.ts";
import type { PlatformStatus, Problem } from "../control/status.ts";
import { createKeyStore } from "../gateway/key-store.ts";
import { createEmbeddedRegistry, type EmbeddedRegistry } from "../registry/embedded-registry.ts";
import { createSupervisor, type Supervisor } from "../supervisor/create-supervisor.ts";
import { createProcessDriver } from "../supervisor/process-driver.ts";
import { signalGroup } from "../supervisor/process-group.ts";
import { isAlive } from "../supervisor/process-identity.ts";
import { readRunRecords } from "../supervisor/run-file.ts";
import { acquireSingleInstance } from "../supervisor/single-instance.ts";
import { childSpecs } from "./child-specs.ts";
import { openControlLog } from "./control-log.ts";
import { ensureOperatorKey, makeFirstKey } from "./first-keys.ts";
import { checkListenAddress } from "./listen-address.ts";
import { watchReadiness } from "./watch-readiness.ts";

const llmEntry = fileURLToPath(new URL("../../services/llm/src/main.ts", import.meta.url));

/**
 * `nexus up`: registry, control API, attached servers and supervisor in this process; gateway and services as children
 * that outlive it. What was begun is undone when a step fails.
 * @throws NexusError `conflict` when another platform runs in the data directory or the address is taken.
 */
export async function startPlatform(request: PlatformRequest): Promise<StartedPlatform> {
  await using undo = new AsyncDisposableStack();
  const { config, paths } = request.loaded;
  const clock = systemClock;
  const lock = acquireSingleInstance(paths.root);
  undo.defer(() => lock.release());
  const controlLog = openControlLog(paths.logs, config.logs.level);
  undo.defer(() => controlLog.close());
  const { log } = controlLog;
  if (!isGatewayRunning(paths.run)) await checkListenAddress(config.listen);

  const registry = createEmbeddedRegistry({ snapshotPath: paths.registry, clock, log });
  undo.defer(() => registry.close());
  const keys = createKeyStore({ path: paths.keys, clock });
  await ensureOperatorKey(keys, paths.operatorKey);

  const supervisor = await createPlatformSupervisor(request, clock, log);
  const readiness = watchReadiness({ processes: () => supervisor.status(), clock });
  undo.defer(() => readiness.close());
  const life = trackLife();
  const startedAt = clock.now();
  const status = (): PlatformStatus =>
    describePlatform({
      version: request.version,
      startedAt,
      now: clock.now(),
      dataDirectory: paths.root,
      configFile: request.loaded.file,
      isStopping: life.isStopping(),
      snapshot: registry.current(),
      processes: supervisor.status(),
      readiness: readiness.current(),
      attachments: [],
      problems: registryProblems(registry),
    });
  const server = await startControlServer({
    socketPath: paths.controlSocket,
    log,
    routes: [
      (app) => void app.register(registryRoutes, { registry, clock }),
      keyRoutes(keys),
      platformRoutes({ status, stop: () => void life.stop() }),
    ],
  });
  undo.defer(() => server.close());
  undo.defer(() => supervisor.stop());
  await supervisor.start();
  log.info({ pid: process.pid, version: request.version, data: paths.root }, "platform started");

  const undoAll = undo.move();
  life.onStop(() => undoAll.disposeAsync());
  return {
    makeFirstKey: async () => (config.auth.mode === "keys" ? makeFirstKey(keys) : undefined),
    status,
    stop: life.stop,
    kill: () => killAll(supervisor),
    stopped: life.stopped,
  };
}

async function createPlatformSupervisor(request: PlatformRequest, clock: Clock, log: Logger): Promise<Supervisor> {
  const { config, paths } = request.loaded;
  const { entry, version, environment } = request;
  return createSupervisor({
    specs: await childSpecs({ config, paths, entry, llmEntry, version }),
    driver: createProcessDriver({ directories: paths, environment, clock, log }),
    clock,
    log,
  });
}

/** A gateway that survived its parent holds the address rightly: it is adopted or replaced. */
function isGatewayRunning(runDirectory: string): boolean {
  return readRunRecords(runDirectory).some((record) => record.name === gatewayProcess && isAlive(record));
}

function registryProblems(registry: EmbeddedRegistry): Problem[] {
  const message = registry.problem();
  if (message === undefined) return [];
  return [{ subject: "registry", message, fix: "Make room on the disk, or make the data directory writable." }];
}

function killAll(supervisor: Supervisor): void {
  for (const { pid } of supervisor.status()) if (pid !== undefined) signalGroup(pid, "SIGKILL");
}

/** Stops once, whoever asks first. */
function trackLife() {
  const stopped = Promise.withResolvers<void>();
  let undo: (() => Promise<void>) | undefined;
  let isStopping = false;
  return {
    stopped: stopped.promise,
    isStopping: () => isStopping,
    onStop(run: () => Promise<void>) {
      undo = run;
    },
    stop(): Promise<void> {
      if (!isStopping) {
        isStopping = true;
        (undo?.() ?? Promise.resolve()).then(stopped.resolve, stopped.reject);
      }
      return stopped.promise;
    },
  };
}
