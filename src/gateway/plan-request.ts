import { NexusError } from "../base/errors.ts";
import { planRoute } from "../routing/plan-route.ts";
import type { RoutePlan, RoutingContext, TokenBound } from "../routing/route-plan.ts";
import type { Ask } from "./ask.ts";
import { modelsAllowed } from "./authenticate.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";

/** What is asked for, and by whom. */
export interface Question {
  readonly exchange: Exchange;
  readonly ask: Ask;
  readonly parts: GatewayParts;
}

/** Where the request may go now. Decides and does nothing. */
export function planFor({ exchange, ask, parts }: Question): RoutePlan {
  return planRoute(
    {
      operation: ask.operation,
      ways: ask.ways.map(({ operationId }) => operationId),
      model: ask.model,
      needs: ask.needs,
      prefixHash: ask.prefixHash,
      contextTokens: leastTokens(ask),
      isAllowed: modelsAllowed(exchange),
      turn: parts.nextTurn(),
    },
    fleetOf(parts),
  );
}

const fleets = new WeakMap<GatewayParts, RoutingContext>();

/** What a choice depends on besides the request, as it is when it is looked at. */
function fleetOf(parts: GatewayParts): RoutingContext {
  let fleet = fleets.get(parts);
  if (fleet === undefined) {
    fleet = openFleet(parts);
    fleets.set(parts, fleet);
  }
  return fleet;
}

function openFleet(parts: GatewayParts): RoutingContext {
  const { admission, coldStarts, conditions, wasOffered } = parts;
  return {
    get index() {
      return parts.index();
    },
    get aliases() {
      return parts.aliases;
    },
    get routes() {
      return parts.routes;
    },
    wasOffered,
    conditionOf: (key) => conditions.of(key),
    coldStartMsOf: (model, host) => coldStarts.coldStartMs(model, host),
    waitMsOf: (key) => admission.waitMsOf(key),
  };
}

/** No tokenizer in use has more than a few tokens of more bytes than this, runs of blanks apart. */
const bytesPerTokenMax = 16;

function leastTokens({ promptBytes }: Ask): TokenBound | undefined {
  if (promptBytes === undefined) return undefined;
  return { atLeast: Math.floor(promptBytes / bytesPerTokenMax), source: "counted by its bytes" };
}

/**
 * Only names that somebody gave become labels, log fields and rows of usage: clients must not be able to make them up.
 * What only a route's pattern fits goes by the pattern.
 */
export function knownName({ ask, parts }: Question, plan: RoutePlan): string {
  const { model } = ask;
  const isNamed = parts.index().offers.has(model) || Object.hasOwn(parts.aliases, model);
  return isNamed ? model : (plan.route?.name ?? model);
}

/** Where the request goes. @throws NexusError when it can go nowhere. */
export function plannedRoute(question: Question): RoutePlan {
  const { exchange } = question;
  const plan = planFor(question);
  exchange.plan ??= plan;
  if (plan.failure?.code !== "model_not_found") exchange.model = knownName(question, plan);
  if (plan.failure !== undefined) {
    const retryAfterSeconds = plan.failure.code === "no_instance_available" ? 2 : undefined;
    throw new NexusError(plan.failure.code, plan.failure.message, {
      ...(plan.failure.code === "no_instance_available" ? {} : { param: "model" }),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      detail: plan.rejected.map(({ key, text }) => `${key}: ${text}`).join("; "),
    });
  }
  refuseWhileLimited(plan, question);
  return plan;
}

/** Instances that asked for so little patience are waited for, in the queue. */
const patienceMs = 1_000;

/** @throws NexusError `rate_limit_exceeded` when everybody who could serve it has asked to be left alone for a while. */
function refuseWhileLimited({ candidates }: RoutePlan, { ask, parts }: Question): void {
  if (candidates[0]?.lastResort !== true) return;
  const leftMs = Math.min(...candidates.map(({ key }) => parts.conditions.of(key).limitedForMs));
  if (leftMs <= patienceMs) return;
  const retryAfterSeconds = Math.ceil(leftMs / 1_000);
  throw new NexusError(
    "rate_limit_exceeded",
    `Every instance of '${ask.model}' is at its limit. Try again in ${retryAfterSeconds} s.`,
    { retryAfterSeconds },
  );
}
