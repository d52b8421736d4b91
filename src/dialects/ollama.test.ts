import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seeBackend, startBackend } from "../../test/support/see-backend.ts";
import { modelsMax } from "./compose-description.ts";
import { createDialects } from "./recognise-backend.ts";

describe("the ollama dialect", () => {
  it("reads what is loaded, what each model can, and the window that it runs with", async (test) => {
    const { description, models } = await seeBackend(test, await startBackend(test, "ollama"));
    assert.deepEqual(description.backend, { name: "Ollama", vendor: "Ollama", version: "0.12.6" });
    assert.deepEqual(description.operations, ["chat.completions.create", "completions.create", "embeddings.create"]);
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

  it("offers the other APIs from the version on that has them", async (test) => {
    for (const [version, offered] of [
      ["0.13.2", []],
      ["0.13.3", ["responses.create"]],
      ["0.14.0", ["responses.create", "messages.create"]],
    ] as const) {
      const { description } = await seeBackend(test, await startBackend(test, "ollama", { version }));
      const others = description.operations.filter((id) => /^(responses|messages)\./.test(id));
      assert.deepEqual(others, offered, version);
    }
  });

  it("takes the window of the Modelfile when the model is not loaded", async (test) => {
    const backend = await startBackend(test, "ollama", { flags: ["num_ctx", "no-ps-context"] });
    const { models } = await seeBackend(test, backend);
    assert.equal(models["qwen3:8b"]?.context_window, 2_048);
    assert.equal(models["llama3.2:latest"]?.context_window, 2_048);
  });

  it("tells a model on the processor from one of which nothing is known", async (test) => {
    const { models } = await seeBackend(
      test,
      await startBackend(test, "ollama", { models: [{ id: "m:1b", vramBytes: 0 }] }),
    );
    assert.equal(models["m:1b"]?.vram_bytes, 0);
  });

  it("does with a server that tells no capabilities", async (test) => {
    const { models } = await seeBackend(test, await startBackend(test, "ollama", { flags: ["no-capabilities"] }));
    assert.equal(models["llama3.2:latest"]?.features.tools, undefined);
    assert.deepEqual(models["llama3.2:latest"]?.domains, ["chat"]);
    assert.deepEqual(models["all-minilm:latest"]?.domains, ["embedding"]);
  });

  it("asks about each digest once, whatever the number of looks", async (test) => {
    const backend = await startBackend(test, "ollama");
    const dialects = createDialects();
    await seeBackend(test, backend, { dialects });
    backend.set({ models: [{ id: "llama3.2:latest" }, { id: "new:1b", state: "available" }] });
    const { models } = await seeBackend(test, backend, { dialects });
    assert.ok(models["new:1b"]);
    const shows = backend.requests.filter(({ path }) => path === "/api/show").map(({ body }) => body?.model);
    assert.deepEqual(shows.toSorted(), ["all-minilm:latest", "llama3.2:latest", "new:1b", "qwen3:8b"]);
    backend.set({ version: "0.13.0" });
    await seeBackend(test, backend, { dialects });
    assert.equal(backend.requests.filter(({ path }) => path === "/api/show").length, 6, "a newer server tells more");
  });

  it("asks about a bounded number of models, a few at once", async (test) => {
    const models = Array.from({ length: 1_200 }, (_, index) => ({ id: `m${index}:latest` }));
    const backend = await startBackend(test, "ollama", { models });
    const { description } = await seeBackend(test, backend);
    assert.equal(description.models.length, modelsMax);
    assert.equal(backend.requests.filter(({ path }) => path === "/api/show").length, 500);
    assert.ok(backend.connections <= 4, `${backend.connections} connections`);
  });

  it("knows a model of Ollama's cloud", async (test) => {
    const tag = {
      name: "gpt-oss:120b-cloud",
      model: "gpt-oss:120b-cloud",
      remote_host: "https://ollama.com:443",
      size: 384,
    };
    const backend = await startBackend(test, "ollama", { overrides: { "GET /api/tags": { body: { models: [tag] } } } });
    const { models } = await seeBackend(test, backend);
    assert.equal(models[tag.name]?.remote, true);
    assert.equal(models[tag.name]?.state, "loaded");
  });

  it("keeps the good models when others are odd", async (test) => {
    const tags = [
      null,
      7,
      {},
      { name: "" },
      { name: "bad\u0000name" },
      { name: "x".repeat(300) },
      { name: "good:1b", size: -1 },
    ];
    const backend = await startBackend(test, "ollama", { overrides: { "GET /api/tags": { body: { models: tags } } } });
    const { models } = await seeBackend(test, backend);
    assert.deepEqual(Object.keys(models), ["good:1b"]);
  });
});
