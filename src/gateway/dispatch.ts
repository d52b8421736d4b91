import { NexusError } from "../base/errors.ts";
import { toTraceparent } from "../base/ids.ts";
import { AttemptFailure } from "../resilience/attempt-failure.ts";
import type { InstanceCondition } from "../resilience/instance-conditions.ts";
import { tryCandidates } from "../resilience/try-candidates.ts";
import { planRoute } from "../routing/plan-route.ts";
import type { Candidate, RoutePlan } from "../routing/route-plan.ts";
import type { Ask, Way } from "./ask.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { refusalOf } from "./refusal-of.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** A request on its way to the fleet, with all that an attempt needs. */
export interface Dispatch {
  readonly exchange: Exchange;
  readonly ask: Ask;
  readonly parts: GatewayParts;
}

/** An instance that has begun to answer, and the way to say how it ended. */
export interface Begun {
  readonly candidate: Candidate;
  readonly way: Way;
  readonly answer: UpstreamAnswer;
  readonly condition: InstanceCondition;
}

/** Where the request may go now. Decides and does nothing. */
export function planFor({ ask, parts }: Dispatch): RoutePlan {
  return planRoute(
    {
      operation: ask.operation,
      ways: ask.ways.map(({ operationId }) => operationId),
      model: ask.model,
      needs: ask.needs,
      turn: parts.nextTurn(),
    },
    {
      index: parts.index(),
      aliases: parts.aliases,
      wasOffered: parts.wasOffered,
      conditionOf: (key: string) => parts.conditions.of(key),
    },
  );
}

/** Where the request goes. @throws NexusError when it can go nowhere. */
export function plannedRoute(dispatch: Dispatch): RoutePlan {
  const { exchange, ask } = dispatch;
  const plan = planFor(dispatch);
  exchange.plan = plan;
  // Only names that exist become labels and log fields: clients must not be able to make up time series.
  if (plan.failure?.code !== "model_not_found") exchange.model = ask.model;
  if (plan.failure !== undefined) {
    const retryAfterSeconds = plan.failure.code === "no_instance_available" ? 2 : undefined;
    throw new NexusError(plan.failure.code, plan.failure.message, {
      ...(plan.failure.code === "no_instance_available" ? {} : { param: "model" }),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      detail: plan.rejected.map(({ key, text }) => `${key}: ${text}`).join("; "),
    });
  }
  return plan;
}

/** Tries the plan's candidates until one begins to answer. */
export function tryPlan(plan: RoutePlan, dispatch: Dispatch): Promise<Begun> {
  const { exchange, parts } = dispatch;
  return tryCandidates(
    plan.candidates,
    {
      send: (candidate) => attempt(candidate, dispatch),
      failed(candidate, failure) {
        parts.metrics.attempt(candidate.record.service, failure.kind);
        if (failure.kind !== "status") parts.hurryProbe(candidate.key);
        exchange.log.warn(
          { instance: candidate.key, reason: failure.kind, status: failure.status, detail: failure.message },
          "attempt failed",
        );
        // Minutes of a GPU or money are not spent twice: only what never reached anybody is sent again.
        if (dispatch.ask.operation.costly && failure.kind !== "refused") throw failure.error;
      },
    },
    { attemptsMax: parts.settings.retry.attemptsMax, budget: parts.retryBudget, signal: exchange.signal },
  );
}

async function attempt(candidate: Candidate, dispatch: Dispatch): Promise<Begun> {
  const { exchange, parts } = dispatch;
  const way = wayFor(candidate, dispatch.ask);
  const condition = parts.conditions.of(candidate.key);
  const startedAt = exchange.clock.monotonic();
  const note = (failure: string | undefined) =>
    exchange.attempts.push({
      instance: candidate.key,
      failure,
      startMs: startedAt - exchange.startedAt,
      durationMs: exchange.clock.monotonic() - startedAt,
    });
  condition.ejection.begin();
  condition.inFlight++;
  try {
    const answer = await parts.upstreams.send(candidate.record, requestFor(candidate, way, dispatch));
    const refusal = refusalOf(answer);
    if (refusal !== undefined) {
      answer.discard();
      throw refusal;
    }
    exchange.instance = candidate.key;
    note(undefined);
    parts.metrics.attempt(candidate.record.service, "ok");
    return { candidate, way, answer, condition };
  } catch (error) {
    condition.inFlight--;
    if (error instanceof AttemptFailure) {
      note(error.kind);
      if (error.countsAgainstInstance) condition.ejection.fail(error.message);
      else condition.ejection.withdraw();
    } else condition.ejection.withdraw();
    throw error;
  }
}

function wayFor(candidate: Candidate, ask: Ask): Way {
  const way = ask.ways.find(({ operationId }) => operationId === candidate.operationId);
  if (way === undefined) throw new RangeError(`the plan names ${candidate.operationId}, which was not offered to it`);
  return way;
}

function requestFor(candidate: Candidate, way: Way, { exchange, ask }: Dispatch) {
  return {
    method: ask.operation.method,
    path: candidate.endpoint.path,
    headers: {
      "content-type": way.contentType,
      accept: ask.stream ? "text/event-stream" : "*/*",
      "x-request-id": exchange.id,
      traceparent: toTraceparent(exchange.trace),
    },
    body: way.bodyFor(candidate.model.id),
    signal: exchange.signal,
  };
}
