import { randomUUID } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { KeyCache } from "../keys/key-cache.ts";
import type { Meter } from "../keys/meter.ts";
import type { BatchesConfig } from "../objects/config.ts";
import type { ObjectLimits, Objects } from "../objects/open-objects.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { RecordStore } from "../records/record-store.ts";
import type { RegistryView } from "../registry/registry.ts";
import { Admission } from "../resilience/admission.ts";
import { ColdStarts } from "../resilience/cold-starts.ts";
import { InstanceConditions } from "../resilience/instance-conditions.ts";
import type { InstanceNews } from "../resilience/instance-news.ts";
import { ReadinessMonitor } from "../resilience/readiness-monitor.ts";
import { RetryBudget, type RetryBudgetSettings } from "../resilience/retry-budget.ts";
import { compileRoutes } from "../routing/compile-routes.ts";
import type { RoutesConfig } from "../routing/config.ts";
import { indexModels, type ModelIndex } from "../routing/model-index.ts";
import type { Candidate } from "../routing/route-plan.ts";
import { BackgroundRunner } from "./background-runner.ts";
import { BatchRunner } from "./batch-runner.ts";
import type { ClientReply, ClientRequest } from "./client-io.ts";
import type { Companions } from "./companions.ts";
import type { Aliases, AuthConfig, GatewayConfig, ListenConfig } from "./config.ts";
import { createGatewayMetrics } from "./gateway-metrics.ts";
import type { GatewayIdentity, GatewayParts } from "./gateway-parts.ts";
import { serveExchange } from "./serve-exchange.ts";
import { type ListeningServer, listen } from "./server.ts";
import { StoredResponses } from "./stored-responses.ts";
import { type UpstreamSettings, Upstreams } from "./upstream.ts";

/** What the operator decides and may change while the gateway runs. */
export interface GatewayRules {
  readonly settings: GatewayConfig;
  readonly auth: AuthConfig;
  readonly aliases: Aliases;
  readonly routes: RoutesConfig;
  /** What clients may leave with the gateway, and how it works on that. */
  readonly limits: ObjectLimits & { readonly batches: BatchesConfig };
}

export interface GatewayOptions extends GatewayRules {
  /** With `descriptor`, a socket that is bound already and that others listen on too. */
  readonly listen: ListenConfig & { readonly descriptor?: number };
  readonly identity: GatewayIdentity;
  /** The fleet. The gateway is ready once `viewReady` settles. */
  readonly view: RegistryView;
  readonly viewReady: Promise<void>;
  readonly keys: KeyCache;
  readonly meter: Meter;
  readonly resolveSecret: (reference: string) => Promise<string>;
  readonly control: GatewayParts["control"];
  /** Default: this process serves alone. */
  readonly companions?: Companions;
  /** What loading models costs, as an earlier process has learned it. Default: nothing is known. */
  readonly coldStarts?: ColdStarts;
  readonly records: RecordStore;
  readonly objects: Objects;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
}

export interface Gateway {
  readonly url: string;
  /**
   * Makes other rules hold, all of them from one request to the next. Requests under way keep the plan that they have;
   * no answer is cut. @throws what `compileRoutes` throws, and nothing has changed then.
   */
  reload(next: GatewayRules): void;
  /** Another process has learnt this of an instance. */
  learn(news: InstanceNews): void;
  /** `Companions.isMine` says something else than before. */
  partChanged(): void;
  /** Drains: readiness says so, no new connections, requests under way end. */
  close(): Promise<void>;
}

/** For requests that are no operation: probes, and what the control process is asked. */
const firstTokenMs = 60_000;

