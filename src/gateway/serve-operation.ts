import { NexusError } from "../base/errors.ts";
import { toTraceparent } from "../base/ids.ts";
import type { Operation } from "../contract/operations.ts";
import { readBackendError } from "../openai/backend-error.ts";
import { type RequestScan, replaceModel, scanRequest } from "../openai/scan-request.ts";
import { AttemptFailure, type AttemptFailureKind } from "../resilience/attempt-failure.ts";
import type { InstanceCondition } from "../resilience/instance-conditions.ts";
import { tryCandidates } from "../resilience/try-candidates.ts";
import { type Candidate, planRoute, type RoutePlan } from "../routing/plan-route.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { readBody } from "./read-body.ts";
import { relayAnswer } from "./relay-answer.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** A request on its way to the fleet, with all that an attempt needs. */
interface Dispatch {
  readonly exchange: Exchange;
  readonly operation: Operation;
  readonly body: Buffer;
  readonly scan: RequestScan;
  readonly parts: GatewayParts;
}

/** An instance that has begun to answer, and the way to say how it ended. */
interface Begun {
  readonly candidate: Candidate;
  readonly answer: UpstreamAnswer;
  readonly condition: InstanceCondition;
}

/** Serves an operation that instances offer: read, scan, plan, try, relay. Streams and whole answers alike. */
export async function serveOperation(exchange: Exchange, operation: Operation, parts: GatewayParts): Promise<void> {
  const body = await readBody(exchange, parts.settings.bodyBytesMax);
  const scan = scanRequest(body);
  exchange.stream = scan.stream && operation.streaming;
  const dispatch: Dispatch = { exchange, operation, body, scan, parts };
  const plan = plannedRoute(dispatch);
  const client = new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs);
  const closeRequest = parts.retryBudget.openRequest();
  if (exchange.stream) client.keepAlive();
  try {
    const begun = await tryPlan(plan, dispatch);
    await relayBegun(begun, exchange, client);
  } catch (error) {
    if (!(error instanceof NexusError)) throw error;
    exchange.errorDetail = error.detail;
    exchange.errorCode = error.code;
    if (error.code !== "client_closed") client.fail(error);
  } finally {
    client.close();
    closeRequest();
  }
}

function plannedRoute({ exchange, operation, scan, parts }: Dispatch): RoutePlan {
  const context = {
    index: parts.index(),
    aliases: parts.aliases,
    wasOffered: parts.wasOffered,
    conditionOf: (key: string) => parts.conditions.of(key),
  };
  const plan = planRoute({ operation, model: scan.model, needs: { ...scan.needs }, turn: parts.nextTurn() }, context);
  // Only names that exist become labels and log fields: clients must not be able to make up time series.
  if (plan.failure?.code !== "model_not_found") exchange.model = scan.model;
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

function tryPlan(plan: RoutePlan, dispatch: Dispatch): Promise<Begun> {
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
      },
    },
    { attemptsMax: parts.settings.retry.attemptsMax, budget: parts.retryBudget, signal: exchange.signal },
  );
}

async function attempt(candidate: Candidate, dispatch: Dispatch): Promise<Begun> {
  const { exchange, parts } = dispatch;
  const condition = parts.conditions.of(candidate.key);
  const startedAt = exchange.clock.monotonic();
  const note = (failure: string | undefined) =>
    exchange.attempts.push({ instance: candidate.key, failure, durationMs: exchange.clock.monotonic() - startedAt });
  condition.ejection.begin();
  condition.inFlight++;
  try {
    const answer = await parts.upstreams.send(candidate.record, requestFor(candidate, dispatch));
    const refusal = refusalOf(answer);
    if (refusal !== undefined) {
      answer.discard();
      throw refusal;
    }
    exchange.instance = candidate.key;
    note(undefined);
    parts.metrics.attempt(candidate.record.service, "ok");
    return { candidate, answer, condition };
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

function requestFor(candidate: Candidate, { exchange, operation, body, scan }: Dispatch) {
  const endpoint = candidate.record.metadata.endpoints.find(({ operation_id }) => operation_id === operation.id);
  return {
    method: operation.method,
    path: endpoint?.path ?? operation.path,
    headers: {
      "content-type": "application/json",
      accept: scan.stream ? "text/event-stream" : "application/json",
      "x-request-id": exchange.id,
      traceparent: toTraceparent(exchange.trace),
    },
    body: replaceModel(body, scan, candidate.model.id),
    signal: exchange.signal,
  };
}

/** Answers that another instance may better. 500 is not one: a request that crashes a server would crash them all. */
function refusalOf(answer: UpstreamAnswer): AttemptFailure | undefined {
  const { status } = answer;
  const detail = `status ${status}`;
  const make = (error: NexusError, kind: AttemptFailureKind = "status") => new AttemptFailure(kind, error, status);
  const options = { detail, source: "service" } as const;
  switch (status) {
    case 401:
    case 403:
      return make(new NexusError("backend_error", "The service does not accept the platform's key for it.", options));
    case 404:
      return make(
        new NexusError("model_not_found", "The service no longer offers this model.", { ...options, param: "model" }),
      );
    case 429: {
      const retryAfterSeconds = retryAfterOf(answer) ?? 1;
      return make(
        new NexusError("rate_limit_exceeded", "The service is at its limit.", { ...options, retryAfterSeconds }),
      );
    }
    case 502:
    case 504:
      return make(new NexusError("backend_error", `The service answered with status ${status}.`, options));
    case 503: {
      const retryAfterSeconds = retryAfterOf(answer) ?? 2;
      return make(
        new NexusError("no_instance_available", "The service is not ready.", { ...options, retryAfterSeconds }),
      );
    }
    default:
      return undefined;
  }
}

function retryAfterOf(answer: UpstreamAnswer): number | undefined {
  const seconds = Number(answer.headers["retry-after"]);
  return Number.isInteger(seconds) && seconds >= 0 && seconds <= 86_400 ? seconds : undefined;
}

async function relayBegun({ answer, condition }: Begun, exchange: Exchange, client: ClientAnswer): Promise<void> {
  try {
    if (answer.status < 300) await relayAnswer(exchange, answer, client);
    else await relayRefusal(exchange, answer, client);
    condition.ejection.succeed();
  } catch (error) {
    if (error instanceof NexusError && error.source === "service") condition.ejection.fail(error.message);
    else condition.ejection.withdraw();
    throw error;
  } finally {
    condition.inFlight--;
  }
}

/** Errors that the backend has with the request itself, in OpenAI's shape whatever shape they came in. */
async function relayRefusal(exchange: Exchange, answer: UpstreamAnswer, client: ClientAnswer): Promise<void> {
  const body = await collect(answer);
  const said = readBackendError(body, answer.status);
  if (answer.status < 500) {
    client.failWith(answer.status, said);
    return;
  }
  exchange.errorDetail = said.error.message;
  client.fail(
    new NexusError("backend_error", `The service failed with status ${answer.status}.`, { source: "service" }),
  );
}

const errorBodyBytesMax = 64 * 1024;

function collect(answer: UpstreamAnswer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  answer.pipe({
    data(chunk) {
      bytes += chunk.length;
      if (bytes <= errorBodyBytesMax) chunks.push(chunk);
      return true;
    },
    end: () => resolve(Buffer.concat(chunks)),
    fail: reject,
  });
  return promise;
}
