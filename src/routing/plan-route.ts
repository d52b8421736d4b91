import { closeNames } from "../base/close-names.ts";
import type { Evidence, Policy } from "../contract/instance-record.ts";
import type { Endpoint } from "../contract/metadata.ts";
import type { ModelIndex, Offer } from "./model-index.ts";
import type {
  CandidateScore,
  Rejection,
  RejectionReason,
  RoutePlan,
  RouteRequest,
  RoutingContext,
} from "./route-plan.ts";

export type * from "./route-plan.ts";

/**
 * Chooses instances for a request. Pure: the same arguments give the same plan.
 * Filter: operation, features, drain, state, readiness, ejection. Order: a feature that is known before one that is
 * not, loaded before loadable, then load, then turn by turn.
 */
export function planRoute(request: RouteRequest, context: RoutingContext): RoutePlan {
  const model = resolveAlias(request.model, context.aliases);
  const offers = context.index.offers.get(model) ?? [];
  const usable: Offer[] = [];
  const ejected: Offer[] = [];
  const rejected: Rejection[] = [];
  for (const offer of offers) {
    const rejection = reject(offer, request, context);
    if (rejection === undefined) usable.push(offer);
    else {
      rejected.push(rejection);
      if (rejection.reason === "ejected") ejected.push(offer);
    }
  }
  // What passive signals say never takes out the last instance: it is tried rather than refused.
  const chosen = usable.length > 0 ? usable : ejected;
  const candidates = orderOffers(chosen, request, context).flatMap((offer) => {
    const endpoint = endpointFor(offer, request);
    if (endpoint === undefined) return [];
    const why = scoreOf(offer, request, context);
    return { ...offer, operationId: endpoint.operation_id, endpoint, lastResort: chosen === ejected, why };
  });
  const failure = candidates.length > 0 ? undefined : explainFailure(model, request, rejected, context);
  return { model, route: undefined, candidates, rejected, omitted: 0, failure };
}

/** The model that a client means. An alias of the operator's goes before a model of the same name. */
export function resolveAlias(name: string, aliases: Readonly<Record<string, string>>): string {
  return Object.hasOwn(aliases, name) ? (aliases[name] ?? name) : name;
}

/** Instances with unknown limits are compared as if this many requests filled them. */
const assumedConcurrency = 8;

function orderOffers(offers: readonly Offer[], request: RouteRequest, context: RoutingContext): readonly Offer[] {
  if (offers.length < 2) return offers;
  const ranked = offers.map((offer, place) => {
    const limit = offer.record.metadata.capabilities.max_concurrency ?? assumedConcurrency;
    return {
      offer,
      unknownFeatures: Object.keys(request.needs).filter((need) => request.needs[need] && !isKnown(offer, need)).length,
      cold: offer.model.state === "loaded" ? 0 : 1,
      load: context.conditionOf(offer.key).inFlight / limit,
      turn: (place + request.turn) % offers.length,
    };
  });
  ranked.sort((a, b) => a.unknownFeatures - b.unknownFeatures || a.cold - b.cold || a.load - b.load || a.turn - b.turn);
  return ranked.map(({ offer }) => offer);
}

/** The first of the request's ways that the instance offers. */
function endpointFor({ record }: Offer, { operation, ways = [operation.id] }: RouteRequest): Endpoint | undefined {
  for (const way of ways) {
    const endpoint = record.metadata.endpoints.find(({ operation_id }) => operation_id === way);
    if (endpoint !== undefined) return endpoint;
  }
  return undefined;
}

function scoreOf(offer: Offer, request: RouteRequest, context: RoutingContext): CandidateScore {
  const { inFlight, penalty = 0, full = false } = context.conditionOf(offer.key);
  const limit = offer.record.metadata.capabilities.max_concurrency ?? assumedConcurrency;
  return {
    tier: 0,
    weight: 1,
    unknownFeatures: Object.keys(request.needs).filter((need) => request.needs[need] && !isKnown(offer, need)).length,
    state: offer.model.state,
    coldStartMs: context.coldStartMsOf?.(offer.model.id, offer.record.host),
    waitMs: context.waitMsOf?.(offer.key) ?? 0,
    inFlight,
    limit,
    penalty,
    full,
    load: ((inFlight + 1) / limit) * (1 + penalty),
    affinity: false,
  };
}

