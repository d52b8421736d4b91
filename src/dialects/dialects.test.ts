import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  type FakeBackend,
  type FakeBackendOptions,
  type FakeKind,
  fakeKinds,
  startFakeBackend,
} from "../../test/fakes/fake-backend.ts";
import type { Model } from "../contract/metadata.ts";
import { modelsMax } from "./compose-description.ts";
import type { Description, Dialect } from "./dialect.ts";
import { isNexusGateway } from "./nexus.ts";
import { createProbeClient, type Probe } from "./probe.ts";
import { createDialects, recogniseBackend } from "./recognise-backend.ts";

const client = createProbeClient();
const started: FakeBackend[] = [];
after(async () => {
  await client.close();
  await Promise.all(started.map((backend) => backend.close()));
});

async function start(kind: FakeKind, options: FakeBackendOptions = {}): Promise<FakeBackend> {
  const backend = await startFakeBackend(kind, options);
  started.push(backend);
  return backend;
}

interface Seen {
  readonly dialect: Dialect | undefined;
  readonly description: Description;
  readonly models: Readonly<Record<string, Model>>;
  readonly probe: Probe;
}

/** Recognises and describes, and proves that nothing was generated or loaded by it. */
async function see(backend: FakeBackend, key?: string, dialects = createDialects()): Promise<Seen> {
  const probe = client.open(backend.url, key);
  const dialect = await recogniseBackend(probe, dialects);
  const description = await dialect?.describe(probe);
  assert.equal(backend.generations, 0, "a look generates nothing");
  assert.equal(backend.loads, 0, "a look loads nothing");
  assert.ok(description, `not described; asked: ${probe.asked.join("; ")}`);
  return {
    dialect,
    description,
    models: Object.fromEntries(description.models.map((model) => [model.id, model])),
    probe,
  };
}

const chatOperations = ["chat.completions.create", "completions.create"];
const allOperations = [...chatOperations, "embeddings.create"];

describe("recogniseBackend", () => {
  for (const kind of fakeKinds) {
    it(`knows ${kind}`, async () => {
      const { dialect, description } = await see(await start(kind));
      assert.equal(dialect?.name, kind);
      assert.ok(description.models.length > 0);
      assert.equal(description.state, "ready");
    });
  }

  it("knows none in what is no model server", async () => {
    for (const answer of [
      { body: "<html>hello</html>" },
      { body: { data: "no list" } },
      { body: { data: [{ name: "no id" }] } },
      { body: [1, null, "x"] },
      { status: 302, headers: { location: "/v1/models" } },
    ]) {
      const backend = await start("openai-compatible", { overrides: { "GET /v1/models": answer } });
      assert.equal(await recogniseBackend(client.open(backend.url, undefined), createDialects()), undefined);
    }
  });

  it("does not take imitators of Ollama for Ollama", async () => {
    const ollamaPaths = {
      "GET /api/version": { body: { version: "0.9.0" } },
      "GET /api/tags": { body: { models: [] } },
    };
    const localai = await start("localai", { overrides: ollamaPaths });
    assert.equal((await see(localai)).dialect?.name, "localai");
    const koboldCpp = await start("openai-compatible", {
      overrides: {
        ...ollamaPaths,
        "GET /api/extra/version": { body: { result: "KoboldCpp", version: "1.99" } },
        "GET /api/extra/true_max_context_length": { body: { value: 8192 } },
        "GET /v1/models": { body: { data: [{ id: "koboldcpp/tiny", owned_by: "koboldcpp" }] } },
      },
    });
    const { dialect, description, models } = await see(koboldCpp);
    assert.equal(dialect?.name, "openai-compatible");
    assert.deepEqual(description.backend, { name: "KoboldCpp", vendor: "", version: "1.99" });
    assert.equal(models["koboldcpp/tiny"]?.context_window, 8192);
    assert.equal(description.maxConcurrency, 1);
  });

  it("asks with the key and finds out nothing without it", async () => {
    for (const kind of fakeKinds) {
      const backend = await start(kind, { key: "sk-right" });
      assert.equal((await see(backend, "sk-right")).dialect?.name, kind);
    }
    const backend = await start("openai-compatible", { key: "sk-right" });
    assert.equal(await recogniseBackend(client.open(backend.url, "sk-wrong"), createDialects()), undefined);
  });

  it("knows a gateway of Nexus by its metadata, or by its health when that needs a key", async () => {
    const open = await start("nexus", { flags: ["gateway"] });
    assert.equal(await isNexusGateway(client.open(open.url, undefined)), true);
    const health = { body: { status: "ok", service: "gateway", version: "1", uptime_seconds: 1 } };
    const locked = await start("nexus", { key: "sk-key", overrides: { "GET /health": health } });
    assert.equal(await isNexusGateway(client.open(locked.url, undefined)), true);
    assert.equal(await isNexusGateway(client.open((await start("nexus")).url, undefined)), false);
    assert.equal(await isNexusGateway(client.open((await start("ollama")).url, undefined)), false);
  });
});

