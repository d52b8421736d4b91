import { fileURLToPath } from "node:url";
import { type Clock, systemClock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { PlatformRequest, StartedPlatform } from "../cli/roles.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { SecretCommands } from "../config/secret-command.ts";
import { createSecretResolver } from "../config/secrets.ts";
import { describePlatform, gatewayProcess } from "../control/describe-platform.ts";
import type { PlatformStatus, Problem } from "../control/status.ts";
import { createKeyStore, type KeyStore } from "../keys/key-store.ts";
import type { LogLevel } from "../observability/logger.ts";
import { createEmbeddedRegistry, type EmbeddedRegistry } from "../registry/embedded-registry.ts";
import { readServiceEnvironment } from "../service-kit/environment.ts";
import { openDatabase } from "../store/open-database.ts";
import { createSupervisor, type Supervisor } from "../supervisor/create-supervisor.ts";
import { findOrphans } from "../supervisor/find-orphans.ts";
import { createProcessDriver } from "../supervisor/process-driver.ts";
import { signalGroup } from "../supervisor/process-group.ts";
import { acquireSingleInstance } from "../supervisor/single-instance.ts";
import { type Children, describeChildren } from "./child-specs.ts";
import { openControlLog } from "./control-log.ts";
import { damagedFiles } from "./damaged-files.ts";
import { databaseUrl } from "./database-url.ts";
import { makeFirstKey } from "./first-keys.ts";
import { writeGatewayFile } from "./gateway-file.ts";
import { checkListenAddress } from "./listen-address.ts";
import { type LivePlatform, openLivePlatform } from "./live-platform.ts";
import { openServers } from "./open-servers.ts";
import { isUnavailable, type PreparedKeys, prepareKeys } from "./prepare-keys.ts";
import { serveControl } from "./serve-control.ts";
import { trackLife } from "./track-life.ts";
import { watchReadiness } from "./watch-readiness.ts";

const servicesDirectory = fileURLToPath(new URL("../../services", import.meta.url));

/**
 * `nexus up`: registry, control API, attached servers and supervisor in this process; gateway and services as children
 * that outlive it. What was begun is undone when a step fails.
 * @throws NexusError `conflict` when another platform runs in the data directory or the address is taken.
 */
export async function startPlatform(request: PlatformRequest): Promise<StartedPlatform> {
  await using undo = new AsyncDisposableStack();
  const { config, paths } = request.loaded;
  const clock = systemClock;
  const inForce = { loaded: request.loaded };
  const log = await takePlace(request, undo, () => inForce.loaded.config.logs.level);
  const registry = createEmbeddedRegistry({ snapshotPath: paths.registry, clock, log });
  undo.defer(() => registry.close());
  const { resolveSecret, allowCommands } = openSecrets(request, clock);
  const database = openDatabase({ url: databaseUrl(config.database, paths, resolveSecret), isDurable: true, log });
  undo.defer(() => database.close());
  const keys = createKeyStore({ database, clock });
  const prepared = await prepareKeys({ database, keys, listen: config.listen, paths, clock, log });
  undo.defer(() => prepared.close());

  const { hostId } = readServiceEnvironment(request.environment);
  const describe = (next: Config) => describeChildren({ ...request, config: next, paths, servicesDirectory, hostId });
  const supervisor = await openSupervisor(request, describe(config), { clock, log });
  const servers = openServers({ request, hostId, registry, supervisor, resolveSecret, clock, log });
  const life = trackLife();
  const live = openLivePlatform({
    loaded: request.loaded,
    supervisor,
    servers,
    describe,
    onTaken(next) {
      inForce.loaded = next;
      allowCommands(next.config);
    },
    isStopping: life.isStopping,
    clock,
    log,
  });
  const status = openStatus({ request, inForce, registry, supervisor, servers, prepared, live, life, clock }, undo);
  const stop = () => void life.stop();
  const control = { loaded: request.loaded, registry, database, keys, servers, live, resolveSecret, clock, log };
  const server = await serveControl({ ...control, status, stop });
  undo.defer(() => server.close());
  servers.start();
  undo.defer(() => servers.stop());
  undo.defer(() => supervisor.stop());
  await supervisor.start();
  undo.defer(() => live.close());
  live.start();
  log.info({ pid: process.pid, version: request.version, data: paths.root }, "platform started");

  const undoAll = undo.move();
  life.onStop(() => undoAll.disposeAsync());
  return {
    makeFirstKey: async () => (config.auth.mode === "keys" ? firstKeyIfPossible(keys) : undefined),
    status,
    reload: () => void live.reload(),
    stop: life.stop,
    kill: () => killAll(supervisor),
    stopped: life.stopped,
  };
}

/** A start without the database shows no key; `nexus keys create` makes one when it is back. */
async function firstKeyIfPossible(keys: KeyStore): Promise<string | undefined> {
  try {
    return await makeFirstKey(keys);
  } catch (error) {
    if (isUnavailable(error)) return undefined;
    throw error;
  }
}

/** Makes sure that the data directory and the address are this platform's. Resolves to its log. */
async function takePlace(
  { loaded: { config, paths } }: PlatformRequest,
  undo: AsyncDisposableStack,
  level: () => LogLevel,
): Promise<Logger> {
  const lock = acquireSingleInstance(paths.root);
  undo.defer(() => lock.release());
  if (!isGatewayRunning(paths.run)) await checkListenAddress(config.listen);
  const { log, close } = openControlLog(paths.logs, level);
  undo.defer(close);
  return log;
}

/** Keys of servers, by reference. Commands are run only when the configuration file has them. */
function openSecrets({ environment, loaded }: PlatformRequest, clock: Clock) {
  const commands = new SecretCommands({ allowed: secretCommands(loaded.config), environment, clock });
  return {
    resolveSecret: createSecretResolver(environment, commands),
    allowCommands: (config: Config) => commands.allow(secretCommands(config)),
  };
}

function secretCommands({ attach }: Config): string[] {
  const references = attach.flatMap(({ keyFrom }) => keyFrom ?? []);
  return references.filter((each) => each.startsWith("command:")).map((each) => each.slice("command:".length));
}

/** A gateway that survived its parent holds the address rightly: it is adopted or replaced. */
function isGatewayRunning(runDirectory: string): boolean {
  return findOrphans(runDirectory).includes(gatewayProcess);
}

async function openSupervisor(
  { loaded: { paths }, environment }: PlatformRequest,
  { specs, gatewayFile }: Children,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<Supervisor> {
  await writeGatewayFile(gatewayFile, paths);
  return createSupervisor({
    specs,
    driver: createProcessDriver({ directories: paths, environment, clock, log }),
    clock,
    log,
  });
}

interface StatusParts {
  readonly request: PlatformRequest;
  readonly inForce: { readonly loaded: LoadedConfig };
  readonly registry: EmbeddedRegistry;
  readonly supervisor: Supervisor;
  readonly servers: ReturnType<typeof openServers>;
  readonly prepared: PreparedKeys;
  readonly live: LivePlatform;
  readonly life: ReturnType<typeof trackLife>;
  readonly clock: Clock;
}

function openStatus(parts: StatusParts, undo: AsyncDisposableStack): () => PlatformStatus {
  const { request, inForce, registry, supervisor, servers, prepared, live, life, clock } = parts;
  const readiness = watchReadiness({ processes: () => supervisor.status(), clock });
  undo.defer(() => readiness.close());
  const startedAt = clock.now();
  return () =>
    describePlatform({
      version: request.version,
      startedAt,
      now: clock.now(),
      dataDirectory: request.loaded.paths.root,
      configFile: inForce.loaded.file,
      auth: inForce.loaded.config.auth.mode,
      isStopping: life.isStopping(),
      snapshot: registry.current(),
      processes: supervisor.status(),
      readiness: readiness.current(),
      attachments: servers.attacher.list(),
      problems: [
        ...live.problems(),
        ...registryProblems(registry),
        ...prepared.problems(),
        ...damagedFiles(request.loaded.paths.root),
      ],
    });
}

function registryProblems(registry: EmbeddedRegistry): Problem[] {
  const message = registry.problem();
  if (message === undefined) return [];
  return [{ subject: "registry", message, fix: "Make room on the disk, or make the data directory writable." }];
}

function killAll(supervisor: Supervisor): void {
  for (const { pid } of supervisor.status()) if (pid !== undefined) signalGroup(pid, "SIGKILL");
}