function evidenceFor(offer: Offer, feature: string): Evidence | undefined {
  return offer.record.evidence[offer.model.id]?.[feature];
}

function isKnown(offer: Offer, feature: string): boolean {
  return offer.model.features[feature] === true || evidenceFor(offer, feature)?.grade === "proven";
}

function reject(offer: Offer, request: RouteRequest, context: RoutingContext): Rejection | undefined {
  const no = (reason: RejectionReason, text: string): Rejection => ({ key: offer.key, reason, text });
  const { record, model } = offer;
  const { operation } = request;
  if (
    !operation.domains.some((domain) => model.domains.includes(domain)) ||
    endpointFor(offer, request) === undefined
  ) {
    return no("operation", `does not offer ${operation.id} for this model`);
  }
  for (const need of Object.keys(request.needs)) {
    if (request.needs[need] !== true) continue;
    const evidence = evidenceFor(offer, need);
    if (evidence?.grade === "refuted") return no("feature", `${need}: ${evidence.reason}`);
    if (model.features[need] === false && evidence?.grade !== "proven") {
      return no("feature", `says that it has no ${need}`);
    }
  }
  const drain = drainOf(offer, context.index.snapshot.policy);
  if (drain !== undefined) return no("drained", `the ${drain.kind} is drained${drain.reason && `: ${drain.reason}`}`);
  const condition = context.conditionOf(offer.key);
  if (condition.unready !== undefined) return no("unready", condition.unready);
  // While the registry is away, what the gateway sees for itself is newer than what the record says.
  if (record.state !== "ready" && !(context.index.snapshot.stale && record.state !== "draining")) {
    return no(record.state, record.state_reason || record.state);
  }
  if (condition.ejected !== undefined) return no("ejected", condition.ejected);
  return undefined;
}

function drainOf(offer: Offer, policy: Policy): Policy["drained"][number] | undefined {
  const { record, key } = offer;
  return policy.drained.find(
    ({ kind, name }) => name === { host: record.host, service: record.service, instance: key }[kind],
  );
}

function explainFailure(
  model: string,
  request: RouteRequest,
  rejected: readonly Rejection[],
  context: RoutingContext,
): RoutePlan["failure"] {
  if (rejected.length === 0 && context.wasOffered(model)) {
    const message = `The service of '${request.model}' is away: it may be restarting. Try again soon.`;
    return { code: "no_instance_available", message };
  }
  if (rejected.length === 0)
    return { code: "model_not_found", message: unknownModel(model, request.model, context.index) };
  if (rejected.every(({ reason }) => reason === "operation")) {
    return {
      code: "unsupported_feature",
      message: `The model '${request.model}' does not offer ${request.operation.id}. GET /v1/models shows what each model is for.`,
    };
  }
  if (rejected.every(({ reason }) => reason === "operation" || reason === "feature")) {
    const missing = rejected.find(({ reason }) => reason === "feature")?.text ?? "";
    return {
      code: "unsupported_feature",
      message: `No instance of '${request.model}' can do what the request needs (${missing}). GET /v1/models shows each model's features.`,
    };
  }
  const reasons = new Set(rejected.filter(({ reason }) => reason !== "operation").map(({ text }) => text));
  return {
    code: "no_instance_available",
    message: `No instance of '${request.model}' works right now (${[...reasons].slice(0, 3).join("; ")}). Try again soon.`,
  };
}

function unknownModel(model: string, asked: string, index: ModelIndex): string {
  const via = model === asked ? "" : ` (an alias for '${model}')`;
  if (index.offers.size === 0) {
    return `There is no model '${asked}'${via}: no service has registered one yet. Start a service or run \`nexus attach URL\`.`;
  }
  const close = closeNames(model, [...index.offers.keys()], 3);
  const hint =
    close.length === 0
      ? "GET /v1/models lists what there is."
      : `Close: ${close.map((name) => `'${name}'`).join(", ")}.`;
  return `There is no model '${asked}'${via}. ${hint}`;
}
