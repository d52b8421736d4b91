import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { FakeBackendOptions } from "../../test/fakes/fake-backend.ts";
import { seeBackend, startBackend } from "../../test/support/see-backend.ts";

describe("the openai-compatible dialect", () => {
  const withModels = (test: TestContext, data: object[], more: FakeBackendOptions["overrides"] = {}) =>
    startBackend(test, "openai-compatible", {
      overrides: { "GET /v1/models": { body: { object: "list", data } }, ...more },
    });

  it("takes names for what they are and asks for nothing twice", async (test) => {
    const backend = await startBackend(test, "openai-compatible");
    const { description, models } = await seeBackend(test, backend);
    assert.deepEqual(description.operations, ["chat.completions.create", "completions.create", "embeddings.create"]);
    assert.equal(description.readinessPath, "/v1/models");
    assert.deepEqual(models["text-embedding-3-small"]?.domains, ["embedding"]);
    assert.equal(new Set(backend.requests.map(({ path }) => path)).size, backend.requests.length);
  });

  it("reads the fields of hosted services", async (test) => {
    const backend = await withModels(test, [
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
    const { models } = await seeBackend(test, backend);
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

  it("knows engines by their list and reads what they add", async (test) => {
    const tgi = await withModels(test, [{ id: "org/m", owned_by: "org/m" }], {
      "GET /info": {
        body: { model_id: "org/m", max_total_tokens: 4_096, max_concurrent_requests: 128, version: "3.3.4" },
      },
    });
    const seenTgi = await seeBackend(test, tgi);
    assert.equal(seenTgi.description.backend.name, "TGI");
    assert.equal(seenTgi.description.maxConcurrency, 128);
    assert.equal(seenTgi.models["org/m"]?.context_window, 4_096);
    const tabby = await withModels(
      test,
      [
        { id: "one", owned_by: "tabbyAPI" },
        { id: "two", owned_by: "tabbyAPI" },
      ],
      { "GET /v1/model": { body: { id: "two", parameters: { max_seq_len: 16_384 } } } },
    );
    const seenTabby = await seeBackend(test, tabby);
    assert.equal(seenTabby.models.one?.state, "available");
    assert.equal(seenTabby.models.two?.state, "loaded");
    assert.equal(seenTabby.models.two?.context_window, 16_384);
    const sglang = await seeBackend(
      test,
      await withModels(test, [{ id: "m", owned_by: "sglang", max_model_len: 40_960 }]),
    );
    assert.equal(sglang.description.readinessPath, "/health");
    assert.equal(sglang.models.m?.context_window, 40_960);
  });
});
