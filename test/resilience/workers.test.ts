import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { scenarioMs, sized } from "../support/size.ts";
import { waitFor } from "../support/wait-for.ts";
import { startWorkerGateway, type WorkerGateway } from "../support/worker-gateway.ts";

const options = { timeout: scenarioMs };
const question = { model: "tiny", messages: [{ role: "user", content: "hi" }] };
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));

function completedBy(gateway: WorkerGateway): Map<unknown, number> {
  const counts = new Map<unknown, number>();
  for (const { message, operation, worker } of gateway.lines()) {
    if (message !== "request completed" || operation !== "chat.completions.create") continue;
    counts.set(worker, (counts.get(worker) ?? 0) + 1);
  }
  return counts;
}

async function chat(gateway: WorkerGateway, more: object = {}): Promise<{ status: number; text: string; id: string }> {
  const answer = await gateway.fetch("/v1/chat/completions", { ...question, ...more });
  return { status: answer.status, text: await answer.text(), id: answer.headers.get("x-request-id") ?? "" };
}

/** The value of a counter without labels, or the sum over its labels. */
async function metric(gateway: WorkerGateway, pattern: RegExp): Promise<number> {
  const text = await (await gateway.fetch("/metrics")).text();
  return text
    .split("\n")
    .filter((line) => pattern.test(line))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** Counts a request as over before the first byte of its answer: what comes after that byte is one too many. */
async function startCountingBackend(t: TestContext): Promise<{ readonly url: string; peak(): number }> {
  let [running, peak] = [0, 0];
  const message = { role: "assistant", content: "hello" };
  const answer = { object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }] };
  const server = createServer(async (request, response) => {
    request.resume();
    response.setHeader("content-type", "application/json");
    if (request.method === "GET") return void response.end(JSON.stringify({ object: "list", data: [{ id: "tiny" }] }));
    peak = Math.max(peak, ++running);
    await pause(10);
    running--;
    response.end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, peak: () => peak };
}

