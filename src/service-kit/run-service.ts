import { setMaxListeners } from "node:events";
import type { AddressInfo } from "node:net";
import { type Clock, systemClock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import { type InstanceRecordInput, metadataDigest } from "../contract/instance-record.ts";
import { contractVersion } from "../contract/metadata.ts";
import { createLogger } from "../observability/logger.ts";
import { createMetrics } from "../observability/metrics.ts";
import { createControlRegistry } from "../registry/control-registry.ts";
import type { Registry } from "../registry/registry.ts";
import { createAdmission } from "./admission.ts";
import { describeService, type Identity } from "./describe-service.ts";
import { newInstanceName, type ServiceEnvironment } from "./environment.ts";
import { createHttpServer, type HttpServer } from "./http-server.ts";
import { type KeptRegistration, keepRegistered } from "./keep-registered.ts";
import { ownProcess } from "./own-process.ts";
import { createBodyBudget } from "./read-body.ts";
import { createReadiness, type ReadinessTracker } from "./readiness.ts";
import { defaultServiceLimits, type Service, type ServiceContext } from "./service.ts";
import { countRequests } from "./service-metrics.ts";
import { type ServiceState, serviceRoutes } from "./service-routes.ts";
import { within } from "./within.ts";

export interface RunServiceOptions {
  /** Where to register. Default: the control of the environment's `controlUrl`, or nowhere without one. */
  readonly registry?: Pick<Registry, "register" | "renew" | "deregister">;
  readonly clock?: Clock;
  /** Default: JSON lines on stdout. */
  readonly log?: Logger;
  /**
   * Whether SIGTERM and SIGINT drain and end the process, and a defect that nobody caught ends it with exit code 1.
   * Default true: a service is its process. Tests that run several in one process say false.
   */
  readonly ownsProcess?: boolean;
}

/** A service that listens. */
export interface RunningService {
  /** Base URL, without a slash at its end. */
  readonly url: string;
  /**
   * Deregisters, lets requests in flight end within the drain deadline, then stops. Idempotent; resolves when nothing
   * is left, and never rejects.
   */
  close(): Promise<void>;
}

/** How long a stopping service waits for `start` to give up and for `stop` to end. */
const stopMs = 5_000;

/** How long handlers may take to end after the drain deadline has aborted them. */
const abortMs = 1_000;

/** The parts of one running service, wired. */
interface Parts {
  readonly service: Service;
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: ServiceState;
  readonly http: HttpServer;
  /** What changes while it lives. */
  readonly live: { registration: KeptRegistration | undefined };
  /** Aborted when new work is refused. */
  readonly draining: AbortController;
}

/**
 * Listens, registers, then starts the service; resolves as soon as it listens, long before it is ready.
 * @throws NexusError `conflict` when it cannot listen at the address.
 */
export async function runService(
  service: Service,
  environment: ServiceEnvironment,
  options: RunServiceOptions = {},
): Promise<RunningService> {
  const parts = assemble(service, environment, options);
  const { clock, log, state, http, live } = parts;
  const ownRegistry = options.registry === undefined ? controlRegistry(environment, log, clock) : undefined;
  const url = await listen(http, environment);
  await writeRunFile(environment, url);
  log.info({ url }, "listening");

  const registry = options.registry ?? ownRegistry;
  const record = () => instanceRecord(state, environment.baseUrl ?? url);
  if (registry !== undefined) live.registration = keepRegistered({ registry, record, clock, log });

  const stopping = new AbortController();
  let starting = Promise.resolve();
  let closing: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    await shutDown(parts, starting);
    await ownRegistry?.close();
    disown();
  };
  const close = (): Promise<void> => {
    stopping.abort();
    closing ??= end();
    return closing;
  };
  const disown = options.ownsProcess === false ? () => {} : ownProcess(close, log);
  starting = start(service, serviceContext(parts, stopping.signal), state.readiness);
  return { url, close };
}

