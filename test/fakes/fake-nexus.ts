import { endpointOf, operations } from "../../src/contract/operations.ts";
import { type FakeModel, makeFakeModel } from "./fake-model.ts";
import { type FakeState, type FakeSurface, openAiError } from "./fake-surface.ts";

function modelEntry(model: FakeModel): object {
  return {
    id: model.id,
    domains: [model.kind],
    context_window: model.contextLoaded,
    features: { tools: model.tools, vision: model.vision },
    state: model.state,
  };
}

/** Every operation for which it has a model. */
function endpoints({ models }: FakeState): readonly object[] {
  const offered = operations.filter(({ domains }) => models.some(({ kind }) => domains.includes(kind)));
  return offered.map(endpointOf);
}

function metadata(state: FakeState): object {
  const isGateway = state.flags.has("gateway");
  return {
    schema_version: "1.0",
    service: { name: isGateway ? "gateway" : "fake", version: "1.0.0" },
    instance: { id: "fake-1", host: "fake-host", started_at: "2026-01-01T00:00:00Z" },
    backend: { name: "fake" },
    endpoints: endpoints(state),
    capabilities: {
      domains: [...new Set(state.models.map(({ kind }) => kind))],
      streaming: true,
      max_concurrency: state.slots ?? null,
      features: isGateway ? ["nexus-gateway"] : [],
    },
    models: state.models.map(modelEntry),
  };
}

/** A service that speaks the contract. Flag `gateway`: says that it is a gateway of Nexus. */
export const fakeNexus: FakeSurface = {
  version: "1.0.0",
  models: [makeFakeModel({ id: "tiny" })],
  headers: {},
  isOpen: (path) => path === "/health" || path === "/readyz",
  answer(request, state) {
    if (request.method !== "GET") return undefined;
    switch (request.path) {
      case "/health":
        return { body: { status: "ok", service: "fake", version: state.version, uptime_seconds: 1 } };
      case "/readyz": {
        const checks = { model: { status: state.unready ? "pending" : "ok" } };
        const body = { ready: !state.unready, state: state.unready ? "starting" : "ready", checks };
        return { status: state.unready ? 503 : 200, body };
      }
      case "/v1/metadata":
        return { body: metadata(state) };
      default:
        return undefined;
    }
  },
  notFound: ({ path }) => openAiError(404, `No operation lives under ${path}.`, "invalid_request_error", "unknown_url"),
  denied: () => openAiError(401, "No key.", "authentication_error", "missing_api_key"),
  unknownModel: (id) => openAiError(404, `No model '${id}'.`, "invalid_request_error", "model_not_found"),
};
