import { type FakeModel, makeFakeModel } from "./fake-model.ts";
import type { FakeAnswer, FakeRequest, FakeState, FakeSurface } from "./fake-surface.ts";

const llamaError = (status: number, message: string, type: string): FakeAnswer => ({
  status,
  body: { error: { code: status, message, type } },
});

function architecture(model: FakeModel): object {
  return { input_modalities: model.vision ? ["text", "image"] : ["text"], output_modalities: ["text"] };
}

function meta(model: FakeModel): object {
  return {
    vocab_type: 2,
    n_vocab: 128_256,
    n_ctx: model.contextLoaded,
    n_ctx_train: model.contextTrained,
    n_embd: model.embeddingDim,
    n_params: 1_235_814_432,
    size: model.sizeBytes,
    ftype: "Q4_1",
  };
}

function modelEntry(model: FakeModel, isRouter: boolean): object {
  const entry = {
    id: model.id,
    aliases: [model.id],
    tags: [],
    object: "model",
    created: 1_764_000_000,
    owned_by: "llamacpp",
  };
  if (!isRouter) return { ...entry, architecture: architecture(model), meta: meta(model) };
  const value = model.state === "available" ? "unloaded" : model.state;
  const args = ["llama-server", "--ctx-size", String(model.contextLoaded)];
  return {
    ...entry,
    path: `/home/somebody/models/${model.id}.gguf`,
    in_cache: true,
    architecture: architecture(model),
    status: value === "unloaded" ? { value } : { value, args },
    ...(value === "loaded" ? { meta: meta(model) } : {}),
  };
}

function props(model: FakeModel, state: FakeState): FakeAnswer {
  return {
    body: {
      default_generation_settings: {
        id: 0,
        id_task: -1,
        n_ctx: model.contextLoaded,
        speculative: false,
        is_processing: false,
        params: { n_predict: -1, temperature: 0.800000011920929 },
      },
      total_slots: state.slots ?? 4,
      model_alias: model.id,
      model_ftype: "Q4_1",
      model_path: `/home/somebody/models/${model.id}.gguf`,
      modalities: { vision: model.vision, audio: false },
      endpoint_slots: true,
      endpoint_props: false,
      chat_template: model.kind === "embedding" ? "" : "{% for message in messages %}...{% endfor %}",
      chat_template_caps: { supports_tools: model.tools, supports_tool_calls: model.tools },
      bos_token: "<s>",
      eos_token: "</s>",
      build_info: state.version,
      is_sleeping: model.state === "available",
    },
  };
}

/** The router's own properties; those of a model need `?model=`, which loads it unless `autoload=false`. */
function routerProps(request: FakeRequest, state: FakeState): FakeAnswer {
  const id = request.query.get("model");
  if (id === null) {
    return {
      body: {
        role: "router",
        max_instances: 4,
        models_autoload: true,
        model_alias: "llama-server",
        model_path: "none",
        default_generation_settings: { params: {}, n_ctx: 0 },
        build_info: state.version,
      },
    };
  }
  const model = state.models.find((candidate) => candidate.id === id);
  if (model === undefined) return llamaError(400, `model '${id}' not found`, "invalid_request_error");
  if (model.state !== "loaded") {
    if (request.query.get("autoload") === "false")
      return llamaError(400, "model is not loaded", "invalid_request_error");
    state.load(model.id);
  }
  return props(model, state);
}

function isOpen(path: string, flags: ReadonlySet<string>): boolean {
  if (["/", "/health", "/v1/health"].includes(path)) return true;
  return flags.has("open-models") && ["/models", "/v1/models"].includes(path);
}

/**
 * llama.cpp's `llama-server`, as its README describes it and as a build of October 2026 answered. Flags: `router` for
 * many models, loaded on demand; `open-models` for a list that needs no key, as before 2026.
 */
export const fakeLlamaCpp: FakeSurface = {
  version: "b6940-c5023daf6",
  models: [makeFakeModel({ id: "smollm2-135m-instruct-q8_0.gguf", tools: true, contextTrained: 8_192 })],
  headers: { server: "llama.cpp" },
  isOpen,
  answer(request, state) {
    const [first] = state.models;
    const isRouter = state.flags.has("router");
    if (state.unready && request.path !== "/") return llamaError(503, "Loading model", "unavailable_error");
    if (request.method !== "GET" || first === undefined) return undefined;
    switch (request.path) {
      case "/health":
      case "/v1/health":
        return { body: { status: "ok" } };
      case "/v1/models":
      case "/models":
        return {
          body: { object: "list", data: state.models.map((model) => modelEntry(model, isRouter)) },
        };
      case "/props":
        return isRouter ? routerProps(request, state) : props(first, state);
      case "/slots":
        return { body: Array.from({ length: state.slots ?? 4 }, (_, id) => ({ id, n_ctx: first.contextLoaded })) };
      default:
        return undefined;
    }
  },
  notFound: () => llamaError(404, "File Not Found", "not_found_error"),
  denied: () => llamaError(401, "Invalid API Key", "authentication_error"),
  unknownModel: (id) => llamaError(400, `model '${id}' not found`, "invalid_request_error"),
  // Outside router mode the request's model is ignored: there is only one.
  resolve: (id, models) => models.find((model) => model.id === id) ?? (models.length === 1 ? models[0] : undefined),
};
