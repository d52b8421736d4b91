import assert from "node:assert/strict";
import { test } from "node:test";
import type { DryRun } from "../../src/records/dry-run.ts";
import type { RequestRecord } from "../../src/records/request-record.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway } from "../support/gateway.ts";
import { waitFor } from "../support/wait-for.ts";

const question = { model: "tiny", messages: [{ role: "user", content: "a secret of the client's" }] };

/** Records are made when the answer's last byte is out, which its reader may see first. */
function recordFor(gateway: Awaited<ReturnType<typeof startTestGateway>>, id: string): Promise<RequestRecord> {
  return waitFor(`a record of ${id}`, async () => {
    const answer = await gateway.fetch(`/v1/nexus/requests/${id}`);
    const body = await answer.json();
    return answer.status === 200 && (body as RequestRecord);
  });
}

// proves: explain.record
test("a request's record says where it went, where it could not go, and where the time went", async () => {
  const [dead, good] = await Promise.all([startFakeBackend("nexus"), startFakeBackend("nexus")]);
  const gateway = await startTestGateway();
  try {
    await dead.close();
    gateway.view.set([
      recordOf(dead, { service: "dead", models: [{ id: "tiny" }] }),
      recordOf(good, { service: "good", models: [{ id: "tiny" }] }),
      recordOf(good, { service: "mute", models: [{ id: "tiny" }], state: "starting" }),
    ]);
    const answer = await gateway.fetch("/v1/chat/completions", { body: question });
    assert.equal(answer.status, 200);
    await answer.text();
    const record = await recordFor(gateway, answer.headers.get("x-request-id") ?? "");
    assert.equal(record.status, 200);
    assert.equal(record.model, "tiny");
    assert.match(record.instance ?? "", /^good\//);
    assert.equal(record.attempts.at(-1)?.outcome, "ok");
    assert.ok(record.rejected.some(({ instance, reason }) => instance.startsWith("mute/") && reason === "starting"));
    assert.ok(record.timings_ms.total >= (record.timings_ms.first_byte ?? Number.POSITIVE_INFINITY));
    assert.doesNotMatch(JSON.stringify(record), /secret|nxs_/);
  } finally {
    await gateway.close();
    await good.close();
  }
});

/** Every name of a member, however deep. */
function namesIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(namesIn);
  return Object.entries(value).flatMap(([name, inner]) => [name, ...namesIn(inner)]);
}

// proves: explain.record, explain.dry-run
test("records and dry runs speak as the wire does, and name another operation where one was asked for", async () => {
  const [chat, cold] = await Promise.all([startFakeBackend("nexus"), startFakeBackend("nexus")]);
  const gateway = await startTestGateway();
  try {
    gateway.view.set([
      recordOf(chat, { service: "chat", operations: ["chat.completions.create"] }),
      recordOf(cold, { service: "cold", models: [{ id: "tiny", state: "available" }] }),
      recordOf(cold, { service: "mute", state: "starting" }),
    ]);
    const body = { ...question, max_tokens: 5 };
    const answer = await gateway.fetch("/v1/messages", { body });
    assert.equal(answer.status, 200);
    await answer.text();
    const record = await recordFor(gateway, answer.headers.get("x-request-id") ?? "");
    const asked = { operation: "messages.create", request: body };
    const run = (await (await gateway.fetch("/v1/nexus/explain", { body: asked })).json()) as DryRun;
    for (const said of [record, run]) {
      assert.deepEqual(
        namesIn(said).filter((name) => !/^[a-z]+(?:_[a-z]+)*$/.test(name)),
        [],
      );
      const [first, second] = said.candidates;
      assert.deepEqual([first?.instance, first?.via], ["chat/one", "chat.completions.create"]);
      assert.deepEqual([second?.instance, second?.via], ["cold/one", undefined]);
      assert.equal(first?.why.cold_start_ms, undefined);
      assert.ok((second?.why.cold_start_ms ?? 0) > 0);
      assert.equal(typeof second?.why.in_flight, "number");
    }
  } finally {
    await gateway.close();
    await Promise.all([chat.close(), cold.close()]);
  }
});

// proves: explain.record
test("a record has the attempts that were under way when the request ended", async () => {
  const backend = await startFakeBackend("nexus", { faults: { delayFirstByteMs: 10_000 } });
  const gateway = await startTestGateway();
  try {
    gateway.view.set([recordOf(backend, { service: "slow" })]);
    const late = await gateway.fetch("/v1/chat/completions", {
      body: question,
      headers: { "x-nexus-timeout-ms": "1000", "x-request-id": "too-late" },
    });
    assert.equal(late.status, 504);
    assert.equal(late.headers.get("x-nexus-attempts"), "1");
    await late.text();
    const leaving = new AbortController();
    const gone = gateway.fetch("/v1/chat/completions", {
      body: question,
      headers: { "x-request-id": "gone" },
      signal: leaving.signal,
    });
    await backend.until(({ inFlight }) => inFlight === 1);
    setTimeout(() => leaving.abort(), 100);
    await assert.rejects(gone);
    for (const id of ["too-late", "gone"]) {
      const { attempts } = await recordFor(gateway, id);
      assert.deepEqual(
        attempts.map(({ outcome }) => outcome),
        ["cancelled"],
        id,
      );
      assert.ok((attempts[0]?.duration_ms ?? 0) > 50, id);
    }
  } finally {
    await gateway.close();
    await backend.close();
  }
});

test("a record is its key's and the operators'; to others it does not exist", async () => {
  const backend = await startFakeBackend("nexus");
  const gateway = await startTestGateway();
  try {
    gateway.view.set([recordOf(backend)]);
    const answer = await gateway.fetch("/v1/chat/completions", { body: question });
    await answer.text();
    const id = answer.headers.get("x-request-id") ?? "";
    await recordFor(gateway, id);
    const { key: other } = await gateway.keys.create({ name: "other", role: "user" });
    const { key: admin } = await gateway.keys.create({ name: "operator", role: "admin" });
    const ask = (key: string) =>
      gateway.fetch(`/v1/nexus/requests/${id}`, { headers: { authorization: `Bearer ${key}` } });
    assert.equal((await ask(other)).status, 404);
    assert.equal((await ask(admin)).status, 200);
    const listed = await gateway.fetch("/v1/nexus/requests", { headers: { authorization: `Bearer ${other}` } });
    assert.deepEqual(((await listed.json()) as { data: unknown[] }).data, []);
  } finally {
    await gateway.close();
    await backend.close();
  }
});

// proves: explain.dry-run
test("a dry run says where a request would go, or why not, and asks no instance", async () => {
  const backend = await startFakeBackend("nexus");
  const gateway = await startTestGateway();
  try {
    gateway.view.set([recordOf(backend)]);
    const ask = async (request: object) => {
      const answer = await gateway.fetch("/v1/nexus/explain", { body: { request } });
      return (await answer.json()) as DryRun;
    };
    const good = await ask(question);
    assert.equal(good.candidates.length, 1);
    assert.equal(good.refusal, undefined);
    const bad = await ask({ ...question, model: "tinyy" });
    assert.equal(bad.refusal?.code, "model_not_found");
    assert.match(bad.refusal?.message ?? "", /tiny/);
    assert.equal(backend.generations, 0);
    const nonsense = await gateway.fetch("/v1/nexus/explain", { body: { operation: "nope", request: question } });
    assert.equal(nonsense.status, 400);
  } finally {
    await gateway.close();
    await backend.close();
  }
});
