import { choose, type Group } from "./choose.ts";
import { anyInstance, type CompiledRoute } from "./compile-routes.ts";
import { explainFailure } from "./explain-failure.ts";
import { LiveFilter, type Standing } from "./live-filter.ts";
import type { Offer } from "./model-index.ts";
import { memoryOf } from "./route-memory.ts";
import type { Candidate, Rejection, RoutePlan, RouteRequest, RoutingContext } from "./route-plan.ts";
import { findCandidate, type Question, type Refusal } from "./static-filter.ts";

/** How many candidates and rejections a plan lists. Attempts are fewer by far. */
const listedMax = 64;
/** How many free instances are compared where there are more than that. */
const windowMax = 16;

/**
 * Chooses instances for a request. Pure: the same arguments give the same plan.
 *
 * Filter: operation, model, features (proven before declared, never refuted), the route's candidates, `where`, residency,
 * money; then the key, context length, drain, readiness, state, ejection. Order: tier; a feature that is known before one
 * that is not; loaded before loadable, unless loading is quicker than the queue of the loaded ones; prefix affinity with
 * bounded load; (in flight + 1) / limit x (1 + penalty) / weight; turn by turn.
 *
 * What records say is worked out when they change. The work of a request does not grow with the fleet, as long as one in
 * some ten instances can take it.
 */
export function planRoute(request: RouteRequest, context: RoutingContext): RoutePlan {
  return planWithin(request, context, listedMax);
}

/** The plan for a request with everything that `planRoute` leaves out where there are very many instances. */
export function explainPlan(request: RouteRequest, context: RoutingContext): RoutePlan {
  const plan = planRoute(request, context);
  if (plan.omitted === 0) return plan;
  const all = planWithin(request, context, Number.POSITIVE_INFINITY);
  const first = new Set(plan.candidates.map(({ key, model }) => `${key} ${model.id}`));
  const rest = all.candidates.filter(({ key, model }) => !first.has(`${key} ${model.id}`));
  const { model, route, rejected, omitted, failure } = all;
  return { model, route, rejected, omitted, failure, candidates: [...plan.candidates, ...rest] };
}

/** What decides where a name leads. */
export type NamingContext = Pick<RoutingContext, "index" | "aliases" | "routes" | "hosts">;

/** What a name leads to, whatever a request for it needs. */
export interface NamedOffers {
  /** The model after the operator's aliases. */
  readonly model: string;
  /** The models that its route takes, after aliases; the model alone where no route names others. */
  readonly models: readonly string[];
  /** The offers that its route takes, those that cost money among them. */
  readonly offers: readonly Offer[];
}

/** What a client gets that asks for a name, as far as records and the operator's rules say. */
export function offersFor(name: string, context: NamingContext): NamedOffers {
  const { aliases, index, hosts } = context;
  const model = resolveAlias(name, aliases);
  const route = memoryOf(context).routeFor(name, model);
  const candidateModels = candidateModelsOf(route, model, aliases);
  const models = [...new Set(candidateModels)];
  const offers = new Set(models.flatMap((each) => index.offers.get(each) ?? []));
  const isTaken = (offer: Offer) => !("reason" in findCandidate(offer, { route, candidateModels, hosts }));
  return { model, models, offers: [...offers].filter(isTaken) };
}

/** The model that a client means. An alias of the operator's goes before a model of the same name. */
export function resolveAlias(name: string, aliases: Readonly<Record<string, string>>): string {
  return Object.hasOwn(aliases, name) ? (aliases[name] ?? name) : name;
}

function planWithin(request: RouteRequest, context: RoutingContext, max: number): RoutePlan {
  const model = resolveAlias(request.model, context.aliases);
  const memory = memoryOf(context);
  const route = memory.routeFor(request.model, model);
  const question = toQuestion(request, context, { model, route });
  const preparation = memory.preparations.get(keyOf(question), question);
  const filter = new LiveFilter(request, context, model);
  const choice = choose(preparation, filter, {
    conditionOf: context.conditionOf,
    turn: request.turn,
    prefixHash: route?.prefixAffinity === false ? undefined : request.prefixHash,
    overflowAfterMs: route?.overflowAfterMs,
    exactMax: max,
    windowMax: Math.min(max, windowMax),
  });
  const candidates = toCandidates(choice.groups, { max, lastResort: choice.isLastResort });
  const { refused } = preparation;
  const rejectedCount = Math.min(max, refused.length + choice.rejected.length);
  const { candidateModels } = question;
  const failure =
    candidates.length > 0
      ? undefined
      : explainFailure({
          ...{ request, context, model, route, candidateModels },
          rejected: concat(refused, choice.rejected),
        });
  const omitted = Math.max(0, preparation.size - candidates.length - rejectedCount);
  return new Plan({ model, route, candidates, omitted, failure }, { live: choice.rejected, refused, max });
}

