import { NexusError } from "../base/errors.ts";
import { type Operation, operations } from "../contract/operations.ts";
import { anthropicDialect } from "../translate/anthropic-dialect.ts";
import { ollamaDialect } from "../translate/ollama-dialect.ts";
import { openaiDialect } from "../translate/openai-dialect.ts";
import type { ClientDialect } from "../translate/translation.ts";
import { anthropicRoutes } from "./anthropic-routes.ts";
import { type Access, authenticate, requireRole } from "./authenticate.ts";
import type { Caller, Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { objectRoutes } from "./object-routes.ts";
import { ollamaRoutes } from "./ollama-routes.ts";
import { relayControl } from "./relay-control.ts";
import { serveInstance, serveTargets } from "./serve-instances.ts";
import { serveModel, serveModels } from "./serve-models.ts";
import { serveOperation } from "./serve-operation.ts";
import { selfDescription, serveHealth, serveMetrics, serveReadiness } from "./serve-platform.ts";
import { serveRealtime } from "./serve-realtime.ts";
import { serveDryRun, serveRecord, serveRecords } from "./serve-records.ts";
import { translators } from "./translators.ts";

/** One entry of the gateway's surface. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE" | "ANY";
  /** Exact, with `{id}` for one segment, or everything below it when it ends in `/`. */
  readonly path: string;
  /** Operation id, or a name for the platform's own pages: the label in metrics and logs. */
  readonly operation: string;
  readonly access: "open" | Access;
  readonly serve: (exchange: Exchange, parts: GatewayParts, path: string) => void | Promise<void>;
}

function operationRoute(operation: Operation): Route {
  return {
    method: operation.method,
    path: operation.path,
    operation: operation.id,
    access: "models",
    serve: (exchange, parts) => serveOperation(exchange, { operation, isNative: true, translators }, parts),
  };
}

/** Whether it is passed on to an instance with nothing of it kept here, in a shape that needs no route of its own. */
function isPlain({ id, owner, model, job }: Operation): boolean {
  const isOwn = id === "responses.create" || id.startsWith("messages.");
  return owner === "instance" && model === "body" && job === undefined && !isOwn;
}

const operationRoutes: readonly Route[] = [
  ...operations.filter(isPlain).map(operationRoute),
  ...objectRoutes,
  ...anthropicRoutes,
  { method: "GET", path: "/v1/realtime", operation: "realtime.connect", access: "models", serve: serveRealtime },
];

const served = new Set(operationRoutes.map(({ operation }) => operation));
const { serveMetadata, serveDescriptor, serveOpenapi } = selfDescription(operations.filter(({ id }) => served.has(id)));

/** What tells how the fleet does. */
const monitoringRoutes: readonly Route[] = [
  { method: "GET", path: "/v1/nexus/targets", operation: "targets", access: "monitoring", serve: serveTargets },
  { method: "GET", path: "/v1/nexus/instances/", operation: "instances", access: "monitoring", serve: serveInstance },
  { method: "GET", path: "/v1/nexus/status", operation: "control", access: "monitoring", serve: relayControl },
];

/** What a service on another host needs to become part of the fleet, and no more. */
const registrationRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/nexus/registry/instances",
    operation: "control",
    access: "registration",
    serve: relayControl,
  },
  {
    method: "PUT",
    path: "/v1/nexus/registry/leases/{id}",
    operation: "control",
    access: "registration",
    serve: relayControl,
  },
  {
    method: "DELETE",
    path: "/v1/nexus/registry/leases/{id}",
    operation: "control",
    access: "registration",
    serve: relayControl,
  },
];

