import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { Limits } from "../../src/keys/key-record.ts";
import type { RequestRecord } from "../../src/records/request-record.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway } from "../support/gateway.ts";
import { waitFor } from "../support/wait-for.ts";

const path = "/v1/messages/count_tokens";
const question = { model: "tiny", messages: [{ role: "user", content: "one two three" }] };

const fleets = [
  { who: "a server that counts", operations: ["messages.create", "messages.count_tokens"] },
  { who: "an estimate, where no server counts", operations: ["chat.completions.create"] },
] as const;

async function startFleet(t: TestContext, operations: readonly string[]) {
  const backend = await startFakeBackend("nexus", { models: [{ id: "tiny" }] });
  t.after(() => backend.close());
  const routes = [{ model: "any-*", candidates: [{ model: "tiny" }] }];
  const gateway = await startTestGateway({ routes });
  t.after(() => gateway.close());
  gateway.view.set([recordOf(backend, { models: [{ id: "tiny" }], operations })]);
  const limited = async (limits: Limits) => {
    const { key, record } = await gateway.keys.create({ name: `k${Math.random()}`, role: "user", limits });
    const ask = (url: string, body?: object) =>
      gateway.fetch(url, {
        headers: { authorization: `Bearer ${key}` },
        ...(body === undefined ? {} : { body }),
      });
    return { id: record.id, ask, count: (more: object = {}) => ask(path, { ...question, ...more }) };
  };
  return { gateway, backend, limited };
}

for (const { who, operations } of fleets) {
  // proves: anthropic.count-tokens, keys.limits, keys.allow-lists, keys.usage
  describe(`counting tokens by ${who}`, { timeout: 60_000 }, () => {
    it("is one of the requests a minute, and needs none of the tokens", async (t) => {
      const { limited } = await startFleet(t, operations);
      const { ask, count } = await limited({ requests_per_minute: 3, tokens_per_minute: 40 });
      const first = await ask("/v1/messages", { ...question, max_tokens: 4 });
      assert.equal(first.status, 200);
      await first.text();
      for (const left of ["1", "0"]) {
        const answer = await count();
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get("x-ratelimit-remaining-requests"), left);
        assert.ok(((await answer.json()) as { input_tokens: number }).input_tokens > 0);
      }
      const refused = await count();
      assert.equal(refused.status, 429);
      assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/);
      assert.equal(((await refused.json()) as { error: { type: string } }).error.type, "rate_limit_error");
    });

    it("is held to the operations of the key", async (t) => {
      const { limited, backend } = await startFleet(t, operations);
      const { count } = await limited({ operations: ["messages.create"] });
      assert.equal((await count()).status, 403);
      assert.equal(backend.requests.filter((request) => request.path === path).length, 0);
      assert.equal((await (await limited({ operations: ["messages.*"] })).count()).status, 200);
    });

    it("is recorded as a request that used no tokens, under a name that somebody gave", async (t) => {
      const { gateway, limited } = await startFleet(t, operations);
      const { id, ask, count } = await limited({});
      await (await count()).text();
      const answer = await count({ model: "any-thing" });
      assert.equal(answer.status, 200);
      await answer.text();
      const asked = () => ask(`/v1/nexus/requests/${answer.headers.get("x-request-id")}`);
      // It is made when the last byte is out, which its reader may see first.
      const record = await waitFor("its record", async () => {
        const found = await asked();
        const body = await found.json();
        return found.status === 200 && (body as RequestRecord);
      });
      assert.deepEqual([record.operation, record.model, record.tokens], ["messages.count_tokens", "any-*", undefined]);
      await gateway.desk.recorder.flush();
      const day = new Date().toISOString().slice(0, 10);
      const rows = await gateway.desk.usage.report({ by: ["operation", "model"], from: day, to: day, key: id });
      const told = rows.map((row) => [
        row.operation,
        row.model,
        row.requests,
        row.prompt_tokens,
        row.completion_tokens,
      ]);
      assert.deepEqual(told.sort(), [
        ["messages.count_tokens", "any-*", 1, 0, 0],
        ["messages.count_tokens", "tiny", 1, 0, 0],
      ]);
    });
  });
}