/** Those who were left out, and how many of them are listed. */
interface LeftOut {
  readonly live: readonly Rejection[];
  readonly refused: readonly Refusal[];
  readonly max: number;
}

/** Few requests are asked about: the list of those who were left out is made for them alone. */
class Plan implements RoutePlan {
  readonly model: string;
  readonly route: CompiledRoute | undefined;
  readonly candidates: readonly Candidate[];
  readonly omitted: number;
  readonly failure: RoutePlan["failure"];
  readonly #leftOut: LeftOut;
  #rejected: readonly Rejection[] | undefined;

  constructor(known: Omit<RoutePlan, "rejected">, leftOut: LeftOut) {
    this.model = known.model;
    this.route = known.route;
    this.candidates = known.candidates;
    this.omitted = known.omitted;
    this.failure = known.failure;
    this.#leftOut = leftOut;
  }

  get rejected(): readonly Rejection[] {
    this.#rejected ??= listRejected(this.#leftOut);
    return this.#rejected;
  }
}

function toQuestion(
  { operation, ways = [operation.id], needs }: RouteRequest,
  { aliases, hosts }: RoutingContext,
  { model, route }: { readonly model: string; readonly route: CompiledRoute | undefined },
): Question {
  return {
    route,
    candidateModels: candidateModelsOf(route, model, aliases),
    operation,
    ways,
    needs: trueOf(needs),
    hosts,
  };
}

/** The model of each of a route's candidates, in their order. */
function candidateModelsOf(
  route: CompiledRoute | undefined,
  model: string,
  aliases: RoutingContext["aliases"],
): readonly string[] {
  return (route?.candidates ?? anyInstance).map((candidate) =>
    candidate.model === undefined ? model : resolveAlias(candidate.model, aliases),
  );
}

function trueOf(needs: RouteRequest["needs"]): readonly string[] {
  const names: string[] = [];
  for (const need in needs) if (needs[need] === true) names.push(need);
  return names;
}

/**
 * All that differs between two questions about one index with the same routes and hosts. The one part that clients
 * choose, a model's name, comes last: whatever is in it, no two questions have the same key.
 */
function keyOf({ route, candidateModels, operation, ways, needs }: Question): string {
  return `${route?.name ?? ""}\n${operation.id}\n${ways.join(" ")}\n${needs.join(" ")}\n${candidateModels.join("\n")}`;
}

function* concat<L, R>(left: Iterable<L>, right: Iterable<R>): Generator<L | R> {
  yield* left;
  yield* right;
}

/** What the moment left out before what records did: that is what one looks for. By instance, as people read it. */
function listRejected({ live, refused, max }: LeftOut): readonly Rejection[] {
  const rest = refused.slice(0, Math.max(0, max - live.length));
  if (live.length === 0 && refused.length === 0) return [];
  const listed = [...live.slice(0, max), ...rest.map(({ offer, reason, text }) => ({ key: offer.key, reason, text }))];
  return listed.sort((left, right) => (left.key === right.key ? 0 : left.key < right.key ? -1 : 1));
}

function toCandidates(groups: readonly Group[], limits: { max: number; lastResort: boolean }): readonly Candidate[] {
  const { max, lastResort } = limits;
  const candidates: Candidate[] = [];
  for (let group = 0; group < groups.length && candidates.length < max; group++) {
    const { standings, affine } = groups[group] as Group;
    for (let index = 0; index < standings.length && candidates.length < max; index++) {
      const standing = standings[index] as Standing;
      candidates.push(toCandidate(standing, { group, lastResort, affinity: standing === affine }));
    }
  }
  return candidates;
}

function toCandidate(
  { prospect, inFlight, limit, penalty, full, waitMs, coldStartMs, load }: Standing,
  { group, lastResort, affinity }: { readonly group: number; readonly lastResort: boolean; readonly affinity: boolean },
): Candidate {
  const { offer, endpoint, tier, weight, unknownFeatures } = prospect;
  const { key, hash, record, model } = offer;
  return {
    key,
    hash,
    record,
    model,
    operationId: endpoint.operation_id,
    endpoint,
    group,
    lastResort,
    why: {
      tier,
      weight,
      unknownFeatures,
      state: model.state,
      coldStartMs,
      waitMs,
      inFlight,
      limit,
      penalty,
      full,
      load,
      affinity,
    },
  };
}