/** Puts the parts of a gateway together and listens. */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { view, companions, clock } = options;
  const rules = compileRules(options);
  const { settings } = rules;
  const conditions = new InstanceConditions(settings.ejection, clock, (news) => companions?.tell(news));
  const isDeclared = (key: string) => conditions.of(key).declaredLimit !== null;
  const admission = new Admission<Candidate>({
    settings: settings.admission,
    clock,
    limitOf: ({ key }) => conditions.of(key).limit,
    ...(companions === undefined ? {} : { ledger: companions.slots(isDeclared) }),
  });
  const upstreams = new Upstreams({ ...upstreamSettings(settings), resolveSecret: options.resolveSecret });
  const metrics = createGatewayMetrics(options.metrics, {
    routable: () => countReady(view, conditions),
    waiting: () => admission.waiting,
  });
  const monitor = openMonitor(options, { conditions, admission, upstreams, metrics });
  const models = openModelIndex(view, clock);
  const stopPruning = view.onChange((snapshot) => {
    upstreams.retain(snapshot.instances.values());
    models.index();
    admission.fleetChanged();
  });
  const state = openState(options);
  let turn = 0;
  const runners = openRunners(options, (request, reply) => serveExchange(request, reply, parts));
  const parts: GatewayParts = {
    ...options,
    ...models,
    ...rules,
    responses: new StoredResponses(options.objects.responses),
    ...runners,
    conditions,
    admission,
    coldStarts: options.coldStarts ?? new ColdStarts(clock),
    upstreams,
    retryBudget: new RetryBudget(budgetOf(settings)),
    metrics,
    processMetrics: options.metrics,
    state: () => state,
    nextTurn: () => turn++,
    hurryProbe: (key) => monitor.hurry(key),
  };
  const server = await listen(parts, options.listen);
  return {
    url: server.url,
    reload: (next) => takeRules(parts, { monitor, runners }, next),
    learn: (news) => learn(parts, { monitor, view }, news),
    partChanged: () => monitor.partChanged(),
    async close() {
      state.draining = true;
      await drain(parts, runners, server);
      monitor.close();
      stopPruning();
      await closeRest(parts, options.objects);
    },
  };
}

function openState({ viewReady, log }: GatewayOptions) {
  const state = { hasView: false, draining: false };
  const noteView = () => {
    state.hasView = true;
  };
  viewReady.then(noteView, (error: unknown) => log.error({ error }, "no view of the fleet"));
  return state;
}

/** What works without a client. */
interface Runners {
  readonly batches: BatchRunner;
  readonly background: BackgroundRunner;
}

/** Lines of batches, and what is answered in the background, take the same way as requests of clients. */
function openRunners(
  { objects, limits, identity, clock, log }: GatewayOptions,
  serve: (request: ClientRequest, reply: ClientReply) => Promise<void>,
): Runners {
  // A process that starts anew under its name must not take itself for the one before.
  const holder = `${identity.instance} ${randomUUID()}`;
  const shared = { serve, holder, clock, log };
  const { batches: store, files, runs, responses } = objects;
  return {
    batches: new BatchRunner({ ...shared, store, files, settings: limits.batches }),
    background: new BackgroundRunner({ ...shared, runs, responses, runsMax: limits.responses.backgroundMax }),
  };
}

function takeLimits(objects: Objects, { batches, background }: Runners, { limits }: GatewayRules): void {
  objects.configure(limits);
  batches.configure(limits.batches);
  background.configure(limits.responses.backgroundMax);
}

/** Lets end what is under way. */
async function drain(
  { admission, settings }: GatewayParts,
  { batches, background }: Runners,
  server: ListeningServer,
): Promise<void> {
  const { drainMs } = settings.timeouts;
  const ended = [batches.close(drainMs), background.close(drainMs)];
  admission.close(new NexusError("draining", "The gateway is shutting down.", { retryAfterSeconds: 1 }));
  await Promise.all([server.close(drainMs), ...ended]);
}

async function closeRest({ keys, upstreams, records }: GatewayParts, objects: Objects): Promise<void> {
  objects.close();
  keys.close();
  await upstreams.close();
  await records.close();
}

