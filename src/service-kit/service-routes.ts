import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Model } from "../contract/metadata.ts";
import { type BodyKind, type OperationId, operationById } from "../contract/operations.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Admission } from "./admission.ts";
import {
  currentModels,
  describeForConsole,
  describeService,
  findModel,
  type Identity,
  modelEntry,
  requestedModel,
} from "./describe-service.ts";
import type { Exchange } from "./exchange.ts";
import { type BodyBudget, isJson, mediaType, parseJsonObject, readBody } from "./read-body.ts";
import { readForm, type ServiceForm } from "./read-form.ts";
import type { ReadinessTracker } from "./readiness.ts";
import type { RealtimeHandler } from "./realtime.ts";
import { bytes, json, type ServiceResponse } from "./response.ts";
import { idOf, type Route, restOf } from "./routes.ts";
import { sendResponse } from "./send-response.ts";
import { holdConversation, wantedUpgrade } from "./serve-realtime.ts";
import type { Handler, Service, ServiceLimits } from "./service.ts";

/** Everything that the routes of one running service look at. */
export interface ServiceState {
  readonly service: Service;
  readonly identity: Identity;
  readonly limits: ServiceLimits;
  readonly readiness: ReadinessTracker;
  readonly admission: Admission;
  readonly bodies: BodyBudget;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Aborts once the registry has forgotten the service: new work is refused. */
  readonly draining: AbortSignal;
}

/** All routes of a service: what the contract asks for, then the operations. */
export function serviceRoutes(state: ServiceState): readonly Route[] {
  return [...selfDescription(state), ...contractRoutes(state), ...ownRoutes(state)];
}

const modelPath = "/v1/models/*";

function selfDescription(state: ServiceState): readonly Route[] {
  const { service, identity, readiness, metrics } = state;
  const models = (): readonly Model[] => currentModels(service);
  const metadata = () => describeService(service, identity);
  const entry = (model: Model) => modelEntry(model, identity);
  const modelOf = (exchange: Exchange) => findModel(models(), restOf(modelPath, exchange.request.url));
  const readinessAnswer = () => {
    const report = readiness.report();
    return json(report, { status: report.ready ? 200 : 503 });
  };
  const health = () => ({
    status: "ok",
    service: identity.service,
    version: service.version,
    uptime_seconds: Math.max(0, Math.round(state.clock.now() - identity.startedAtMs) / 1000),
  });
  const metricsAnswer = async () => bytes(Buffer.from(await metrics.text()), metrics.contentType);
  const get = (path: string, operation: string, answer: Answer): Route => ({
    method: "GET",
    path,
    operation,
    isProbe: true,
    serve: async (exchange) => await sendResponse(outlet(state, exchange), await answer(exchange)),
  });
  return [
    get("/health", "health", () => json(health())),
    get("/readyz", "readyz", readinessAnswer),
    get("/metrics", "metrics", metricsAnswer),
    get("/v1/metadata", "metadata", () => json(metadata())),
    get("/v1/descriptor", "descriptor", () => json(describeForConsole(service, metadata()))),
    get("/v1/models", "models.list", () => json({ object: "list", data: models().map(entry) })),
    get(modelPath, "models.retrieve", (exchange) => json(entry(modelOf(exchange)))),
  ];
}

type Answer = (exchange: Exchange) => ServiceResponse | Promise<ServiceResponse>;

const formType = "multipart/form-data";
const acceptedTypes: Readonly<Record<BodyKind, readonly string[]>> = {
  json: ["application/json"],
  multipart: [formType],
  either: [formType, "application/json"],
  none: [],
};

function contractRoutes(state: ServiceState): readonly Route[] {
  const { "realtime.connect": talker, ...handlers } = state.service.handlers;
  const answered = Object.entries(handlers).map(([id, handler]) => {
    const operation = operationById(id as OperationId);
    return workRoute(state, {
      method: operation.method,
      path: operation.path,
      operation: id,
      accepts: acceptedTypes[operation.body],
      handler,
      isLook: operation.model === "none" && !operation.costly,
      check: (body, exchange) => {
        if (operation.model !== "body") return;
        exchange.notes.model = requestedModel(currentModels(state.service), body.model, operation).id;
      },
    });
  });
  return talker === undefined ? answered : [...answered, realtimeRoute(state, talker)];
}

/** A route whose requests become conversations. Whatever speaks against one is answered before it leaves HTTP. */
function realtimeRoute(state: ServiceState, handler: RealtimeHandler): Route {
  const operation = operationById("realtime.connect");
  const { draining, clock, limits } = state;
  const serve = async (exchange: Exchange): Promise<void> => {
    refuseUnlessServing(state);
    const upgrade = wantedUpgrade(exchange);
    const query = queryOf(exchange);
    const model = requestedModel(currentModels(state.service), query.get("model"), operation).id;
    exchange.notes.model = model;
    const talk = { handler, model, query, draining, clock, pingMs: limits.heartbeatMs };
    await inSlot(state, exchange, async () => await holdConversation(exchange, upgrade, talk));
  };
  return { method: operation.method, path: operation.path, operation: operation.id, isSocket: true, serve };
}