function assemble(service: Service, environment: ServiceEnvironment, options: RunServiceOptions): Parts {
  const clock = options.clock ?? systemClock;
  const name = environment.service ?? service.name;
  const instance = environment.instance ?? newInstanceName(name);
  const identity: Identity = { service: name, instance, host: environment.hostId, startedAtMs: clock.now() };
  const log = (options.log ?? createLogger({ level: environment.logLevel })).child({ service: name, instance });
  const limits = { ...defaultServiceLimits, ...service.limits };
  const live: Parts["live"] = { registration: undefined };
  const draining = new AbortController();
  setMaxListeners(0, draining.signal);
  const metrics = createMetrics();
  const readiness = createReadiness(() => live.registration?.changed());
  const admission = createAdmission(service.capabilities.max_concurrency, limits.queueMax, clock);
  const state: ServiceState = {
    service,
    identity,
    limits,
    readiness,
    admission,
    bodies: createBodyBudget(limits.bodyBytesMax),
    metrics,
    clock,
    draining: draining.signal,
  };
  const http = createHttpServer({
    routes: serviceRoutes(state),
    log,
    clock,
    discardBytesMax: limits.bodyBytesMax,
    onComplete: countRequests(metrics, admission, readiness),
  });
  return { service, clock, log, state, http, live, draining };
}

function serviceContext({ log, state, live }: Parts, signal: AbortSignal): ServiceContext {
  const { identity, metrics, readiness } = state;
  return {
    log,
    metrics,
    signal,
    service: identity.service,
    instance: identity.instance,
    check: readiness.check,
    progress: readiness.progress,
    changed: () => live.registration?.changed(),
  };
}

/** Out of the registry first, so that nobody is sent here any more; then what is open may end; then everything else. */
async function shutDown(parts: Parts, starting: Promise<void>): Promise<void> {
  const { service, clock, log, state, http, live, draining } = parts;
  log.info({ open: http.exchanges.size }, "shutting down");
  state.readiness.draining();
  await live.registration?.stop();
  draining.abort();
  await finishExchanges(http, state.limits.drainMs, clock);
  http.server.close();
  http.server.closeAllConnections();
  await within(stop(service, starting), stopMs, clock).catch((error: unknown) => {
    log.error({ error }, "the service did not stop in order");
  });
  state.metrics.close();
  log.info({}, "stopped");
}

/** The registry that the environment names. It watches nothing: registering is all that a service does with it. */
function controlRegistry(
  { controlUrl, controlKey }: ServiceEnvironment,
  log: Logger,
  clock: Clock,
): Registry | undefined {
  if (controlUrl === undefined) return undefined;
  return createControlRegistry({
    url: controlUrl,
    ...(controlKey === undefined ? {} : { key: controlKey }),
    log,
    clock,
  });
}

async function start(service: Service, context: ServiceContext, readiness: ReadinessTracker): Promise<void> {
  try {
    await service.start?.(context);
    readiness.started();
  } catch (error) {
    if (context.signal.aborted) return;
    context.log.error({ error }, "the service cannot start");
    readiness.failed(error instanceof NexusError ? error.message : describeError(error));
  }
}

async function stop(service: Service, starting: Promise<void>): Promise<void> {
  await starting;
  await service.stop?.();
}

async function listen(http: HttpServer, environment: ServiceEnvironment): Promise<string> {
  const { host, port } = environment;
  await new Promise<void>((resolve, reject) => {
    http.server.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "something else listens there" : describeError(error);
      reject(new NexusError("conflict", `Cannot listen on ${host}:${port}: ${why}.`, { cause: error }));
    });
    http.server.listen(port, host, resolve);
  });
  const address = http.server.address() as AddressInfo;
  return `http://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
}

async function writeRunFile(environment: ServiceEnvironment, url: string): Promise<void> {
  if (environment.runFile === undefined) return;
  await writeFileAtomic(environment.runFile, `${JSON.stringify({ pid: process.pid, url })}\n`);
}

/** What stands in the registry right now. */
function instanceRecord(state: ServiceState, baseUrl: string): InstanceRecordInput {
  const { service, identity, readiness } = state;
  const metadata = describeService(service, identity);
  return {
    schema_version: contractVersion,
    service: identity.service,
    instance: identity.instance,
    host: identity.host,
    base_url: baseUrl,
    metadata,
    metadata_digest: metadataDigest(metadata),
    state: readiness.state(),
    state_reason: readiness.reason().slice(0, 1024),
    registered_at: new Date(identity.startedAtMs).toISOString(),
  };
}

/** Waits for open exchanges; those still open at the deadline are aborted, and given up a second later. */
async function finishExchanges(http: HttpServer, drainMs: number, clock: Clock): Promise<void> {
  const isIdle = (ms: number): Promise<boolean> =>
    within(http.whenIdle(), ms, clock).then(
      () => true,
      () => false,
    );
  if (await isIdle(drainMs)) return;
  const reason = new NexusError("draining", "The service shut down before the answer was complete.");
  for (const exchange of http.exchanges) exchange.abort(reason);
  await isIdle(abortMs);
}