/** Another process has learnt this of an instance. */
function learn(
  { conditions, admission }: GatewayParts,
  { monitor, view }: { readonly monitor: ReadinessMonitor; readonly view: RegistryView },
  news: InstanceNews,
): void {
  if (news.kind === "readiness") monitor.learn(news.key, news.unready);
  else if (view.current().instances.has(news.key)) conditions.of(news.key).learn(news);
  admission.fleetChanged();
}

/** Asks the instances whether they can take requests; where several processes serve, each asks its part of them. */
function openMonitor(
  { settings, view, companions, clock, log }: GatewayOptions,
  parts: Pick<GatewayParts, "conditions" | "admission" | "upstreams" | "metrics">,
): ReadinessMonitor {
  return new ReadinessMonitor({
    view,
    conditions: parts.conditions,
    probe: (record) => parts.upstreams.probe(record),
    settings: settings.probes,
    clock,
    isMine: (key) => companions?.isMine(key) ?? true,
    onChange(key, unready) {
      companions?.tell({ kind: "readiness", key, unready });
      parts.metrics.instanceChanged(key, unready);
      parts.admission.fleetChanged();
      if (unready === undefined) log.info({ instance: key }, "instance ready");
      else log.warn({ instance: key, reason: unready }, "instance unready");
    },
  });
}

type CompiledRules = Pick<GatewayParts, "settings" | "auth" | "aliases" | "routes">;

function compileRules({ settings, auth, aliases, routes }: GatewayRules): CompiledRules {
  return { settings, auth, aliases, routes: compileRoutes(routes) };
}

/** Every stage reads the rules from the parts when it needs them, so that replacing them there replaces them all. */
function takeRules(
  parts: GatewayParts,
  { monitor, runners }: { readonly monitor: ReadinessMonitor; readonly runners: Runners },
  next: GatewayRules,
): void {
  const rules = compileRules(next);
  const { settings } = rules;
  Object.assign(parts, rules);
  parts.conditions.configure(settings.ejection);
  parts.upstreams.configure(upstreamSettings(settings));
  parts.retryBudget.configure(budgetOf(settings));
  monitor.configure(settings.probes);
  takeLimits(parts.objects, runners, next);
  // Last: it looks at those who wait, by all the new rules.
  parts.admission.configure(settings.admission);
}

function upstreamSettings({ timeouts, probes }: GatewayConfig): UpstreamSettings {
  return { timeouts: { ...timeouts, firstTokenMs: timeouts.firstTokenMs ?? firstTokenMs }, probes };
}

function budgetOf({ retry }: GatewayConfig): RetryBudgetSettings {
  return { ratio: retry.budgetRatio, min: retry.budgetMin };
}

/**
 * How long a model that left is spoken of as away instead of unknown: the time to notice that a process hangs, to
 * replace it and to load its model again. Clients repeat what is away, and give up on what is unknown.
 */
const departedMs = 120_000;
/** Names beyond this are forgotten, the oldest first. */
const departedMax = 10_000;

/** The index of the newest snapshot, which follows when it is asked for, and the memory of what left. */
function openModelIndex(view: RegistryView, clock: Clock): Pick<GatewayParts, "index" | "wasOffered"> {
  const index = indexModels(view.current());
  const departedAt = new Map<string, number>();
  const current = (): ModelIndex => {
    const snapshot = view.current();
    if (index.snapshot === snapshot) return index;
    for (const name of index.follow(snapshot)) {
      departedAt.delete(name);
      departedAt.set(name, clock.monotonic());
    }
    for (const name of departedAt.keys()) {
      if (departedAt.size <= departedMax) break;
      departedAt.delete(name);
    }
    return index;
  };
  return {
    index: current,
    wasOffered: (model) => clock.monotonic() - (departedAt.get(model) ?? Number.NEGATIVE_INFINITY) < departedMs,
  };
}

function countReady(view: RegistryView, conditions: InstanceConditions): { ready: number; unready: number } {
  let ready = 0;
  const { instances } = view.current();
  for (const [key, record] of instances) {
    if (record.state === "ready" && conditions.of(key).unready === undefined) ready++;
  }
  return { ready, unready: instances.size - ready };
}
