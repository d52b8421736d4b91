import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ListedModel } from "../../src/gateway/list-models.ts";
import { startTestGateway, type TestGateway } from "../support/gateway.ts";
import { makeRecord } from "../support/records.ts";

const paid = { "nexus.paid": "true" };

// proves: gateway.models
describe("the list of models", { timeout: 60_000 }, () => {
  let gateway: TestGateway;
  let listed: ReadonlyMap<string, ListedModel>;
  before(async () => {
    gateway = await startTestGateway({
      aliases: { cheap: "llama", dear: "claude", quick: "smart", lost: "nobody" },
      routes: [
        { model: "smart", candidates: [{ model: "llama" }, { model: "dear", tier: 1 }] },
        { model: "both", candidates: [{ service: "cloud" }] },
        { model: "gone", candidates: [{ model: "nobody" }] },
        { model: "hidden", candidates: [{ model: "llama", where: 'host.zone == "mars"' }] },
        { model: "any-*", candidates: [{ model: "llama" }] },
      ],
    });
    gateway.view.set([
      makeRecord({ service: "local", models: [{ id: "llama", context_window: 8_192 }, { id: "both" }] }),
      makeRecord({
        service: "cloud",
        labels: paid,
        models: [{ id: "claude", context_window: 200_000 }, { id: "both" }],
      }),
    ]);
    const { data } = (await (await gateway.fetch("/v1/models")).json()) as { data: readonly ListedModel[] };
    listed = new Map(data.map((model) => [model.id, model]));
  });
  after(() => gateway?.close());

  it("has every name that leads somewhere, those that only a route or an alias knows among them", () => {
    assert.deepEqual([...listed.keys()], ["both", "cheap", "claude", "dear", "llama", "quick", "smart"]);
  });

  it("says what a name leads to", () => {
    const leads = [...listed].map(([id, { nexus }]) => [id, nexus.alias_of, nexus.routes_to?.join(" ")]);
    assert.deepEqual(leads, [
      ["both", undefined, undefined],
      ["cheap", "llama", undefined],
      ["claude", undefined, undefined],
      ["dear", "claude", undefined],
      ["llama", undefined, undefined],
      ["quick", "smart", "llama claude"],
      ["smart", undefined, "llama claude"],
    ]);
    const smart = listed.get("smart");
    assert.deepEqual([smart?.context_window, smart?.nexus.instances], [200_000, 2]);
  });

  it("says what its service would rather use", () => {
    const ranks = [...listed].map(([id, { nexus }]) => [id, nexus.rank]);
    assert.deepEqual(Object.fromEntries(ranks), {
      both: 2,
      cheap: 1,
      claude: 1,
      dear: 1,
      llama: 1,
      quick: 1,
      smart: 1,
    });
  });

  it("says what only servers that cost money serve, by what its route takes", () => {
    const dear = [...listed.values()].filter(({ nexus }) => nexus.paid).map(({ id }) => id);
    assert.deepEqual(dear, ["both", "claude", "dear"]);
  });

  it("finds each of them by its name, and what Ollama's clients call it", async () => {
    for (const id of listed.keys()) {
      assert.deepEqual(await (await gateway.fetch(`/v1/models/${id}`)).json(), listed.get(id));
    }
    const { models } = (await (await gateway.fetch("/api/tags")).json()) as { models: { name: string }[] };
    assert.ok(models.some(({ name }) => name === "smart:latest" || name === "smart"));
    const shown = await gateway.fetch("/api/show", { body: { model: "smart:latest" } });
    assert.equal(shown.status, 200);
    const fitting = (await (await gateway.fetch("/v1/models/any-thing")).json()) as ListedModel;
    assert.deepEqual(fitting.nexus.routes_to, ["llama"], "not listed, as nobody could list all that a pattern fits");
    for (const id of ["gone", "hidden", "lost"]) {
      assert.equal((await gateway.fetch(`/v1/models/${id}`)).status, 404, id);
    }
  });

  it("shows a key on the gateway's own pages only what it may use, by the names that it may use", async () => {
    const { key } = await gateway.keys.create({ name: "narrow", role: "user", limits: { models: ["cheap", "both"] } });
    for (const page of ["/v1/metadata", "/v1/descriptor"]) {
      const headers = { authorization: `Bearer ${key}` };
      const seen = (await (await gateway.fetch(page, { headers })).json()) as {
        capabilities: { domains: unknown[] };
        models: { id: string; aliases: string[] }[];
      };
      assert.deepEqual(seen.models.map(({ id, aliases }) => [id, ...aliases]).sort(), [["both"], ["cheap"]], page);
      const all = (await (await gateway.fetch(page)).json()) as typeof seen;
      assert.deepEqual(
        all.models.map(({ id, aliases }) => [id, ...aliases]).sort(),
        [["both"], ["claude", "dear"], ["llama", "cheap"]],
        page,
      );
    }
  });
});
