import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import OpenAI from "openai";
import type { Response as Answer, ResponseStreamEvent } from "openai/resources/responses/responses";
import { createLiveResponses } from "../../src/objects/live-responses.ts";
import { createRunStore } from "../../src/objects/run-store.ts";
import type { Database } from "../../src/store/open-database.ts";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { openTestKeys } from "../support/keys.ts";
import { needs } from "../support/needs.ts";
import { makeTestDatabaseUrl, openTestDatabase, openTestResponseStore } from "../support/objects.ts";
import { hasPostgres, startPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

const text = "Hello from Zürich, 你好 🌍👩‍🚀 done.";
const models = [{ id: "tiny" }];
const asking = { model: "tiny", input: "say hello", background: true } as const;
const chats = { operations: ["chat.completions.create"] };

const clientOf = (url: string, apiKey: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });

const finished = (client: OpenAI, id: string): Promise<Answer> =>
  waitFor("its end", async () => {
    const now = await client.responses.retrieve(id);
    return now.status !== "queued" && now.status !== "in_progress" && now;
  });

const textOf = (events: readonly ResponseStreamEvent[]) =>
  events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : [])).join("");

describe("an answer in the background", { timeout: 90_000 }, () => {
  let backend: FakeBackend;
  let gateway: TestGateway;
  let client: OpenAI;
  beforeEach(async () => {
    backend = await startFakeBackend("nexus", { models });
    gateway = await startTestGateway({ databaseUrl: makeTestDatabaseUrl(), responses: { backgroundMax: 3 } });
    gateway.view.set([recordOf(backend, chats)]);
    client = clientOf(gateway.url, gateway.key);
  });
  afterEach(async () => {
    await gateway.close();
    await backend.close();
  });
  /** A second gateway over the same database. */
  const openSecond = async (t: { after(run: () => unknown): void }) => {
    const second = await startTestGateway({ databaseUrl: gateway.desk.url });
    t.after(() => second.close());
    second.view.set([recordOf(backend, chats)]);
    return clientOf(second.url, second.key);
  };

  // proves: responses.background
  it("is there at once, is made without its client, and can be built on", async () => {
    const answering = Promise.withResolvers<void>();
    backend.set({ faults: { heldUntil: answering.promise } });
    const begun = await client.responses.create({ ...asking, metadata: { purpose: "test" } });
    assert.deepEqual([begun.status, begun.background, begun.output, begun.model], ["queued", true, [], "tiny"]);
    assert.ok(["queued", "in_progress"].includes((await client.responses.retrieve(begun.id)).status ?? ""));
    const early = client.responses.create({ model: "tiny", input: "two", previous_response_id: begun.id });
    await assert.rejects(early, OpenAI.ConflictError);
    answering.resolve();
    const done = await finished(client, begun.id);
    assert.deepEqual([done.id, done.status, done.output_text, done.background], [begun.id, "completed", text, true]);
    assert.deepEqual(done.metadata, { purpose: "test" });
    assert.equal(done.usage?.output_tokens, 9);
    await client.responses.create({ model: "tiny", input: "two", previous_response_id: begun.id });
    assert.deepEqual(backend.requests.at(-1)?.body?.messages, [
      { role: "user", content: "say hello" },
      { role: "assistant", content: text },
      { role: "user", content: "two" },
    ]);
    const record = await gateway.fetch(`/v1/nexus/requests/${begun.id}`);
    assert.equal(record.status, 200, "its own record has its name");
  });

  // proves: responses.background
  it("is streamed, and goes on from any event, on any gateway", async (t) => {
    backend.set({ faults: { chunkDelayMs: 60 } });
    const stream = await client.responses.create({ ...asking, stream: true });
    const events: ResponseStreamEvent[] = [];
    for await (const event of stream) {
      events.push(event);
      if (events.length === 8) break;
    }
    const [created] = events;
    assert.ok(created?.type === "response.created" && created.response.status === "queued");
    const { id } = created.response;
    const { aborted } = backend;
    const second = await openSecond(t);
    const readers = [client, second].map(async (reader) => {
      const rest = await reader.responses.retrieve(id, { stream: true, starting_after: 7 });
      return [...events, ...(await Array.fromAsync(rest))];
    });
    for (const all of await Promise.all(readers)) {
      assert.deepEqual(
        all.map((event) => event.sequence_number),
        all.map((_, at) => at),
      );
      assert.deepEqual(
        all.slice(0, 3).map(({ type }) => type),
        ["response.created", "response.queued", "response.in_progress"],
      );
      const last = all.at(-1);
      assert.ok(last?.type === "response.completed" && last.response.id === id && last.response.output_text !== null);
      assert.equal(textOf(all), text);
    }
    assert.equal(backend.aborted, aborted, "the reader that left has stopped nothing");
    const again = await Array.fromAsync(await second.responses.retrieve(id, { stream: true }));
    assert.deepEqual([again.length > 8, textOf(again)], [true, text]);
    const lastNumber = again.at(-1)?.sequence_number ?? 0;
    const nothing = await client.responses.retrieve(id, { stream: true, starting_after: lastNumber });
    assert.deepEqual(await Array.fromAsync(nothing), []);
    assert.equal((await gateway.fetch(`/v1/responses/${id}?stream=true&starting_after=x`)).status, 400);
  });

  // proves: responses.background-cancel
  it("is cancelled, and its backend within a second", async () => {
    backend.set({ faults: { stallAfterChunks: 3 } });
    const { id } = await client.responses.create(asking);
    await waitFor("it begins", async () => (await client.responses.retrieve(id)).status === "in_progress");
    const since = performance.now();
    const cancelled = await client.responses.cancel(id);
    assert.deepEqual([cancelled.id, cancelled.status], [id, "cancelled"]);
    await backend.until(({ aborted }) => aborted === 1, Math.max(1, 1_000 - (performance.now() - since)));
    assert.equal((await client.responses.cancel(id)).status, "cancelled", "twice is once");
    const events = await Array.fromAsync(await client.responses.retrieve(id, { stream: true }));
    assert.equal(String(events.at(-1)?.type), "response.cancelled");
    backend.set({ faults: {} });
    const whole = await client.responses.create(asking);
    await finished(client, whole.id);
    assert.equal((await client.responses.cancel(whole.id)).status, "completed", "what is finished stays so");
    const plain = await client.responses.create({ model: "tiny", input: "hi" });
    await assert.rejects(client.responses.cancel(plain.id), OpenAI.ConflictError);
    const streamed = await gateway.fetch(`/v1/responses/${plain.id}?stream=true`);
    assert.equal(streamed.status, 400);
  });

  // proves: responses.background-cancel
  it("is cancelled by a gateway that does not make it", async (t) => {
    const second = await openSecond(t);
    backend.set({ faults: { delayFirstByteMs: 60_000 } });
    const { id } = await client.responses.create(asking);
    const cancelling = second.responses.cancel(id);
    await backend.until(({ aborted }) => aborted === 1, 1_000);
    assert.equal((await cancelling).status, "cancelled");
  });

  // proves: responses.background-cancel
  it("stops when its client left before it had a name", async () => {
    backend.set({ faults: { delayFirstByteMs: 60_000 } });
    const leave = new AbortController();
    const left = gateway.fetch("/v1/responses", { body: asking, signal: leave.signal });
    left.catch(() => {});
    await backend.until(({ inFlight }) => inFlight === 1);
    leave.abort();
    await backend.until(({ aborted }) => aborted === 1, 1_000);
  });

  // proves: responses.background-cancel
  it("stops when it is deleted, and stays deleted", async () => {
    backend.set({ faults: { stallAfterChunks: 3 } });
    const { id } = await client.responses.create(asking);
    await client.responses.delete(id);
    await backend.until(({ aborted }) => aborted === 1, 1_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await assert.rejects(client.responses.retrieve(id), OpenAI.NotFoundError);
  });

  // proves: responses.background
  it("is refused at once where it can be, by its key's limits too, and nothing is kept", async () => {
    await assert.rejects(client.responses.create({ ...asking, model: "none" }), OpenAI.NotFoundError);
    await assert.rejects(client.responses.create({ ...asking, store: false }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, "store");
      return true;
    });
    const tools = [{ type: "web_search" as const }];
    await assert.rejects(client.responses.create({ ...asking, tools }), OpenAI.BadRequestError);
    const { key } = await gateway.keys.create({ name: "slow", role: "user", limits: { requests_per_minute: 2 } });
    const slow = clientOf(gateway.url, key);
    await finished(slow, (await slow.responses.create(asking)).id);
    await finished(slow, (await slow.responses.create(asking)).id);
    const asked = backend.generations;
    await assert.rejects(slow.responses.create(asking), OpenAI.RateLimitError);
    assert.equal(backend.generations, asked);
    const rows = await gateway.desk.database.read((db) => db.selectFrom("response_runs").selectAll().execute());
    assert.deepEqual(rows, []);
  });

  // proves: responses.background
  it("is one of a bounded number, of its tenant's alone", async () => {
    backend.set({ faults: { delayFirstByteMs: 60_000 } });
    const begun = await Promise.all([1, 2, 3].map(() => client.responses.create(asking)));
    await assert.rejects(client.responses.create(asking), OpenAI.RateLimitError);
    const { id: tenant } = await gateway.desk.tenants.create({ name: "others" });
    const { key } = await gateway.keys.create({ name: "other", role: "user", tenant });
    const other = clientOf(gateway.url, key);
    const theirs = await other.responses.create(asking);
    await assert.rejects(other.responses.cancel(begun[0]?.id ?? ""), OpenAI.NotFoundError);
    await assert.rejects(other.responses.retrieve(begun[0]?.id ?? "", { stream: true }), OpenAI.NotFoundError);
    await client.responses.cancel(begun[0]?.id ?? "");
    const next = await client.responses.create(asking);
    gateway.reload({ responses: { backgroundMax: 4 } });
    const fourth = await client.responses.create(asking);
    for (const { id } of [...begun.slice(1), next, fourth]) await client.responses.cancel(id);
    await other.responses.cancel(theirs.id);
  });

  // proves: responses.background
  it("fails with the reason when its backend does", async () => {
    backend.set({ faults: { truncateAfterChunks: 4 } });
    const { id } = await client.responses.create(asking);
    const failed = await finished(client, id);
    assert.deepEqual([failed.status, failed.error?.code], ["failed", "server_error"]);
    assert.ok((failed.error?.message ?? "").length > 10);
    const events = await Array.fromAsync(await client.responses.retrieve(id, { stream: true }));
    assert.equal(events.at(-1)?.type, "response.failed");
  });

  // proves: responses.background, responses.native
  it("has its own name where a server of responses makes it", async () => {
    gateway.view.set([recordOf(backend, { operations: ["responses.create"] })]);
    const first = await client.responses.create(asking);
    assert.match(first.id, /^resp_[0-9a-zA-Z]{16,}$/);
    const done = await finished(client, first.id);
    assert.deepEqual([done.id, done.status, done.output_text], [first.id, "completed", text]);
    const events = await Array.fromAsync(await client.responses.retrieve(first.id, { stream: true }));
    for (const event of events) if ("response" in event) assert.equal(event.response.id, first.id);
    assert.equal(textOf(events), text);
  });

  // proves: responses.background-lost
  it("is failed by a gateway that stops before it is done", async (t) => {
    const stopping = await startTestGateway({
      databaseUrl: gateway.desk.url,
      settings: { timeouts: { drainMs: 200 } },
    });
    let isClosed = false;
    t.after(async () => isClosed || (await stopping.close()));
    stopping.view.set([recordOf(backend, chats)]);
    backend.set({ faults: { stallAfterChunks: 3 } });
    const { id } = await clientOf(stopping.url, stopping.key).responses.create(asking);
    await backend.until(({ inFlight }) => inFlight === 1);
    isClosed = true;
    await stopping.close();
    const failed = await client.responses.retrieve(id);
    assert.equal(failed.status, "failed");
    assert.match(failed.error?.message ?? "", /gateway was stopped/);
  });
});

