import { type FakeModel, makeFakeModel } from "./fake-model.ts";
import { type FakeAnswer, type FakeState, type FakeSurface, openAiError } from "./fake-surface.ts";

const architecture = "llama";

/** `llama3.2` means `llama3.2:latest`. */
function resolve(id: string, models: readonly FakeModel[]): FakeModel | undefined {
  const full = id.includes(":") ? id : `${id}:latest`;
  return models.find((model) => model.id === full);
}

function details(): object {
  return {
    parent_model: "",
    format: "gguf",
    family: architecture,
    families: [architecture],
    parameter_size: "1.2B",
    quantization_level: "Q4_K_M",
  };
}

function capabilities(model: FakeModel): readonly string[] {
  if (model.kind === "embedding") return ["embedding"];
  const talents = { tools: model.tools, vision: model.vision, thinking: model.reasoning };
  return ["completion", ...Object.entries(talents).flatMap(([name, has]) => (has ? [name] : []))];
}

function show(model: FakeModel, state: FakeState): FakeAnswer {
  const parameters = [
    'stop                           "<|eot_id|>"',
    ...(state.flags.has("num_ctx") ? ["num_ctx                        2048"] : []),
  ];
  return {
    body: {
      modelfile: "# Modelfile",
      parameters: parameters.join("\n"),
      template: "{{ .Prompt }}",
      details: details(),
      model_info: {
        "general.architecture": architecture,
        "general.parameter_count": 1_235_814_432,
        [`${architecture}.context_length`]: model.contextTrained,
        [`${architecture}.embedding_length`]: model.embeddingDim,
        "tokenizer.ggml.tokens": null,
      },
      // Servers before 0.6.4 have no such field.
      ...(state.flags.has("no-capabilities") ? {} : { capabilities: capabilities(model) }),
      modified_at: "2026-05-04T14:56:49.277302595-07:00",
    },
  };
}

function running(state: FakeState): FakeAnswer {
  const loaded = state.models.filter((model) => model.state === "loaded");
  return {
    body: {
      models: loaded.map((model) => ({
        name: model.id,
        model: model.id,
        size: model.sizeBytes,
        digest: model.digest,
        details: details(),
        expires_at: "2026-06-04T14:38:31.83753-07:00",
        size_vram: model.vramBytes,
        ...(state.flags.has("no-ps-context") ? {} : { context_length: model.contextLoaded }),
      })),
    },
  };
}

function tags(state: FakeState): FakeAnswer {
  return {
    body: {
      models: state.models.map((model) => ({
        name: model.id,
        model: model.id,
        modified_at: "2026-05-04T14:56:49.277302595-07:00",
        size: model.sizeBytes,
        digest: model.digest,
        details: details(),
      })),
    },
  };
}

const generating: ReadonlySet<string> = new Set(["/api/generate", "/api/chat", "/api/embed", "/api/embeddings"]);

/** Ollama, as its `docs/api.md` and its answers describe it. Flags: `no-capabilities`, `no-ps-context`, `num_ctx`. */
export const fakeOllama: FakeSurface = {
  version: "0.12.6",
  models: [
    makeFakeModel({ id: "llama3.2:latest", tools: true }),
    makeFakeModel({ id: "qwen3:8b", state: "available", tools: true, reasoning: true, contextTrained: 40_960 }),
    makeFakeModel({ id: "all-minilm:latest", state: "available", kind: "embedding", contextTrained: 512 }),
  ],
  headers: {},
  isOpen: () => false,
  resolve,
  answer(request, state) {
    const route = `${request.method} ${request.path}`;
    if (route === "GET /" || route === "HEAD /") {
      return { headers: { "content-type": "text/plain; charset=utf-8" }, body: "Ollama is running" };
    }
    if (route === "GET /api/version") return { body: { version: state.version } };
    if (route === "GET /api/tags") return tags(state);
    if (route === "GET /api/ps") return running(state);
    if (route === "GET /v1/models") {
      const data = state.models.map(({ id }) => ({ id, object: "model", created: 1_764_000_000, owned_by: "library" }));
      return { body: { object: "list", data } };
    }
    const name = String(request.body?.model ?? request.body?.name ?? "");
    const model = resolve(name, state.models);
    if (route === "POST /api/show") {
      return model === undefined ? { status: 404, body: { error: `model '${name}' not found` } } : show(model, state);
    }
    if (request.method === "POST" && generating.has(request.path) && model !== undefined) {
      state.generate(model.id);
      return { body: { model: model.id, response: "", done: true } };
    }
    return undefined;
  },
  notFound: () => ({ status: 404, headers: { "content-type": "text/plain" }, body: "404 page not found" }),
  denied: () => ({ status: 401, body: { error: "unauthorized" } }),
  unknownModel: (id) => openAiError(404, `model "${id}" not found, try pulling it first`, "api_error", null),
};