/** Everything that the gateway answers. What is not here is 404. */
export const routes: readonly Route[] = [
  { method: "GET", path: "/health", operation: "health", access: "open", serve: serveHealth },
  { method: "GET", path: "/readyz", operation: "readyz", access: "open", serve: serveReadiness },
  { method: "GET", path: "/openapi.json", operation: "openapi", access: "open", serve: serveOpenapi },
  { method: "GET", path: "/metrics", operation: "metrics", access: "monitoring", serve: serveMetrics },
  { method: "GET", path: "/v1/metadata", operation: "metadata", access: "models", serve: serveMetadata },
  { method: "GET", path: "/v1/descriptor", operation: "descriptor", access: "models", serve: serveDescriptor },
  { method: "GET", path: "/v1/models", operation: "models.list", access: "models", serve: serveModels },
  { method: "GET", path: "/v1/models/", operation: "models.retrieve", access: "models", serve: serveModel },
  ...operationRoutes,
  ...ollamaRoutes,
  { method: "GET", path: "/v1/nexus/requests", operation: "requests.list", access: "models", serve: serveRecords },
  { method: "GET", path: "/v1/nexus/requests/", operation: "requests.retrieve", access: "models", serve: serveRecord },
  { method: "POST", path: "/v1/nexus/explain", operation: "explain", access: "models", serve: serveDryRun },
  ...monitoringRoutes,
  ...registrationRoutes,
  { method: "ANY", path: "/v1/nexus/", operation: "control", access: "platform", serve: relayControl },
];

const exact: ReadonlyMap<string, readonly Route[]> = Map.groupBy(routes, ({ path }) => path);
const patterns = routes.filter(({ path }) => path.includes("{id}")).map(compilePattern);
const prefixes = routes.filter(({ path }) => path.length > 1 && path.endsWith("/"));

interface Pattern {
  readonly route: Route;
  readonly fits: (path: string) => boolean;
}

function compilePattern(route: Route): Pattern {
  const [start = "", end = ""] = route.path.split("{id}");
  return {
    route,
    fits(path) {
      if (!path.startsWith(start) || !path.endsWith(end)) return false;
      const id = path.slice(start.length, path.length - end.length);
      return id !== "" && !id.includes("/");
    },
  };
}

function routesAt(path: string): readonly Route[] {
  const fixed = exact.get(path);
  if (fixed !== undefined) return fixed;
  const fitting = patterns.filter(({ fits }) => fits(path)).map(({ route }) => route);
  if (fitting.length > 0) return fitting;
  return prefixes.filter((route) => path.startsWith(route.path) && path !== route.path);
}

/** @throws NexusError `unknown_url` or `method_not_allowed`. */
function findRoute(method: string, path: string): Route {
  const wanted = method === "HEAD" ? "GET" : method;
  const here = routesAt(path);
  if (here.length === 0) {
    throw new NexusError(
      "unknown_url",
      `There is nothing at ${method} ${path.slice(0, 128)}. GET /openapi.json lists what there is.`,
    );
  }
  const found = here.find((route) => route.method === "ANY" || route.method === wanted);
  if (found === undefined) {
    const allowed = here.map((route) => route.method).join(", ");
    throw new NexusError("method_not_allowed", `${path} takes ${allowed}, not ${method.slice(0, 16)}.`, {
      detail: allowed,
    });
  }
  return found;
}

/**
 * In which shape a client expects errors and streams. Known by its address alone, so that whatever is wrong with the rest
 * is said in that shape; the list of models has one address in two APIs, and Anthropic's clients say who they are.
 */
function dialectFor(path: string, exchange: Exchange): ClientDialect {
  if (path.startsWith("/v1/messages")) return anthropicDialect;
  if (path === "/" || path === "/api" || path.startsWith("/api/")) return ollamaDialect;
  const isModels = path === "/v1/models" || path.startsWith("/v1/models/");
  return isModels && exchange.request.header("anthropic-version") !== undefined ? anthropicDialect : openaiDialect;
}

/**
 * Serves one request on the route for its method and path.
 * @throws NexusError, or rejects with it, as the client shall hear it.
 */
export function serveRoute(path: string, exchange: Exchange, parts: GatewayParts): void | Promise<void> {
  exchange.dialect = dialectFor(path, exchange);
  const { requestIdHeader } = exchange.dialect;
  if (requestIdHeader !== undefined) exchange.reply.setHeader(requestIdHeader, exchange.id);
  const route = findRoute(exchange.request.method, path);
  exchange.operation = route.operation;
  if (route.access === "open") return route.serve(exchange, parts, path);
  const caller = authenticate(exchange, parts);
  const { access } = route;
  const serve = (known: Caller) => {
    exchange.caller = known;
    requireRole(known, access);
    return route.serve(exchange, parts, path);
  };
  return caller instanceof Promise ? caller.then(serve) : serve(caller);
}