// proves: responses.background-lost
it("an answer whose gateway was killed is failed once nobody can have it any more", { timeout: 60_000 }, async (t) => {
  const data = await mkdtemp(join(tmpdir(), "nexus-background-"));
  t.after(() => rm(data, { recursive: true, force: true }));
  const backend = await startFakeBackend("nexus", { models, faults: { chunkDelayMs: 300 } });
  t.after(() => backend.close());
  const desk = await openTestKeys({ directory: data });
  const { key } = await desk.keys.create({ name: "test", role: "user" });
  await desk.close();
  const start = () => startGatewayProcess(t, { data, records: [recordOf(backend, chats)] });
  const killed = await start();
  const { id } = await clientOf(killed.url, key).responses.create(asking);
  await waitFor("it says something", async () => {
    const events = await clientOf(killed.url, key).responses.retrieve(id, { stream: true });
    for await (const { type } of events) if (type === "response.output_text.delta") return true;
    return undefined;
  });
  await killed.kill();
  const { url } = await start();
  const client = clientOf(url, key);
  const events = await Array.fromAsync(await client.responses.retrieve(id, { stream: true, starting_after: 2 }));
  const last = events.at(-1);
  assert.ok(last?.type === "response.failed", `it ended with ${last?.type}`);
  assert.match(last.response.error?.message ?? "", /was stopped before it was done/);
  assert.equal((await client.responses.retrieve(id)).status, "failed");
});

