import type { Evidence, InstanceRecord } from "../contract/instance-record.ts";
import type { Endpoint } from "../contract/metadata.ts";
import { paidLabel, tierLabel, tierMax } from "../contract/service-labels.ts";
import { anyInstance, type CompiledRoute, type RouteCandidate } from "./compile-routes.ts";
import { factsOf, type HostFacts, zoneOf } from "./facts.ts";
import type { Offer } from "./model-index.ts";
import type { RejectionReason } from "./route-plan.ts";
import type { Selector } from "./selector.ts";

/** What requests of one kind have in common: all that the static filter looks at, besides the offers. */
export interface Question {
  readonly route: CompiledRoute | undefined;
  /** The model of each of the route's candidates, in their order, after the operator's aliases. */
  readonly candidateModels: readonly string[];
  readonly operation: { readonly id: string; readonly domains: readonly string[] };
  readonly ways: readonly string[];
  readonly needs: readonly string[];
  readonly hosts: ReadonlyMap<string, HostFacts> | undefined;
}

/** An offer that can serve the request as far as its record goes. */
export interface Prospect {
  readonly offer: Offer;
  readonly endpoint: Endpoint;
  /** Place of the operation that it is asked for among the request's ways; 0 is the native one. */
  readonly way: number;
  readonly tier: number;
  readonly weight: number;
  /** Requests at once, as its metadata says. */
  readonly limit: number;
  readonly unknownFeatures: number;
}

/** An offer that can't, and why. */
export interface Refusal {
  readonly offer: Offer;
  readonly reason: RejectionReason;
  readonly text: string;
}

/** Instances with unknown limits are compared as if this many requests filled them. */
const assumedConcurrency = 8;

/** Whether requests to an instance cost money: its label `nexus.paid` is `true`. */
export function isPaid(record: InstanceRecord): boolean {
  return record.labels[paidLabel] === "true";
}

/** The tier of an instance where no route says another: its label `nexus.tier`, else 0. */
function tierOf(record: InstanceRecord): number {
  const tier = Number(record.labels[tierLabel] ?? 0);
  return Number.isInteger(tier) && tier >= 0 && tier <= tierMax ? tier : 0;
}

/** Whether the record of an offer says that it can serve the request, and how. */
export function classifyOffer(offer: Offer, question: Question): Prospect | Refusal {
  const { record, model } = offer;
  const { operation, ways, needs } = question;
  const no = (reason: RejectionReason, text: string): Refusal => ({ offer, reason, text });
  const found = operation.domains.length === 0 || operation.domains.some((domain) => includes(model.domains, domain));
  const endpoint = found ? endpointFor(record, ways) : undefined;
  if (endpoint === undefined) return no("operation", `does not offer ${operation.id} for this model`);
  for (const need of needs) {
    const lack = lackOf(offer, need);
    if (lack !== undefined) return no("feature", lack);
  }
  const taken = takeByRoute(offer, question);
  if ("reason" in taken) return no(taken.reason, taken.text);
  return {
    offer,
    endpoint,
    way: ways.indexOf(endpoint.operation_id),
    tier: taken.tier ?? tierOf(record),
    weight: taken.weight,
    limit: record.metadata.capabilities.max_concurrency ?? assumedConcurrency,
    unknownFeatures: needs.filter((need) => !isKnown(offer, need)).length,
  };
}

function includes(list: readonly string[], item: string): boolean {
  return list.includes(item);
}

/** The first of the ways that the instance offers. */
function endpointFor({ metadata }: InstanceRecord, ways: readonly string[]): Endpoint | undefined {
  for (const way of ways) {
    const endpoint = metadata.endpoints.find(({ operation_id }) => operation_id === way);
    if (endpoint !== undefined) return endpoint;
  }
  return undefined;
}

function evidenceFor({ record, model }: Offer, feature: string): Evidence | undefined {
  return record.evidence[model.id]?.[feature];
}

