import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seeBackend, startBackend } from "../../test/support/see-backend.ts";

const chatOperations = ["chat.completions.create", "completions.create"];
const allOperations = [...chatOperations, "embeddings.create"];

describe("the llama-cpp dialect", () => {
  it("reads slots, the window of a slot and what the template can", async (test) => {
    const { description, models } = await seeBackend(test, await startBackend(test, "llama-cpp", { slots: 3 }));
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

  it("offers the other APIs where the build is sure to have them", async (test) => {
    const backend = await startBackend(test, "llama-cpp", { version: "b12407-c5023daf6" });
    const { description } = await seeBackend(test, backend);
    const others = ["responses.create", "messages.create", "messages.count_tokens"];
    assert.deepEqual(description.operations, [...chatOperations, ...others]);
  });

  it("says that a model without a template for tools has none only where the build then leaves tools out", async (test) => {
    const models = [{ id: "m", tools: false }];
    for (const [version, expected] of [
      ["b6940-c5023daf6", undefined],
      ["b11669-Debian", false],
    ] as const) {
      const seen = await seeBackend(test, await startBackend(test, "llama-cpp", { version, models }));
      assert.equal(seen.models.m?.features.tools, expected, version);
    }
  });

  it("makes a name of the path of a model file", async (test) => {
    const { models } = await seeBackend(
      test,
      await startBackend(test, "llama-cpp", { models: [{ id: "../models/Meta-Llama-3.1-8B-Q4.gguf" }] }),
    );
    assert.deepEqual(models["Meta-Llama-3.1-8B-Q4"]?.aliases, ["../models/Meta-Llama-3.1-8B-Q4.gguf"]);
  });

  it("is known while it loads, and says so", async (test) => {
    const backend = await startBackend(test, "llama-cpp", { unready: true });
    const { description, dialect } = await seeBackend(test, backend);
    assert.equal(dialect?.name, "llama-cpp");
    assert.equal(description.state, "starting");
    assert.equal(description.stateReason, "is loading its model");
    backend.set({ unready: false });
    assert.equal((await seeBackend(test, backend)).description.state, "ready");
  });

  it("lists a router's models and loads none of them", async (test) => {
    const backend = await startBackend(test, "llama-cpp", {
      flags: ["router"],
      models: [
        { id: "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", vision: true, contextLoaded: 2_048 },
        { id: "big", state: "available" },
        { id: "coming", state: "loading" },
      ],
    });
    const { models, description } = await seeBackend(test, backend);
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

  it("does with the public list of models when the rest needs a key", async (test) => {
    const { dialect, models } = await seeBackend(
      test,
      await startBackend(test, "llama-cpp", { key: "sk-key", flags: ["open-models"] }),
    );
    assert.equal(dialect?.name, "llama-cpp");
    assert.equal(models["smollm2-135m-instruct-q8_0"]?.context_window, 4_096);
    assert.equal(models["smollm2-135m-instruct-q8_0"]?.features.tools, undefined);
  });
});

describe("the vllm dialect", () => {
  it("reads version, window and the routes of the model's task", async (test) => {
    const { description, models } = await seeBackend(test, await startBackend(test, "vllm"));
    assert.equal(description.backend.version, "0.11.0");
    assert.equal(description.readinessPath, "/health");
    assert.deepEqual(description.operations, [...chatOperations, "responses.create"]);
    assert.equal(models["Qwen/Qwen2.5-7B-Instruct"]?.context_window, 32_768);
    const pooling = await seeBackend(
      test,
      await startBackend(test, "vllm", { models: [{ id: "intfloat/some-model", kind: "embedding" }] }),
    );
    assert.deepEqual(pooling.description.operations, ["embeddings.create"]);
    assert.deepEqual(pooling.models["intfloat/some-model"]?.domains, ["embedding"]);
    for (const [kind, operations] of [
      ["transcription", ["audio.transcriptions.create", "audio.translations.create"]],
      ["rerank", ["rerank"]],
    ] as const) {
      const other = await seeBackend(test, await startBackend(test, "vllm", { models: [{ id: "some/model", kind }] }));
      assert.deepEqual(other.description.operations, operations);
      assert.deepEqual(other.models["some/model"]?.domains, [kind]);
    }
  });

  it("does without the list of routes, and gives adapters their model's window", async (test) => {
    const base = { id: "base", owned_by: "vllm", max_model_len: 8_192, parent: null };
    const adapter = { id: "adapter", owned_by: "vllm", max_model_len: null, parent: "base" };
    const backend = await startBackend(test, "vllm", {
      overrides: {
        "GET /openapi.json": { status: 404, body: { detail: "Not Found" } },
        "GET /v1/models": { body: { object: "list", data: [base, adapter] } },
      },
    });
    const { description, models } = await seeBackend(test, backend);
    assert.deepEqual(description.operations, chatOperations);
    assert.equal(models.adapter?.context_window, 8_192);
  });
});

describe("the lm-studio dialect", () => {
  for (const flags of [[], ["no-v1"]]) {
    it(`reads states, windows and talents${flags.length > 0 ? " over the older API" : ""}`, async (test) => {
      const { description, models } = await seeBackend(test, await startBackend(test, "lm-studio", { flags }));
      assert.equal(description.backend.name, "LM Studio");
      const newer = flags.length === 0 ? ["responses.create"] : [];
      assert.deepEqual(new Set(description.operations), new Set([...allOperations, ...newer]));
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
  it("reads what is loaded and guesses the rest from names", async (test) => {
    const { description, models } = await seeBackend(test, await startBackend(test, "localai"));
    assert.equal(description.backend.version, "v3.7.0 (a1b2c3d4)");
    assert.equal(description.readinessPath, "/readyz");
    assert.equal(models["gpt-4"]?.state, "loaded");
    assert.equal(models["text-embedding-ada-002"]?.state, "available");
    assert.deepEqual(models["text-embedding-ada-002"]?.domains, ["embedding"]);
  });

  it("is known without its discovery document", async (test) => {
    const { dialect, description } = await seeBackend(
      test,
      await startBackend(test, "localai", { flags: ["no-well-known"] }),
    );
    assert.equal(dialect?.name, "localai");
    assert.equal(description.backend.version, "v3.7.0 (a1b2c3d4)");
  });

  it("believes the capabilities that newer ones list", async (test) => {
    const data = [
      { id: "a", capabilities: ["chat", "vision"], context_size: 8_192 },
      { id: "b", capabilities: ["embeddings"] },
      { id: "c", capabilities: ["vad"] },
    ];
    const backend = await startBackend(test, "localai", {
      overrides: { "GET /v1/models/capabilities": { body: { data } } },
    });
    const { models } = await seeBackend(test, backend);
    assert.deepEqual(Object.keys(models), ["a", "b"], "what it can is nothing that is routed");
    assert.equal(models.a?.context_window, 8_192);
    assert.equal(models.a?.features.vision, true);
    assert.deepEqual(models.b?.domains, ["embedding"]);
  });
});

// proves: paid.anthropic
describe("the anthropic dialect", () => {
  it("reads windows and talents from the list of models, with Anthropic's own headers", async (test) => {
    const backend = await startBackend(test, "anthropic", {
      key: "sk-ant",
      models: [
        { id: "claude-sonnet-4-5-20250929", contextLoaded: 1_000_000, vision: true, reasoning: true },
        { id: "claude-1", state: "available" },
      ],
    });
    const { description, models } = await seeBackend(test, backend, { key: "sk-ant" });
    assert.deepEqual(description.operations, ["messages.create", "messages.count_tokens"]);
    assert.equal(description.readinessPath, "/v1/models");
    assert.deepEqual(Object.keys(models), ["claude-sonnet-4-5-20250929"], "what is retired is left out");
    const model = models["claude-sonnet-4-5-20250929"];
    assert.equal(model?.context_window, 1_000_000);
    assert.deepEqual(model?.features, { tools: true, json_schema: true, vision: true, reasoning: true });
    const last = backend.requests.at(-1);
    assert.equal(last?.headers["anthropic-version"], "2023-06-01");
    assert.equal(last?.headers.authorization, undefined);
  });

  it("takes what every Claude can where the list does not say", async (test) => {
    const backend = await startBackend(test, "anthropic", { flags: ["bare"] });
    const { models } = await seeBackend(test, backend);
    assert.equal(models["claude-3-haiku-20240307"]?.context_window, 200_000);
    assert.equal(models["claude-3-haiku-20240307"]?.features.vision, true);
  });
});