describe("the ollama dialect", () => {
  it("reads what is loaded, what each model can, and the window that it runs with", async () => {
    const { description, models } = await see(await start("ollama"));
    assert.deepEqual(description.backend, { name: "Ollama", vendor: "Ollama", version: "0.12.6" });
    assert.deepEqual(description.operations, allOperations);
    assert.equal(description.readinessPath, "/api/version");
    assert.equal(description.maxConcurrency, null);
    const loaded = models["llama3.2:latest"];
    assert.deepEqual(loaded?.aliases, ["llama3.2"]);
    assert.equal(loaded?.state, "loaded");
    assert.equal(loaded?.context_window, 4_096);
    assert.equal(loaded?.context_window_max, 131_072);
    assert.equal(loaded?.vram_bytes, 1_800_000_000);
    assert.deepEqual(loaded?.features, { tools: true, vision: false, reasoning: false, json_schema: true });
    assert.equal(models["qwen3:8b"]?.state, "available");
    assert.equal(models["qwen3:8b"]?.context_window, null, "nobody knows before it is loaded");
    assert.equal(models["qwen3:8b"]?.features.reasoning, true);
    assert.deepEqual(models["qwen3:8b"]?.aliases, []);
    assert.deepEqual(models["all-minilm:latest"]?.domains, ["embedding"]);
    assert.deepEqual(models["all-minilm:latest"]?.features, { embeddings_dim: 8 });
    assert.deepEqual(description.findings["qwen3:8b"]?.tools, { grade: "declared", reason: "said by /api/show" });
  });

  it("takes the window of the Modelfile when the model is not loaded", async () => {
    const backend = await start("ollama", { flags: ["num_ctx", "no-ps-context"] });
    const { models } = await see(backend);
    assert.equal(models["qwen3:8b"]?.context_window, 2_048);
    assert.equal(models["llama3.2:latest"]?.context_window, 2_048);
  });

  it("does with a server that tells no capabilities", async () => {
    const { models } = await see(await start("ollama", { flags: ["no-capabilities"] }));
    assert.equal(models["llama3.2:latest"]?.features.tools, undefined);
    assert.deepEqual(models["llama3.2:latest"]?.domains, ["chat"]);
    assert.deepEqual(models["all-minilm:latest"]?.domains, ["embedding"]);
  });

  it("asks about each digest once, whatever the number of looks", async () => {
    const backend = await start("ollama");
    const dialects = createDialects();
    await see(backend, undefined, dialects);
    backend.set({ models: [{ id: "llama3.2:latest" }, { id: "new:1b", state: "available" }] });
    const { models } = await see(backend, undefined, dialects);
    assert.ok(models["new:1b"]);
    const shows = backend.requests.filter(({ path }) => path === "/api/show").map(({ body }) => body?.model);
    assert.deepEqual(shows.toSorted(), ["all-minilm:latest", "llama3.2:latest", "new:1b", "qwen3:8b"]);
    backend.set({ version: "0.13.0" });
    await see(backend, undefined, dialects);
    assert.equal(backend.requests.filter(({ path }) => path === "/api/show").length, 6, "a newer server tells more");
  });

  it("asks about a bounded number of models, a few at once", async () => {
    const models = Array.from({ length: 1_200 }, (_, index) => ({ id: `m${index}:latest` }));
    const backend = await start("ollama", { models });
    const { description } = await see(backend);
    assert.equal(description.models.length, modelsMax);
    assert.equal(backend.requests.filter(({ path }) => path === "/api/show").length, 500);
    assert.ok(backend.connections <= 4, `${backend.connections} connections`);
  });

  it("knows a model of Ollama's cloud", async () => {
    const tag = {
      name: "gpt-oss:120b-cloud",
      model: "gpt-oss:120b-cloud",
      remote_host: "https://ollama.com:443",
      size: 384,
    };
    const backend = await start("ollama", { overrides: { "GET /api/tags": { body: { models: [tag] } } } });
    const { models } = await see(backend);
    assert.equal(models[tag.name]?.remote, true);
    assert.equal(models[tag.name]?.state, "loaded");
  });

  it("keeps the good models when others are odd", async () => {
    const tags = [
      null,
      7,
      {},
      { name: "" },
      { name: "bad\u0000name" },
      { name: "x".repeat(300) },
      { name: "good:1b", size: -1 },
    ];
    const backend = await start("ollama", { overrides: { "GET /api/tags": { body: { models: tags } } } });
    const { models } = await see(backend);
    assert.deepEqual(Object.keys(models), ["good:1b"]);
  });
});

