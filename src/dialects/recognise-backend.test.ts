import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fakeKinds } from "../../test/fakes/fake-backend.ts";
import { openProbe, seeBackend, startBackend } from "../../test/support/see-backend.ts";
import { isNexusGateway } from "./nexus.ts";
import { createDialects, recogniseBackend } from "./recognise-backend.ts";

describe("recogniseBackend", () => {
  for (const kind of fakeKinds) {
    // proves: attach.recognises
    it(`knows ${kind}`, async (test) => {
      const { dialect, description } = await seeBackend(test, await startBackend(test, kind));
      assert.equal(dialect?.name, kind);
      assert.ok(description.models.length > 0);
      assert.equal(description.state, "ready");
    });
  }

  it("knows none in what is no model server", async (test) => {
    for (const answer of [
      { body: "<html>hello</html>" },
      { body: { data: "no list" } },
      { body: { data: [{ name: "no id" }] } },
      { body: [1, null, "x"] },
      { status: 302, headers: { location: "/v1/models" } },
    ]) {
      const backend = await startBackend(test, "openai-compatible", { overrides: { "GET /v1/models": answer } });
      assert.equal(await recogniseBackend(openProbe(test, backend), createDialects()), undefined);
    }
  });

  it("does not take imitators of Ollama for Ollama", async (test) => {
    const ollamaPaths = {
      "GET /api/version": { body: { version: "0.9.0" } },
      "GET /api/tags": { body: { models: [] } },
    };
    const localai = await startBackend(test, "localai", { overrides: ollamaPaths });
    assert.equal((await seeBackend(test, localai)).dialect?.name, "localai");
    const koboldCpp = await startBackend(test, "openai-compatible", {
      overrides: {
        ...ollamaPaths,
        "GET /api/extra/version": { body: { result: "KoboldCpp", version: "1.99" } },
        "GET /api/extra/true_max_context_length": { body: { value: 8192 } },
        "GET /v1/models": { body: { data: [{ id: "koboldcpp/tiny", owned_by: "koboldcpp" }] } },
      },
    });
    const { dialect, description, models } = await seeBackend(test, koboldCpp);
    assert.equal(dialect?.name, "openai-compatible");
    assert.deepEqual(description.backend, { name: "KoboldCpp", vendor: "", version: "1.99" });
    assert.equal(models["koboldcpp/tiny"]?.context_window, 8192);
    assert.equal(description.maxConcurrency, 1);
  });

  it("asks with the key and finds out nothing without it", async (test) => {
    for (const kind of fakeKinds) {
      const backend = await startBackend(test, kind, { key: "sk-right" });
      assert.equal((await seeBackend(test, backend, { key: "sk-right" })).dialect?.name, kind);
    }
    const backend = await startBackend(test, "openai-compatible", { key: "sk-right" });
    assert.equal(await recogniseBackend(openProbe(test, backend, "sk-wrong"), createDialects()), undefined);
  });

  it("knows a gateway of Nexus by its metadata, or by its health when that needs a key", async (test) => {
    const open = await startBackend(test, "nexus", { flags: ["gateway"] });
    assert.equal(await isNexusGateway(openProbe(test, open)), true);
    const health = { body: { status: "ok", service: "gateway", version: "1", uptime_seconds: 1 } };
    const locked = await startBackend(test, "nexus", { key: "sk-key", overrides: { "GET /health": health } });
    assert.equal(await isNexusGateway(openProbe(test, locked)), true);
    assert.equal(await isNexusGateway(openProbe(test, await startBackend(test, "nexus"))), false);
    assert.equal(await isNexusGateway(openProbe(test, await startBackend(test, "ollama"))), false);
  });
});

describe("the nexus dialect", () => {
  it("takes the service's own metadata", async (test) => {
    const backend = await startBackend(test, "nexus", { slots: 2 });
    const { description } = await seeBackend(test, backend);
    assert.equal(description.metadata?.service.name, "fake");
    assert.equal(description.maxConcurrency, 2);
    assert.equal(description.readinessPath, "/readyz");
    backend.set({ unready: true });
    assert.equal((await seeBackend(test, backend)).description.state, "starting");
  });
});