/** What a store of runs promises, whatever database is under it. */
async function provesRuns(database: Database): Promise<void> {
  const clock = new FakeClock();
  const plain = openTestResponseStore({}, { database, clock });
  const runs = createRunStore({ database, clock });
  const live = createLiveResponses(plain, runs);
  const put = (id: string, status: string) =>
    plain.put("a", { id, previousId: null, response: { id, object: "response", status, output: [] }, input: [] });
  const statusOf = async (id: string) => (await live.get("a", id))?.response.status;
  for (const id of ["r1", "r2"]) {
    await put(id, "queued");
    await runs.add({ tenant: "a", id }, { holder: "one", until: clock.now() + 10_000 }, 9);
  }
  assert.equal(await statusOf("r1"), "queued");
  await runs.addEvents("a", "r1", { events: [{ sequence_number: 0 }], hasBegun: true });
  assert.equal(await statusOf("r1"), "in_progress");
  await clock.tick(10_000);
  assert.deepEqual([...(await runs.renew({ holder: "one", until: clock.now() + 10_000 })).keys()], ["r1", "r2"]);
  assert.equal(await statusOf("r1"), "in_progress", "late, and nobody has taken it");
  await put("r2", "completed");
  await clock.tick(10_000);
  assert.deepEqual([await statusOf("r1"), await statusOf("r2")], ["failed", "completed"]);
  assert.equal((await plain.get("a", "r1"))?.response.status, "failed");
  assert.ok(!(await runs.renew({ holder: "one", until: clock.now() + 10_000 })).has("r1"), "its maker finds out");
  assert.deepEqual(await runs.eventsAfter("a", "r1", -1), [{ sequence_number: 0 }]);
  await runs.end("a", "r1");
  await clock.tick(600_000);
  await runs.add({ tenant: "a", id: "r3" }, { holder: "one", until: clock.now() + 1 }, 9);
  assert.deepEqual(await runs.eventsAfter("a", "r1", -1), [], "ten minutes after its end");
  await database.close();
}

// proves: responses.background-lost
it("an answer that nobody makes any more is failed for good, and one that was stored in time is not", () =>
  provesRuns(openTestDatabase()));

// proves: responses.background-lost
it("the same holds over PostgreSQL", needs("PostgreSQL", hasPostgres), async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.close());
  await provesRuns(openTestDatabase(await postgres.makeDatabase()));
});
