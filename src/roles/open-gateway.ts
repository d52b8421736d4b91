import manifest from "../../package.json" with { type: "json" };
import { systemClock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { DataPaths } from "../config/paths.ts";
import type { Companions } from "../gateway/companions.ts";
import { openControlLink } from "../gateway/control-link.ts";
import { createGateway } from "../gateway/create-gateway.ts";
import type { GatewayIdentity } from "../gateway/gateway-parts.ts";
import type { LimitLedger } from "../keys/limit-ledger.ts";
import { openObjects } from "../objects/open-objects.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type RecordPeers, RecordStore } from "../records/record-store.ts";
import { parseControlUrl } from "../registry/control-client.ts";
import { createControlRegistry } from "../registry/control-registry.ts";
import { createEmbeddedRegistry } from "../registry/embedded-registry.ts";
import { mergeViews } from "../registry/merge-views.ts";
import type { RegistryView } from "../registry/registry.ts";
import { createStaticFileSource } from "../registry/static-file.ts";
import { newInstanceName, readServiceEnvironment, type ServiceEnvironment } from "../service-kit/environment.ts";
import { openDatabase } from "../store/open-database.ts";
import { openColdStarts } from "./cold-starts-file.ts";
import { databaseUrl } from "./database-url.ts";
import type { ConfiguredGateway } from "./gateway-config.ts";
import { openGatewaySecrets } from "./gateway-secrets.ts";
import { openMetering } from "./open-metering.ts";

export interface OpenGatewayOptions {
  readonly loaded: Pick<LoadedConfig, "config" | "paths">;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly metrics: Metrics;
  /** Where limits are counted. */
  readonly ledger: LimitLedger;
  readonly log: Logger;
  /** In a worker: what it shares with the others. */
  readonly shared?: SharedGateway;
}

/** What a gateway process has that is one of several. */
export interface SharedGateway extends RecordPeers, Companions {
  readonly index: number;
  /** Of the socket that all of them listen on. */
  readonly descriptor: number;
}

/** A gateway that serves, and all that it needs in its process. */
export interface OpenedGateway extends Omit<ConfiguredGateway, "setLogLevel"> {
  readonly instance: string;
  /** Drains, then closes everything. */
  close(): Promise<void>;
}

/**
 * Opens a gateway in this process. With NEXUS_CONTROL_URL it follows that platform's registry and keeps serving from
 * its last view while the platform is away; without, it serves what `registry.staticFile` names.
 */
export async function openGateway(options: OpenGatewayOptions): Promise<OpenedGateway> {
  const { loaded, environment, metrics, ledger, log, shared } = options;
  const { config, paths } = loaded;
  const service = readServiceEnvironment(environment);
  const fleet = openFleet(loaded, service, log);
  const control = service.controlUrl === undefined ? undefined : openControlLink(parseControlUrl(service.controlUrl));
  const secrets = openGatewaySecrets({ environment, controlUrl: service.controlUrl, clock: systemClock });
  // A commit that waits for the disk would make requests wait: see `isDurable`.
  const url = databaseUrl(config.database, paths, secrets.resolve);
  const database = openDatabase({ url, isDurable: false, log });
  const isFirst = shared === undefined || shared.index === 0;
  const metering = await openMetering({
    loaded,
    database,
    ledger,
    isAlone: service.controlUrl === undefined && isFirst,
    clock: systemClock,
    log,
  });
  const instance = service.instance ?? newInstanceName("gateway");
  const records = openRecords(options, instance);
  const learned = openColdStarts({ path: coldStartsPath(paths, shared), clock: systemClock, log });
  // Connections come as soon as it listens: nobody looks at the readiness of one worker.
  if (shared !== undefined) await within(viewMs, fleet.ready);
  const gateway = await createGateway({
    settings: config.gateway,
    listen: { ...config.listen, ...(shared === undefined ? {} : { descriptor: shared.descriptor }) },
    auth: config.auth,
    aliases: config.aliases,
    routes: config.routes,
    identity: identify(instance, service.hostId),
    view: fleet.view,
    viewReady: fleet.ready,
    keys: metering.keys,
    meter: metering.meter,
    resolveSecret: secrets.resolve,
    control: control === undefined ? undefined : (request) => control.send(request),
    ...(shared === undefined ? {} : { companions: shared }),
    coldStarts: learned.coldStarts,
    records,
    limits: { responses: config.responses, files: config.files, batches: config.batches },
    objects: openObjects({ database, settings: config, directory: paths.files, clock: systemClock, log }),
    metrics,
    log,
    clock: systemClock,
  });
  return {
    gateway,
    metering,
    records,
    instance,
    async close() {
      await gateway.close();
      await Promise.all([learned.close(), metering.close()]);
      await database.close();
      await Promise.all([fleet.close(), control?.close(), secrets.close()]);
      metrics.close();
    },
  };
}

/** Each worker learns by itself; the first one goes on with what a gateway alone has learned. */
function coldStartsPath({ coldStarts }: DataPaths, shared: SharedGateway | undefined): string {
  const index = shared?.index ?? 0;
  return index === 0 ? coldStarts : coldStarts.replace(/\.json$/, `-${index}.json`);
}

/** A worker that has no view of the fleet by then serves without one, and says so. */
const viewMs = 5_000;

async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const cancel = systemClock.after(ms, resolve);
  await Promise.race([promise, late]).catch(() => {});
  cancel();
}

function openRecords({ loaded, log, shared }: OpenGatewayOptions, instance: string): RecordStore {
  const { config, paths } = loaded;
  return new RecordStore({
    settings: config.records,
    directory: paths.requests,
    writer: shared === undefined ? instance : `${instance}.${shared.index}`,
    ...(shared === undefined ? {} : { peers: shared }),
    clock: systemClock,
    log,
  });
}

function identify(instance: string, host: string): GatewayIdentity {
  return { version: manifest.version, instance, host, startedAt: new Date(systemClock.now()).toISOString() };
}

interface Fleet {
  readonly view: RegistryView;
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

function openFleet(loaded: Pick<LoadedConfig, "config" | "paths">, service: ServiceEnvironment, log: Logger): Fleet {
  const { config, paths } = loaded;
  const { staticFile } = config.registry;
  const file =
    staticFile === undefined ? undefined : createStaticFileSource({ path: staticFile, clock: systemClock, log });
  if (service.controlUrl === undefined) {
    const alone = file ?? createEmbeddedRegistry({ clock: systemClock, log });
    return { view: alone, ready: file?.ready() ?? Promise.resolve(), close: async () => alone.close() };
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