function isKnown(offer: Offer, feature: string): boolean {
  return offer.model.features[feature] === true || evidenceFor(offer, feature)?.grade === "proven";
}

/** Why it is certain that the model lacks a feature. What nobody knows may be there. */
function lackOf(offer: Offer, need: string): string | undefined {
  const evidence = evidenceFor(offer, need);
  if (evidence?.grade === "refuted") return `${need}: ${evidence.reason}`;
  const deniesIt = offer.model.features[need] === false && evidence?.grade !== "proven";
  return deniesIt ? `says that it has no ${need}` : undefined;
}

/** Why a route leaves an offer out. */
interface LeftOut {
  readonly reason: "route" | "residency" | "paid";
  readonly text: string;
}

/** The candidate of the route that an offer is, or why it is none. */
function takeByRoute(offer: Offer, question: Question): RouteCandidate | LeftOut {
  const { record } = offer;
  const found = findCandidate(offer, question);
  if ("reason" in found || !isPaid(record) || question.route?.allowPaid === true) return found;
  if (found.service !== undefined && isNamed(record, found.service)) return found;
  return { reason: "paid", text: "costs money, and no route says that it may be used" };
}

/** The candidate of the route that an offer is, whether it may cost money or not, or why it is none. */
export function findCandidate(
  offer: Offer,
  { route, candidateModels, hosts }: Pick<Question, "route" | "candidateModels" | "hosts">,
): RouteCandidate | LeftOut {
  const { record } = offer;
  const host = hosts?.get(record.host);
  const mismatches: string[] = [];
  const candidates = route?.candidates ?? anyInstance;
  const candidate = candidates.find((one, at) => {
    const mismatch = candidateMismatch(offer, one, { model: candidateModels[at], host });
    if (mismatch !== undefined) mismatches.push(mismatch);
    return mismatch === undefined;
  });
  if (candidate === undefined) return { reason: "route", text: [...new Set(mismatches)].slice(0, 3).join("; ") };
  const outside = route?.where === undefined ? undefined : mismatchOf(route.where, offer, host);
  if (outside !== undefined) return { reason: "route", text: outside };
  const zone = zoneOf(record, host);
  if (route?.residency !== undefined && (zone === undefined || !route.residency.has(zone))) {
    const where = zone === undefined ? "nobody says where it is" : `is in ${zone}`;
    return { reason: "residency", text: `${where}, and the route allows only ${[...route.residency].join(", ")}` };
  }
  return candidate;
}

/** Whether it goes by this name: its service's, or the one under which it is attached. */
function isNamed({ service, instance }: InstanceRecord, name: string): boolean {
  return service === name || instance === name;
}

function candidateMismatch(
  offer: Offer,
  candidate: RouteCandidate,
  { model, host }: { readonly model: string | undefined; readonly host: HostFacts | undefined },
): string | undefined {
  const { id, aliases } = offer.model;
  if (model !== undefined && id !== model && !aliases.includes(model)) return `the route takes ${model}`;
  const { service, where } = candidate;
  if (service !== undefined && !isNamed(offer.record, service)) return `the route takes instances of ${service}`;
  return where === undefined ? undefined : mismatchOf(where, offer, host);
}

interface Verdict {
  readonly host: HostFacts | undefined;
  readonly mismatch: string | undefined;
}

/** An expression says the same of an offer as long as the host's facts are the same objects. */
const verdicts = new WeakMap<Selector, WeakMap<Offer, Verdict>>();

function mismatchOf(selector: Selector, offer: Offer, host: HostFacts | undefined): string | undefined {
  let known = verdicts.get(selector);
  if (known === undefined) {
    known = new WeakMap();
    verdicts.set(selector, known);
  }
  let verdict = known.get(offer);
  if (verdict === undefined || verdict.host !== host) {
    verdict = { host, mismatch: selector.mismatch(factsOf(offer, host)) };
    known.set(offer, verdict);
  }
  return verdict.mismatch;
}