function queryOf({ request }: Exchange): URLSearchParams {
  return new URLSearchParams((request.url ?? "").split("?").slice(1).join("?"));
}

function ownRoutes(state: ServiceState): readonly Route[] {
  return (state.service.endpoints ?? []).map((endpoint) =>
    workRoute(state, {
      method: endpoint.method,
      path: endpoint.path,
      operation: endpoint.operation_id,
      accepts: endpoint.accepts ?? ["application/json"],
      handler: endpoint.handler,
      check: () => {},
    }),
  );
}

interface Work {
  readonly method: string;
  readonly path: string;
  readonly operation: string;
  readonly accepts: readonly string[];
  readonly handler: Handler;
  /** Only tells how something stands: takes no slot, so that it never waits for what it asks about. */
  readonly isLook?: boolean;
  /** Refuses a body before it takes a place in the queue. */
  readonly check: (body: Record<string, unknown>, exchange: Exchange) => void;
}

/** A route whose requests take a slot: read, check, wait, handle, send; the slot is free when all of it has ended. */
function workRoute(state: ServiceState, work: Work): Route {
  const serve = async (exchange: Exchange): Promise<void> => {
    refuseUnlessServing(state);
    const hasBody = work.method !== "GET" && work.method !== "DELETE";
    const contentType = exchange.request.headers["content-type"] ?? "";
    if (hasBody) refuseMediaType(exchange, work.accepts);
    const held = await readBody(exchange, state.limits.bodyBytesMax, state.bodies);
    try {
      exchange.notes.bodyBytes = held.bytes.length;
      const { fields: body, files } = hasBody ? parseBody(held.bytes, contentType) : noBody;
      work.check(body, exchange);
      const handle = async (): Promise<void> => {
        const { signal, requestId, trace, log, request } = exchange;
        const { headers, url } = request;
        const id = idOf(work.path, url);
        const query = queryOf(exchange);
        const asked = { body, files, id, query, raw: held.bytes, contentType, headers, signal, requestId, trace, log };
        await sendResponse(outlet(state, exchange), await work.handler(asked));
      };
      if (work.isLook === true) await handle();
      else await inSlot(state, exchange, handle);
    } finally {
      held.release();
    }
  };
  return { method: work.method, path: work.path, operation: work.operation, serve };
}

const noBody: ServiceForm = { fields: {}, files: [] };

function parseBody(bytes: Buffer, contentType: string): ServiceForm {
  const type = mediaType(contentType);
  if (type === formType) return readForm(bytes, contentType);
  return isJson(type) ? { fields: parseJsonObject(bytes), files: [] } : noBody;
}

async function inSlot(state: ServiceState, exchange: Exchange, run: () => Promise<void>): Promise<void> {
  const since = exchange.elapsedMs();
  const release = await state.admission.acquire(exchange.signal);
  exchange.notes.queuedMs = exchange.elapsedMs() - since;
  try {
    await run();
  } finally {
    release();
  }
}

function refuseUnlessServing(state: ServiceState): void {
  const { readiness } = state;
  if (state.draining.aborted)
    throw new NexusError("draining", "This service is shutting down.", { retryAfterSeconds: 1 });
  if (readiness.state() === "ready" || readiness.state() === "draining") return;
  const retryAfterSeconds = Math.min(60, Math.max(1, Math.ceil(readiness.etaSeconds() ?? 2)));
  throw new NexusError("not_ready", `This service is not ready: ${readiness.reason()}. See /readyz.`, {
    retryAfterSeconds,
  });
}

/**
 * A missing type is refused too: a page in a browser can send a body without one to any address, this machine's own
 * included, but has to ask first before it may send JSON. It may send forms without asking, but always says then from
 * which site it comes, which no other client does.
 */
function refuseMediaType(exchange: Exchange, accepts: readonly string[]): void {
  const { headers } = exchange.request;
  const type = mediaType(headers["content-type"]);
  const isAccepted = accepts.some((accepted) => accepted === type || (accepted === "application/json" && isJson(type)));
  const encoding = headers["content-encoding"] ?? "identity";
  if (type === formType && headers.origin !== undefined) {
    throw new NexusError("permission_denied", "Pages in a browser may not send forms here.");
  }
  if (isAccepted && encoding === "identity") return;
  throw new NexusError(
    "unsupported_media_type",
    isAccepted
      ? "Send the body without a Content-Encoding."
      : `Send the body with Content-Type: ${accepts.join(" or ")}.`,
  );
}

function outlet(state: ServiceState, exchange: Exchange) {
  const { response, signal } = exchange;
  return { response, signal, clock: state.clock, heartbeatMs: state.limits.heartbeatMs };
}