describe("the llama-cpp dialect", () => {
  it("reads slots, the window of a slot and what the template can", async () => {
    const { description, models } = await see(await start("llama-cpp", { slots: 3 }));
    assert.equal(description.maxConcurrency, 3);
    assert.equal(description.readinessPath, "/health");
    assert.equal(description.backend.version, "b6940-c5023daf6");
    assert.deepEqual(description.operations, chatOperations, "embeddings need a flag and a model for it");
    const model = models["smollm2-135m-instruct-q8_0"];
    assert.deepEqual(model?.aliases, ["smollm2-135m-instruct-q8_0.gguf"]);
    assert.equal(model?.context_window, 4_096);
    assert.equal(model?.context_window_max, 8_192);
    assert.deepEqual(model?.features, { tools: true, vision: false, json_schema: true });
    assert.equal(model?.state, "loaded");
  });

  it("does not say that a model without a template for tools has none", async () => {
    const { models } = await see(await start("llama-cpp", { models: [{ id: "m", tools: false }] }));
    assert.equal(models.m?.features.tools, undefined);
  });

  it("makes a name of the path of a model file", async () => {
    const { models } = await see(await start("llama-cpp", { models: [{ id: "../models/Meta-Llama-3.1-8B-Q4.gguf" }] }));
    assert.deepEqual(models["Meta-Llama-3.1-8B-Q4"]?.aliases, ["../models/Meta-Llama-3.1-8B-Q4.gguf"]);
  });

  it("is known while it loads, and says so", async () => {
    const backend = await start("llama-cpp", { unready: true });
    const { description, dialect } = await see(backend);
    assert.equal(dialect?.name, "llama-cpp");
    assert.equal(description.state, "starting");
    assert.equal(description.stateReason, "is loading its model");
    backend.set({ unready: false });
    assert.equal((await see(backend)).description.state, "ready");
  });

  it("lists a router's models and loads none of them", async () => {
    const backend = await start("llama-cpp", {
      flags: ["router"],
      models: [
        { id: "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", vision: true, contextLoaded: 2_048 },
        { id: "big", state: "available" },
        { id: "coming", state: "loading" },
      ],
    });
    const { models, description } = await see(backend);
    assert.deepEqual(
      Object.values(models).map(({ state }) => state),
      ["loaded", "available", "loading"],
    );
    const loaded = models["ggml-org/gemma-3-4b-it-GGUF:Q4_K_M"];
    assert.equal(loaded?.context_window, 2_048);
    assert.equal(loaded?.features.vision, true);
    assert.equal(models.big?.context_window, null);
    assert.equal(description.maxConcurrency, null);
    const asked = backend.requests.filter(({ path, query }) => path === "/props" && query.has("model"));
    assert.deepEqual(
      asked.map(({ query }) => [query.get("model"), query.get("autoload")]),
      [["ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", "false"]],
    );
  });

  it("does with the public list of models when the rest needs a key", async () => {
    const { dialect, models } = await see(await start("llama-cpp", { key: "sk-key", flags: ["open-models"] }));
    assert.equal(dialect?.name, "llama-cpp");
    assert.equal(models["smollm2-135m-instruct-q8_0"]?.context_window, 4_096);
    assert.equal(models["smollm2-135m-instruct-q8_0"]?.features.tools, undefined);
  });
});