// proves: workers.slots-add-up, workers.one-port, workers.one-answer
test(
  "an instance that takes three gets three from all workers together; metrics and records are everybody's",
  options,
  async (t) => {
    const backend = await startCountingBackend(t);
    const gateway = await startWorkerGateway(t, {
      workers: 2,
      backends: [{ url: backend.url, maxConcurrency: 3 }],
    });
    const answers = await Promise.all(times(200, () => chat(gateway)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(backend.peak(), 3);
    await waitFor("all lines", () => [...completedBy(gateway).values()].reduce((sum, one) => sum + one, 0) === 200);
    assert.equal(completedBy(gateway).size, 2, "one worker served everything: the scenario proves nothing");
    for (let look = 0; look < 6; look++) {
      const requests = await metric(gateway, /^nexus_gateway_requests_total\{operation="chat.completions.create"/);
      const timed = await metric(gateway, /^nexus_gateway_request_duration_seconds_count\{operation="chat/);
      assert.deepEqual({ requests, timed }, { requests: 200, timed: 200 });
    }
    const found = await Promise.all(
      answers.slice(0, 30).map(async ({ id }) => (await gateway.fetch(`/v1/nexus/requests/${id}`)).status),
    );
    assert.deepEqual(new Set(found), new Set([200]));
    const listed = (await (await gateway.fetch("/v1/nexus/requests?limit=1000")).json()) as { data: { id: string }[] };
    assert.equal(new Set(listed.data.map(({ id }) => id)).size, 200);
  },
);

// proves: workers.limits-add-up
test("20 requests a minute are 20, and two at the same time are two, over all workers", options, async (t) => {
  const backend = await startFakeBackend("openai-compatible", { models: [{ id: "tiny" }] });
  t.after(() => backend.close());
  const gateway = await startWorkerGateway(t, {
    workers: 2,
    backends: [backend],
    limits: { requests_per_minute: 20 },
  });
  const answers = await Promise.all(times(60, () => chat(gateway)));
  assert.equal(answers.filter(({ status }) => status === 200).length, 20);
  assert.equal(answers.filter(({ status }) => status === 429).length, 40);
  assert.equal(backend.generations, 20);
});

// proves: workers.limits-add-up
test("a key that may have two requests at the same time has two, over all workers", options, async (t) => {
  const backend = await startFakeBackend("openai-compatible", {
    models: [{ id: "tiny" }],
    // All twelve have come by then.
    faults: { delayFirstByteMs: 3_000 },
  });
  t.after(() => backend.close());
  const gateway = await startWorkerGateway(t, { workers: 2, backends: [backend], limits: { concurrency: 2 } });
  const first = await Promise.all(times(12, () => chat(gateway)));
  assert.equal(first.filter(({ status }) => status === 200).length, 2);
  assert.equal(backend.peak, 2);
  const second = await Promise.all(times(12, () => chat(gateway)));
  assert.equal(second.filter(({ status }) => status === 200).length, 2, "the places are free again");
});

// proves: workers.shared-news
test("an instance that asks one worker to be left alone is left alone by all", options, async (t) => {
  const backend = await startFakeBackend("openai-compatible", {
    models: [{ id: "tiny" }],
    faults: { status: { status: 429, headers: { "retry-after": "30" }, body: "{}" } },
  });
  t.after(() => backend.close());
  const gateway = await startWorkerGateway(t, { workers: 2, backends: [backend] });
  await chat(gateway);
  // The other worker hears of it within milliseconds, and nobody else.
  await pause(1_000);
  const { generations } = backend;
  const answers = await Promise.all(times(20, () => chat(gateway)));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([429]));
  await waitFor("all lines", () => [...completedBy(gateway).values()].reduce((sum, one) => sum + one, 0) === 21);
  assert.equal(completedBy(gateway).size, 2, "one worker served everything: the scenario proves nothing");
  assert.equal(backend.generations, generations);
});

// proves: workers.shared-news
test("an instance is probed as often as by one process, and all workers know what was found", options, async (t) => {
  const backend = await startFakeBackend("openai-compatible", { models: [{ id: "tiny" }] });
  t.after(() => backend.close());
  const gateway = await startWorkerGateway(t, {
    workers: 3,
    backends: [backend],
    config: { gateway: { probes: { intervalMs: 200 } } },
  });
  await pause(300);
  const before = backend.requests.length;
  await pause(2_000);
  const probes = backend.requests.length - before;
  assert.ok(probes >= 3 && probes <= 12, `${probes} probes in two seconds`);
  backend.set({ unready: true, overrides: { "GET /v1/models": { status: 503, body: "{}" } } });
  await waitFor("somebody to notice", () => gateway.lines().some(({ message }) => message === "instance unready"));
  await pause(1_000);
  const answers = await Promise.all(times(20, () => chat(gateway)));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([503]));
  assert.equal(backend.generations, 0, "no worker tried it");
});

/** What a client saw of one stream. */
async function stream(gateway: WorkerGateway): Promise<"whole" | "cut" | "refused"> {
  try {
    const { status, text } = await chat(gateway, { stream: true });
    if (status !== 200) return "refused";
    return text.includes("[DONE]") ? "whole" : "cut";
  } catch (error) {
    // A connection that breaks in its answer, or one that never was.
    return String(error).includes("terminated") ? "cut" : "refused";
  }
}

// proves: workers.replaced, workers.one-port
test(
  "a worker that is killed takes only its own streams along and is replaced; no new request fails",
  options,
  async (t) => {
    const backend = await startFakeBackend("openai-compatible", {
      models: [{ id: "tiny" }],
      faults: { chunkDelayMs: 30 },
    });
    t.after(() => backend.close());
    const gateway = await startWorkerGateway(t, { workers: 2, backends: [backend] });
    const count = sized(90, 1_500);
    const running: Promise<string>[] = [];
    let underWay = 0;
    for (let turn = 0; turn < count; turn++) {
      if (turn === Math.floor(count / 2)) {
        underWay = backend.inFlight;
        process.kill(gateway.workers()[0] ?? 0, "SIGKILL");
      }
      running.push(stream(gateway));
      await pause(1_000 / 30);
    }
    const seen = await Promise.all(running);
    const cut = seen.filter((end) => end === "cut").length;
    const refused = seen.filter((end) => end === "refused").length;
    t.diagnostic(`${cut} of ${underWay} streams under way were cut, ${refused} of ${count} requests failed`);
    // What the killed one had accepted and not yet answered is gone with it: it cannot hand it on.
    assert.ok(refused <= 1, `${refused} requests failed`);
    assert.ok(cut > 0 && cut < underWay, `${cut} of ${underWay} were cut`);
    await waitFor("a successor", () => gateway.workers().length === 3);
    const before = completedBy(gateway).get(0) ?? 0;
    await waitFor("the successor to serve", async () => {
      await chat(gateway);
      return (completedBy(gateway).get(0) ?? 0) > before;
    });
    assert.ok((await metric(gateway, /^nexus_gateway_requests_total\{operation="chat/)) > 0);
  },
);

// proves: workers.drain
test("SIGTERM lets streams end in all workers, and takes no new ones", options, async (t) => {
  const backend = await startFakeBackend("openai-compatible", {
    models: [{ id: "tiny" }],
    faults: { chunkDelayMs: 300 },
  });
  t.after(() => backend.close());
  const gateway = await startWorkerGateway(t, { workers: 2, backends: [backend] });
  const streams = times(8, () => stream(gateway));
  await backend.until(({ inFlight }) => inFlight === 8);
  gateway.process.kill("SIGTERM");
  assert.deepEqual(new Set(await Promise.all(streams)), new Set(["whole"]));
  if (gateway.process.exitCode === null) await once(gateway.process, "exit");
  assert.equal(gateway.process.exitCode, 0);
  assert.equal(await stream(gateway), "refused");
});

// proves: workers.drain
test(
  "when the primary is killed, streams end, no worker stays, and a successor has the port at once",
  options,
  async (t) => {
    const backend = await startFakeBackend("openai-compatible", {
      models: [{ id: "tiny" }],
      faults: { chunkDelayMs: 300 },
    });
    t.after(() => backend.close());
    const gateway = await startWorkerGateway(t, { workers: 2, backends: [backend] });
    const streams = times(8, () => stream(gateway));
    await backend.until(({ inFlight }) => inFlight === 8);
    gateway.process.kill("SIGKILL");
    await once(gateway.process, "exit");
    const { port } = new URL(gateway.url);
    const next = await startWorkerGateway(t, { workers: 2, backends: [backend], port: Number(port) });
    assert.deepEqual(new Set(await Promise.all(streams)), new Set(["whole"]));
    // The client keeps connections by address, and those to the workers that leave are at an end.
    await waitFor("the workers to leave", () => gateway.workers().every((pid) => !isRunning(pid)));
    assert.equal(await stream(next), "whole");
  },
);

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

// proves: workers.replaced
test("changed settings hold in every worker, and in one that comes later", options, async (t) => {
  const backend = await startFakeBackend("openai-compatible", { models: [{ id: "tiny" }] });
  t.after(() => backend.close());
  const gateway = await startWorkerGateway(t, { workers: 2, backends: [backend] });
  const config = JSON.parse(await readFile(gateway.configFile, "utf8")) as object;
  const small = async () => (await gateway.fetch("/v1/chat/completions", { ...question, model: "small" })).status;
  assert.equal(await small(), 404);
  await writeFile(gateway.configFile, JSON.stringify({ ...config, aliases: { small: "tiny" } }));
  await waitFor("the alias in every worker", async () =>
    (await Promise.all(times(20, small))).every((status) => status === 200),
  );
  await writeFile(gateway.configFile, JSON.stringify({ ...config, aliases: 7 }));
  await waitFor("the refusal", () => gateway.lines().some(({ message }) => String(message).includes("refused")));
  for (const pid of gateway.workers()) process.kill(pid, "SIGKILL");
  await waitFor("successors", () => gateway.workers().length === 4);
  assert.deepEqual(new Set(await Promise.all(times(20, small))), new Set([200]), "the last good settings");
});

// proves: workers.replaced, workers.one-answer
test("a worker that hangs keeps no connection from the others, is counted, and is replaced", options, async (t) => {
  const backend = await startFakeBackend("openai-compatible", { models: [{ id: "tiny" }] });
  t.after(() => backend.close());
  const gateway = await startWorkerGateway(t, { workers: 2, backends: [backend] });
  await Promise.all(times(40, () => chat(gateway)));
  const requests = () => metric(gateway, /^nexus_gateway_requests_total\{operation="chat/);
  assert.equal(await requests(), 40);
  const [frozen = 0] = gateway.workers();
  process.kill(frozen, "SIGSTOP");
  const answers = await Promise.all(times(20, () => chat(gateway)));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  const startedAt = performance.now();
  assert.equal(await requests(), 60, "what it had counted when it was asked last");
  assert.ok(performance.now() - startedAt < 2_000);
  await waitFor("its successor", () => gateway.workers().length === 3);
  assert.equal(await requests(), 60, "and when it has gone");
});
