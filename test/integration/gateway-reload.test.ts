import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { FakeBackendOptions } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { leastOf } from "../support/least-of.ts";
import { startBackend } from "../support/see-backend.ts";
import { waitFor } from "../support/wait-for.ts";

type Rules = Parameters<TestGateway["reload"]>[0];

async function open(t: TestContext, rules: Rules = {}, backend: FakeBackendOptions = {}) {
  const gateway = await startTestGateway(rules);
  t.after(() => gateway.close());
  const server = await startBackend(t, "nexus", { models: [{ id: "tiny" }], ...backend });
  gateway.view.set([recordOf(server)]);
  return { gateway, server };
}

const chat = (gateway: TestGateway, body: Record<string, unknown> = {}) =>
  gateway.fetch("/v1/chat/completions", {
    body: { model: "tiny", messages: [{ role: "user", content: "Hello?" }], ...body },
  });

async function codeOf(response: Response): Promise<string> {
  const { error } = (await response.json()) as { error?: { code: string } };
  return error?.code ?? "none";
}

async function metric(gateway: TestGateway, name: string): Promise<number> {
  const text = await gateway.metrics();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

// proves: reload.no-request-lost
test("a stream goes on by the deadlines that it began with, the next request has the new ones", {
  timeout: 60_000,
}, async (t) => {
  const faults = { chunkDelayMs: 60 };
  const { gateway } = await open(t, { settings: { timeouts: { stallMs: 5_000 } } }, { faults });
  const stream = await chat(gateway, { stream: true });
  gateway.reload({
    aliases: { other: "tiny" },
    settings: { timeouts: { stallMs: 10, connectMs: 1_999 }, retry: { attemptsMax: 1 } },
  });
  assert.match(await stream.text(), /data: \[DONE\]\n\n$/);
  assert.doesNotMatch(await (await chat(gateway, { model: "other", stream: true })).text(), /\[DONE\]/);
  gateway.reload({
    routes: [{ model: "tiny", timeouts: { stallMs: 5_000 } }],
    settings: { timeouts: { stallMs: 10 } },
  });
  assert.match(await (await chat(gateway, { stream: true })).text(), /data: \[DONE\]\n\n$/);
  gateway.reload({
    settings: { timeouts: { operations: { "chat.completions.create": { stallMs: 10 } } }, retry: { attemptsMax: 1 } },
  });
  assert.doesNotMatch(await (await chat(gateway, { stream: true })).text(), /\[DONE\]/);
});

test("who may ask, how much, and what it is called change at once", { timeout: 60_000 }, async (t) => {
  const { gateway } = await open(t);
  const keyless = () => fetch(`${gateway.url}/v1/models`);
  assert.equal((await keyless()).status, 401);
  gateway.reload({ auth: "none", settings: { bodyBytesMax: 100 }, aliases: { front: "tiny" } });
  assert.equal((await keyless()).status, 200);
  assert.equal((await chat(gateway, { user: "x".repeat(100) })).status, 413);
  gateway.reload({ aliases: { front: "tiny" } });
  assert.equal((await keyless()).status, 401);
  assert.equal((await chat(gateway, { model: "front", user: "x".repeat(100) })).status, 200);
  gateway.reload({});
  assert.equal(await codeOf(await chat(gateway, { model: "front" })), "model_not_found");
});

test("those who wait are looked at by the new rules", { timeout: 60_000 }, async (t) => {
  const routes = [{ model: "tiny", where: 'host.name == "elsewhere"' }];
  const letGo = Promise.withResolvers<void>();
  const { gateway, server } = await open(t, {}, { faults: { heldUntil: letGo.promise } });
  gateway.view.set([recordOf(server, { maxConcurrency: 1 })]);
  const first = chat(gateway);
  await server.until(({ inFlight }) => inFlight === 1);
  const second = chat(gateway);
  // The two, and the one that asks.
  await waitFor("all three", async () => (await metric(gateway, "nexus_gateway_requests_in_flight")) === 3);
  gateway.reload({ settings: { admission: { queueMax: 0 } } });
  assert.equal(await codeOf(await chat(gateway)), "queue_full");
  letGo.resolve();
  assert.deepEqual([(await first).status, (await second).status], [200, 200]);
  const letLastGo = Promise.withResolvers<void>();
  server.set({ faults: { heldUntil: letLastGo.promise } });
  const last = chat(gateway);
  await server.until(({ generations }) => generations === 3);
  gateway.reload({ routes });
  letLastGo.resolve();
  assert.equal((await last).status, 200, "it is on its way");
  assert.equal((await chat(gateway)).status, 503);
});

test("an instance is probed and left out by the new rules", { timeout: 60_000 }, async (t) => {
  const slow = { probes: { intervalMs: 3_600_000 }, ejection: { failures: 100 }, retry: { attemptsMax: 1 } };
  const { gateway, server } = await open(t, { settings: slow });
  assert.equal((await chat(gateway)).status, 200);
  const ready = () => metric(gateway, 'nexus_gateway_instances{state="ready"}');
  assert.equal(await ready(), 1);
  server.set({ unready: true });
  gateway.reload({ settings: { ...slow, probes: { intervalMs: 20 } } });
  await waitFor("a probe", async () => (await ready()) === 0);
});

// proves: keys.revoked-at-once
test("what a key may do changes without a reload, within a second", { timeout: 60_000 }, async (t) => {
  const { gateway } = await open(t);
  const timeUntil = async (what: string, isSo: () => Promise<boolean>) => {
    const start = performance.now();
    await waitFor(what, isSo);
    return performance.now() - start;
  };
  const answer = async () => codeOf(await chat(gateway));
  assert.equal(await answer(), "none");
  const [key] = (await gateway.keys.list()).filter(({ name }) => name.startsWith("test "));
  const change = (limits: Parameters<typeof gateway.keys.change>[1]["limits"]) =>
    gateway.keys.change(key?.id ?? "", { limits });
  const slowest = await leastOf(3, async () => {
    await change({ models: ["other"] });
    const models = await timeUntil("held to its models", async () => (await answer()) === "permission_denied");
    await change({ models: null, requests_per_minute: 1 });
    const rate = await timeUntil("held to its limit", async () => (await answer()) === "rate_limit_exceeded");
    await change({ requests_per_minute: null });
    const none = await timeUntil("let through again", async () => (await answer()) === "none");
    return Math.max(models, rate, none);
  });
  assert.ok(slowest < 1_000, `${slowest} ms`);
});

// proves: reload.objects
test("limits of what clients leave here hold from the next upload, answer and batch on", {
  timeout: 60_000,
}, async (t) => {
  const { gateway, server } = await open(t);
  // Answers have ids of their own only where the gateway makes them.
  gateway.view.set([recordOf(server, { operations: ["chat.completions.create"] })]);
  const upload = async (bytes: number) => {
    const form = new FormData();
    form.append("purpose", "batch");
    form.append("file", new Blob([Buffer.alloc(bytes, "x")]), "a");
    const headers = { authorization: `Bearer ${gateway.key}` };
    return await fetch(`${gateway.url}/v1/files`, { method: "POST", headers, body: form });
  };
  const respond = async () => {
    const answer = await gateway.fetch("/v1/responses", { body: { model: "tiny", input: "one" } });
    return ((await answer.json()) as { id: string }).id;
  };
  const kept = await upload(3_000);
  assert.equal(kept.status, 200);
  const { id } = (await kept.json()) as { id: string };
  const first = await respond();
  gateway.reload({
    files: { fileBytesMax: 2_048 },
    responses: { answersMax: 1 },
    batches: { openMax: 1 },
  });
  assert.equal(await codeOf(await upload(3_000)), "storage_full");
  assert.equal((await gateway.fetch(`/v1/files/${id}/content`)).status, 200, "what is there stays");
  assert.equal((await gateway.fetch(`/v1/responses/${first}`)).status, 200);
  const second = await respond();
  assert.equal((await gateway.fetch(`/v1/responses/${first}`)).status, 404);
  assert.equal((await gateway.fetch(`/v1/responses/${second}`)).status, 200);
  gateway.reload({ files: { tenantBytesMax: 4_000 } });
  assert.equal(await codeOf(await upload(1_500)), "storage_full");
  assert.equal((await upload(900)).status, 200);
});

// proves: reload.objects
test("a batch ends by the limits that it began with, the next has the new ones", { timeout: 60_000 }, async (t) => {
  const { gateway } = await open(t);
  const batch = async () => {
    const form = new FormData();
    form.append("purpose", "batch");
    const line = (custom_id: string) => {
      const body = { model: "tiny", messages: [{ role: "user", content: "Hello?" }] };
      return JSON.stringify({ custom_id, method: "POST", url: "/v1/chat/completions", body });
    };
    form.append("file", new Blob([`${line("a")}\n${line("b")}\n`]), "a.jsonl");
    const headers = { authorization: `Bearer ${gateway.key}` };
    const file = await fetch(`${gateway.url}/v1/files`, { method: "POST", headers, body: form });
    const { id: input_file_id } = (await file.json()) as { id: string };
    const asked = { input_file_id, endpoint: "/v1/chat/completions", completion_window: "24h" };
    const { id } = (await (await gateway.fetch("/v1/batches", { body: asked })).json()) as { id: string };
    return waitFor("its end", async () => {
      const { status } = (await (await gateway.fetch(`/v1/batches/${id}`)).json()) as { status: string };
      return (status === "completed" || status === "failed") && status;
    });
  };
  assert.equal(await batch(), "completed");
  gateway.reload({ batches: { linesMax: 1 } });
  assert.equal(await batch(), "failed");
  gateway.reload({ batches: { linesMax: 2 } });
  assert.equal(await batch(), "completed");
});