describe("the vllm dialect", () => {
  it("reads version, window and the routes of the model's task", async () => {
    const { description, models } = await see(await start("vllm"));
    assert.equal(description.backend.version, "0.11.0");
    assert.equal(description.readinessPath, "/health");
    assert.deepEqual(description.operations, chatOperations);
    assert.equal(models["Qwen/Qwen2.5-7B-Instruct"]?.context_window, 32_768);
    const pooling = await see(await start("vllm", { models: [{ id: "intfloat/some-model", kind: "embedding" }] }));
    assert.deepEqual(pooling.description.operations, ["embeddings.create"]);
    assert.deepEqual(pooling.models["intfloat/some-model"]?.domains, ["embedding"]);
  });

  it("does without the list of routes, and gives adapters their model's window", async () => {
    const base = { id: "base", owned_by: "vllm", max_model_len: 8_192, parent: null };
    const adapter = { id: "adapter", owned_by: "vllm", max_model_len: null, parent: "base" };
    const backend = await start("vllm", {
      overrides: {
        "GET /openapi.json": { status: 404, body: { detail: "Not Found" } },
        "GET /v1/models": { body: { object: "list", data: [base, adapter] } },
      },
    });
    const { description, models } = await see(backend);
    assert.deepEqual(description.operations, chatOperations);
    assert.equal(models.adapter?.context_window, 8_192);
  });
});

describe("the lm-studio dialect", () => {
  for (const flags of [[], ["no-v1"]]) {
    it(`reads states, windows and talents${flags.length > 0 ? " over the older API" : ""}`, async () => {
      const { description, models } = await see(await start("lm-studio", { flags }));
      assert.equal(description.backend.name, "LM Studio");
      assert.deepEqual(description.operations, allOperations);
      const loaded = models["meta-llama-3.1-8b-instruct"];
      assert.equal(loaded?.state, "loaded");
      assert.equal(loaded?.context_window, 4_096);
      assert.equal(loaded?.features.tools, true);
      const vision = models["qwen2-vl-7b-instruct"];
      assert.equal(vision?.state, "available");
      assert.equal(vision?.context_window, null);
      assert.equal(vision?.context_window_max, 32_768);
      assert.equal(vision?.features.vision, true);
      assert.deepEqual(models["text-embedding-nomic-embed-text-v1.5"]?.domains, ["embedding"]);
    });
  }
});

describe("the localai dialect", () => {
  it("reads what is loaded and guesses the rest from names", async () => {
    const { description, models } = await see(await start("localai"));
    assert.equal(description.backend.version, "v3.7.0 (a1b2c3d4)");
    assert.equal(description.readinessPath, "/readyz");
    assert.equal(models["gpt-4"]?.state, "loaded");
    assert.equal(models["text-embedding-ada-002"]?.state, "available");
    assert.deepEqual(models["text-embedding-ada-002"]?.domains, ["embedding"]);
  });

  it("is known without its discovery document", async () => {
    const { dialect, description } = await see(await start("localai", { flags: ["no-well-known"] }));
    assert.equal(dialect?.name, "localai");
    assert.equal(description.backend.version, "v3.7.0 (a1b2c3d4)");
  });

  it("believes the capabilities that newer ones list", async () => {
    const data = [
      { id: "a", capabilities: ["chat", "vision"], context_size: 8_192 },
      { id: "b", capabilities: ["embeddings"] },
      { id: "c", capabilities: ["vad"] },
    ];
    const backend = await start("localai", { overrides: { "GET /v1/models/capabilities": { body: { data } } } });
    const { models } = await see(backend);
    assert.deepEqual(Object.keys(models), ["a", "b"], "what it can is nothing that is routed");
    assert.equal(models.a?.context_window, 8_192);
    assert.equal(models.a?.features.vision, true);
    assert.deepEqual(models.b?.domains, ["embedding"]);
  });
});

