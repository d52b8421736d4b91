import { type FakeModel, makeFakeModel } from "./fake-model.ts";
import { type FakeSurface, openAiError } from "./fake-surface.ts";

function version0Entry(model: FakeModel): object {
  const chatType = model.vision ? "vlm" : "llm";
  return {
    id: model.id,
    object: "model",
    type: model.kind === "embedding" ? "embeddings" : chatType,
    publisher: "lmstudio-community",
    arch: "llama",
    compatibility_type: "gguf",
    quantization: "Q4_K_M",
    state: model.state === "available" ? "not-loaded" : model.state,
    max_context_length: model.contextTrained,
    ...(model.state === "loaded" ? { loaded_context_length: model.contextLoaded } : {}),
    ...(model.tools ? { capabilities: ["tool_use"] } : {}),
  };
}

function version1Entry(model: FakeModel): object {
  const instance = { id: model.id, config: { context_length: model.contextLoaded, flash_attention: true } };
  return {
    type: model.kind === "embedding" ? "embedding" : "llm",
    publisher: "lmstudio-community",
    key: model.id,
    display_name: model.id,
    architecture: "llama",
    quantization: { name: "Q4_K_M", bits_per_weight: 4 },
    size_bytes: model.sizeBytes,
    params_string: "8B",
    loaded_instances: model.state === "loaded" ? [instance] : [],
    max_context_length: model.contextTrained,
    format: "gguf",
    ...(model.kind === "embedding"
      ? {}
      : { capabilities: { vision: model.vision, trained_for_tool_use: model.tools } }),
    description: null,
  };
}

/** LM Studio's server, as its REST documentation describes it. Flag `no-v1`: a version before 0.4. */
export const fakeLmStudio: FakeSurface = {
  version: "0.4.6",
  models: [
    makeFakeModel({ id: "meta-llama-3.1-8b-instruct", tools: true }),
    makeFakeModel({ id: "qwen2-vl-7b-instruct", state: "available", vision: true, contextTrained: 32_768 }),
    makeFakeModel({ id: "text-embedding-nomic-embed-text-v1.5", state: "available", kind: "embedding" }),
  ],
  headers: { "x-powered-by": "Express" },
  isOpen: () => false,
  answer(request, state) {
    const route = `${request.method} ${request.path}`;
    if (route === "GET /api/v0/models") return { body: { object: "list", data: state.models.map(version0Entry) } };
    if (route === "GET /api/v1/models" && !state.flags.has("no-v1")) {
      return { body: { models: state.models.map(version1Entry) } };
    }
    if (route === "GET /v1/models") {
      const data = state.models.map(({ id }) => ({ id, object: "model", owned_by: "organization_owner" }));
      return { body: { data, object: "list" } };
    }
    return undefined;
  },
  // It says 200 to everything that it does not know.
  notFound: ({ method, path }) => ({ body: { error: `Unexpected endpoint or method. (${method} ${path})` } }),
  denied: () => openAiError(401, "An API token is required", "invalid_request_error", "invalid_api_key"),
  unknownModel: (id) => openAiError(404, `Model "${id}" not found`, "invalid_request_error", "model_not_found"),
};
