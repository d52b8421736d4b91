import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { startTestGateway, type TestGateway } from "../support/gateway.ts";
import { makeRecord } from "../support/records.ts";

// proves: clients.anthropic
describe("Anthropic's Node client and the models", { timeout: 60_000 }, () => {
  let gateway: TestGateway;
  let client: Anthropic;
  const names = ["a/one", "best", "c", "d", "e"];
  before(async () => {
    gateway = await startTestGateway({ aliases: { best: "c" } });
    const models = ["a/one", "c", "d", "e"].map((id) => ({ id, domains: ["chat" as const], context_window: 8_192 }));
    const registered_at = "2026-01-02T03:04:05Z";
    gateway.view.set([makeRecord({ registered_at, models: [...models, { id: "b-vectors", domains: ["embedding"] }] })]);
    client = new Anthropic({ baseURL: gateway.url, apiKey: gateway.key, maxRetries: 0, timeout: 10_000 });
  });
  after(() => gateway?.close());

  it("lists those that chat, page by page", async () => {
    const asked: string[] = [];
    const counting = client.withOptions({
      fetch: (url, init) => {
        asked.push(String(url));
        return fetch(url, init);
      },
    });
    const all: string[] = [];
    for await (const model of counting.models.list({ limit: 2 })) all.push(model.id);
    assert.deepEqual(all, names);
    assert.equal(asked.length, 3);
  });

  it("says where a page stands, forwards and backwards", async () => {
    const page = async (query: Anthropic.ModelListParams) => {
      const { data, has_more, first_id, last_id } = await client.models.list(query);
      return [data.map(({ id }) => id).join(" "), has_more, first_id, last_id];
    };
    assert.deepEqual(await page({}), [names.join(" "), false, "a/one", "e"]);
    assert.deepEqual(await page({ limit: 2, after_id: "best" }), ["c d", true, "c", "d"]);
    assert.deepEqual(await page({ limit: 2, before_id: "d" }), ["best c", true, "best", "c"]);
    assert.deepEqual(await page({ limit: 2, before_id: "c" }), ["a/one best", false, "a/one", "best"]);
    // The place of a model that has gone since.
    assert.deepEqual(await page({ after_id: "cc" }), ["d e", false, "d", "e"]);
    assert.deepEqual(await page({ after_id: "e" }), ["", false, null, null]);
  });

  it("gets one, with a slash in its name, or an alias", async () => {
    assert.deepEqual(await client.models.retrieve("a/one"), {
      type: "model",
      id: "a/one",
      display_name: "a/one",
      created_at: "2026-01-02T03:04:05.000Z",
      max_input_tokens: 8_192,
      max_tokens: null,
      capabilities: null,
      lifecycle: "active",
      line: null,
      deprecated_at: null,
      retires_at: null,
    });
    assert.equal((await client.models.retrieve("best")).id, "best");
  });

  it("hears errors in its own shape", async () => {
    const isOwn = (type: string) => (error: unknown) => {
      assert.ok(error instanceof Anthropic.APIError);
      assert.equal(error.type, type);
      assert.match(error.requestID ?? "", /./);
      return true;
    };
    await assert.rejects(client.models.retrieve("none"), isOwn("not_found_error"));
    await assert.rejects(client.models.list({ limit: 0 }), isOwn("invalid_request_error"));
    await assert.rejects(client.models.list({ limit: 1_001 }), isOwn("invalid_request_error"));
    const stranger = client.withOptions({ apiKey: "nxs_wrong" });
    await assert.rejects(stranger.models.list(), isOwn("authentication_error"));
  });

  it("and everybody else gets OpenAI's list as before", async () => {
    const answer = (await (await gateway.fetch("/v1/models?limit=1")).json()) as { object: string; data: unknown[] };
    assert.equal(answer.object, "list");
    assert.equal(answer.data.length, 6);
  });
});