describe("the openai-compatible dialect", () => {
  const withModels = (data: object[], more: FakeBackendOptions["overrides"] = {}) =>
    start("openai-compatible", { overrides: { "GET /v1/models": { body: { object: "list", data } }, ...more } });

  it("takes names for what they are and asks for nothing twice", async () => {
    const backend = await start("openai-compatible");
    const { description, models } = await see(backend);
    assert.deepEqual(description.operations, allOperations);
    assert.equal(description.readinessPath, "/v1/models");
    assert.deepEqual(models["text-embedding-3-small"]?.domains, ["embedding"]);
    assert.equal(new Set(backend.requests.map(({ path }) => path)).size, backend.requests.length);
  });

  it("reads the fields of hosted services", async () => {
    const backend = await withModels([
      {
        id: "router/model",
        context_length: 200_000,
        architecture: { input_modalities: ["text", "image"] },
        supported_parameters: ["tools", "reasoning"],
      },
      { id: "groq", context_window: 8_192 },
      {
        id: "mistral",
        max_context_length: 32_000,
        aliases: ["mistral-latest"],
        capabilities: { function_calling: true },
      },
    ]);
    const { models } = await see(backend);
    assert.equal(models["router/model"]?.context_window, 200_000);
    assert.deepEqual(models["router/model"]?.features, {
      tools: true,
      json_schema: false,
      reasoning: true,
      vision: true,
    });
    assert.equal(models.groq?.context_window, 8_192);
    assert.deepEqual(models.mistral?.aliases, ["mistral-latest"]);
    assert.equal(models.mistral?.features.tools, true);
  });

  it("knows engines by their list and reads what they add", async () => {
    const tgi = await withModels([{ id: "org/m", owned_by: "org/m" }], {
      "GET /info": {
        body: { model_id: "org/m", max_total_tokens: 4_096, max_concurrent_requests: 128, version: "3.3.4" },
      },
    });
    const seenTgi = await see(tgi);
    assert.equal(seenTgi.description.backend.name, "TGI");
    assert.equal(seenTgi.description.maxConcurrency, 128);
    assert.equal(seenTgi.models["org/m"]?.context_window, 4_096);
    const tabby = await withModels(
      [
        { id: "one", owned_by: "tabbyAPI" },
        { id: "two", owned_by: "tabbyAPI" },
      ],
      { "GET /v1/model": { body: { id: "two", parameters: { max_seq_len: 16_384 } } } },
    );
    const seenTabby = await see(tabby);
    assert.equal(seenTabby.models.one?.state, "available");
    assert.equal(seenTabby.models.two?.state, "loaded");
    assert.equal(seenTabby.models.two?.context_window, 16_384);
    const sglang = await see(await withModels([{ id: "m", owned_by: "sglang", max_model_len: 40_960 }]));
    assert.equal(sglang.description.readinessPath, "/health");
    assert.equal(sglang.models.m?.context_window, 40_960);
  });
});

describe("the nexus dialect", () => {
  it("takes the service's own metadata", async () => {
    const backend = await start("nexus", { slots: 2 });
    const { description } = await see(backend);
    assert.equal(description.metadata?.service.name, "fake");
    assert.equal(description.maxConcurrency, 2);
    assert.equal(description.readinessPath, "/readyz");
    backend.set({ unready: true });
    assert.equal((await see(backend)).description.state, "starting");
  });
});
