import type { Health, Readiness } from "../contract/health.ts";
import { contractVersion, type Model, type ServiceDescriptor, type ServiceMetadata } from "../contract/metadata.ts";
import { endpointOf, type Operation, responseTypesOf } from "../contract/operations.ts";
import { modelsAllowed } from "./authenticate.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { openapiDocument } from "./openapi-document.ts";
import { send, sendJson } from "./send-json.ts";

/** `GET /health`: the process lives, whatever the fleet does. */
export function serveHealth(exchange: Exchange, { identity }: GatewayParts): void {
  const health: Health = {
    status: "ok",
    service: "gateway",
    version: identity.version,
    uptime_seconds: Math.round(process.uptime()),
  };
  sendJson(exchange, 200, health);
}

/** `GET /readyz`: ready once it has seen the fleet, even an old view of it, even an empty one. */
export function serveReadiness(exchange: Exchange, parts: GatewayParts): void {
  const { hasView, draining } = parts.state();
  const { stale, rejected } = parts.index().snapshot;
  const readiness: Readiness = {
    ready: hasView && !draining,
    state: draining ? "draining" : hasView ? "ready" : "starting",
    checks: {
      registry: hasView
        ? { status: "ok", ...(stale ? { reason: "The registry is away; serving from the last view of it." } : {}) }
        : { status: "pending", reason: "Waiting for the first view of the fleet." },
      records: {
        status: "ok",
        ...(rejected.length > 0 ? { reason: `${rejected.length} invalid records are left out.` } : {}),
      },
    },
  };
  sendJson(exchange, readiness.ready ? 200 : 503, readiness);
}

/** `GET /metrics` */
export async function serveMetrics(exchange: Exchange, { processMetrics }: GatewayParts): Promise<void> {
  send(exchange, 200, processMetrics.contentType, await processMetrics.text());
}

/** The pages on which the gateway describes itself as every service does: what it offers are `operations`. */
export function selfDescription(operations: readonly Operation[]) {
  return {
    /** `GET /v1/metadata`: its models are those of the fleet that the key may use. */
    serveMetadata(exchange: Exchange, parts: GatewayParts): void {
      sendJson(exchange, 200, describeGateway(exchange, parts, operations));
    },
    /** `GET /v1/descriptor` */
    serveDescriptor(exchange: Exchange, parts: GatewayParts): void {
      const descriptor: ServiceDescriptor = {
        ...describeGateway(exchange, parts, operations),
        response_types: Object.fromEntries(
          operations.map((operation) => [operation.id, [...responseTypesOf(operation)]]),
        ),
        ui_navigation: { section: "platform", title: "Gateway", icon: "", order: 0 },
      };
      sendJson(exchange, 200, descriptor);
    },
    /** `GET /openapi.json` */
    serveOpenapi(exchange: Exchange, { identity }: GatewayParts): void {
      sendJson(exchange, 200, openapiDocument(identity.version, operations));
    },
  };
}

function describeGateway(exchange: Exchange, parts: GatewayParts, operations: readonly Operation[]): ServiceMetadata {
  const { identity } = parts;
  const models = fleetModels(parts, modelsAllowed(exchange));
  return {
    schema_version: contractVersion,
    service: { name: "gateway", version: identity.version, description: "One address for every service of the fleet." },
    instance: { id: identity.instance, host: identity.host, started_at: identity.startedAt },
    backend: { name: "nexus", vendor: "", version: identity.version },
    endpoints: operations.map(endpointOf),
    capabilities: {
      domains: [...new Set(models.flatMap((model) => model.domains))],
      modalities: { input: ["text", "image"], output: ["text", "vector"] },
      streaming: true,
      max_concurrency: null,
      features: ["nexus-gateway"],
    },
    models,
    requires: {},
    ui: { options: [] },
  };
}

/**
 * Every model once, with all the names that a client may use for it here: its services' and the operator's. Whoever may
 * not use its own name knows it by the first of the others.
 */
function fleetModels({ index, aliases }: GatewayParts, isAllowed: (name: string) => boolean): Model[] {
  const { offers } = index();
  const models = new Map<string, { readonly model: Model; readonly names: Set<string> }>();
  const named = [
    ...offers,
    ...Object.entries(aliases).map(([alias, target]) => [alias, offers.get(target) ?? []] as const),
  ];
  for (const [name, [offer]] of named) {
    if (offer === undefined || !isAllowed(name)) continue;
    const { model } = offer;
    const known = models.get(model.id);
    if (known === undefined) models.set(model.id, { model, names: new Set([name]) });
    else known.names.add(name);
  }
  return [...models.values()].map(({ model, names }) => {
    const [first = model.id] = names;
    const id = names.has(model.id) ? model.id : first;
    names.delete(id);
    return { ...model, id, aliases: [...names] };
  });
}
