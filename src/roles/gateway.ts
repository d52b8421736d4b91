import manifest from "../../package.json" with { type: "json" };
import { systemClock } from "../base/clock.ts";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import type { Roles } from "../cli/roles.ts";
import type { LoadedConfig } from "../config/load.ts";
import { openControlLink } from "../gateway/control-link.ts";
import { createGateway } from "../gateway/create-gateway.ts";
import { LocalLedger } from "../keys/local-ledger.ts";
import { openObjects } from "../objects/open-objects.ts";
import { createLogger, type LogLevel } from "../observability/logger.ts";
import { createMetrics } from "../observability/metrics.ts";
import { RecordStore } from "../records/record-store.ts";
import { parseControlUrl } from "../registry/control-client.ts";
import { createControlRegistry } from "../registry/control-registry.ts";
import { createEmbeddedRegistry } from "../registry/embedded-registry.ts";
import { mergeViews } from "../registry/merge-views.ts";
import type { RegistryView } from "../registry/registry.ts";
import { createStaticFileSource } from "../registry/static-file.ts";
import { newInstanceName, readServiceEnvironment, type ServiceEnvironment } from "../service-kit/environment.ts";
import { ownProcess } from "../service-kit/own-process.ts";
import { openDatabase } from "../store/open-database.ts";
import { databaseUrl } from "./database-url.ts";
import { followGatewayConfig } from "./gateway-config.ts";
import { openGatewaySecrets } from "./gateway-secrets.ts";
import { openMetering } from "./open-metering.ts";

/**
 * `nexus gateway`: serves until it is interrupted. With NEXUS_CONTROL_URL it follows that platform's registry and keeps
 * serving from its last view while the platform is away; without, it serves what `registry.staticFile` names.
 */
export const runGateway: Roles["runGateway"] = async ({ loaded, environment, onHangup }) => {
  const { config, paths } = loaded;
  const service = readServiceEnvironment(environment);
  let logLevel = config.logs.level;
  const log = createLogger({ level: () => logLevel, fields: { process: "gateway" } });
  const fleet = openFleet(loaded, service, log);
  const control = service.controlUrl === undefined ? undefined : openControlLink(parseControlUrl(service.controlUrl));
  const secrets = openGatewaySecrets({ environment, controlUrl: service.controlUrl, clock: systemClock });
  // A commit that waits for the disk would make requests wait: see `isDurable`.
  const database = openDatabase({
    url: databaseUrl(config.database, paths, secrets.resolve),
    isDurable: false,
    log,
  });
  const metering = await openMetering({
    loaded,
    database,
    ledger: new LocalLedger(systemClock),
    isAlone: service.controlUrl === undefined,
    clock: systemClock,
    log,
  });
  const metrics = createMetrics();
  const instance = service.instance ?? newInstanceName("gateway");
  const records = new RecordStore({
    settings: config.records,
    directory: paths.requests,
    writer: instance,
    clock: systemClock,
    log,
  });
  const gateway = await createGateway({
    settings: config.gateway,
    listen: config.listen,
    auth: config.auth,
    aliases: config.aliases,
    routes: config.routes,
    identity: {
      version: manifest.version,
      instance,
      host: service.hostId,
      startedAt: new Date(systemClock.now()).toISOString(),
    },
    view: fleet.view,
    viewReady: fleet.ready,
    keys: metering.keys,
    meter: metering.meter,
    resolveSecret: secrets.resolve,
    control: control === undefined ? undefined : (request) => control.send(request),
    records,
    batchSettings: config.batches,
    objects: openObjects({ database, settings: config, directory: paths.files, clock: systemClock, log }),
    metrics,
    log,
    clock: systemClock,
  });
  if (service.runFile !== undefined) {
    await writeFileAtomic(service.runFile, `${JSON.stringify({ pid: process.pid, url: gateway.url })}\n`);
  }
  const setLogLevel = (level: LogLevel) => {
    logLevel = level;
  };
  const live = followGatewayConfig({
    loaded,
    configured: { gateway, metering, records, setLogLevel },
    isChild: service.controlUrl !== undefined,
    metrics,
    clock: systemClock,
    log,
  });
  onHangup(() => void live.reload());
  log.info({ url: gateway.url, version: manifest.version }, "gateway listens");
  ownProcess(async () => {
    await live.close();
    await gateway.close();
    await metering.close();
    await database.close();
    await Promise.all([fleet.close(), control?.close(), secrets.close()]);
    metrics.close();
    log.info({}, "gateway stopped");
  }, log);
};

interface Fleet {
  readonly view: RegistryView;
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

function openFleet(loaded: LoadedConfig, service: ServiceEnvironment, log: ReturnType<typeof createLogger>): Fleet {
  const { config, paths } = loaded;
  const { staticFile } = config.registry;
  const file =
    staticFile === undefined ? undefined : createStaticFileSource({ path: staticFile, clock: systemClock, log });
  if (service.controlUrl === undefined) {
    const alone = file ?? createEmbeddedRegistry({ clock: systemClock, log });
    return { view: alone, ready: Promise.resolve(), close: async () => alone.close() };
  }
  const registry = createControlRegistry({
    url: service.controlUrl,
    ...(service.controlKey === undefined ? {} : { key: service.controlKey }),
    cachePath: paths.gatewayView,
    clock: systemClock,
    log,
  });
  return {
    view: file === undefined ? registry : mergeViews([registry, file]),
    ready: registry.ready(),
    async close() {
      await registry.close();
      await file?.close();
    },
  };
}
