import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { leastOf } from "../support/least-of.ts";
import { waitFor } from "../support/wait-for.ts";

const body = { model: "tiny", messages: [{ role: "user", content: "hi" }] };

/** Looks often; the times to answer in are for a machine that is slow and busy. */
const settings = { probes: { intervalMs: 100, timeoutMs: 2_000 }, ejection: { baseMs: 100 } };

describe("gateway: several instances", () => {
  let gateway: TestGateway;
  let a: FakeBackend;
  let b: FakeBackend;
  beforeEach(async () => {
    a = await startFakeBackend("nexus");
    b = await startFakeBackend("nexus");
    gateway = await startTestGateway({ settings });
    gateway.view.set([recordOf(a, { instance: "a" }), recordOf(b, { instance: "b" })]);
  });
  afterEach(async () => {
    await gateway.close();
    await a.close();
    await b.close();
  });

  const ask = async (extra: object = {}) => {
    const response = await gateway.fetch("/v1/chat/completions", { body: { ...body, ...extra } });
    return { status: response.status, text: await response.text(), instance: response.headers.get("x-nexus-instance") };
  };
  /** Asks one by one until an answer fits. */
  const askUntil = (fits: (answer: Awaited<ReturnType<typeof ask>>) => boolean) =>
    waitFor("an answer that fits", async () => {
      const answer = await ask();
      return fits(answer) && answer;
    });
  const isUnready = ({ lines }: TestGateway) =>
    lines.some(({ message, fields }) => message === "instance unready" && fields.instance === "chat/a");
  const generationsOf = (backend: FakeBackend) => backend.requests.filter(({ generation }) => generation).length;

  // proves: gateway.spreads
  it("shares the load between equals", async () => {
    for (let turn = 0; turn < 10; turn++) assert.equal((await ask()).status, 200);
    assert.deepEqual([generationsOf(a), generationsOf(b)], [5, 5]);
  });

  // proves: gateway.spreads
  it("sends work to the instance that has less under way", async () => {
    a.set({ faults: { stallAfterChunks: 1 } });
    const held = new AbortController();
    // Of two in a row one meets `a`, and stays there.
    const streams = await Promise.all(
      [0, 1].map(() => gateway.fetch("/v1/chat/completions", { body: { ...body, stream: true }, signal: held.signal })),
    );
    await a.until((fake) => fake.inFlight === 1);
    await b.until((fake) => fake.generations === 1 && fake.inFlight === 0);
    for (let turn = 0; turn < 10; turn++) assert.equal((await ask()).instance, "chat/b");
    held.abort();
    await Promise.all(streams.map((response) => response.text().catch(() => {})));
    await a.until((fake) => fake.inFlight === 0);
    a.set({ faults: {} });
    await askUntil(({ instance }) => instance === "chat/a");
  });

  // proves: gateway.dead-instance
  it("loses no request when an instance is killed between requests, leaves it at once and takes it back by itself", async () => {
    await ask();
    const { port } = a;
    await a.close();
    for (let turn = 0; turn < 20; turn++) {
      const answer = await ask();
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.instance, "chat/b");
    }
    const touched = gateway.lines.filter(({ message }) => message === "attempt failed").length;
    assert.ok(touched <= 3, `${touched} requests met the dead instance`);
    a = await startFakeBackend("nexus", { port });
    // It is spared at first: one by one, the other would serve them all.
    await waitFor("an answer of the one that is back", async () => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => ask()));
      return answers.some(({ instance }) => instance === "chat/a");
    });
  });

  // proves: gateway.dead-instance
  it("loses no request when an instance is killed while they are under way, before their first byte", async () => {
    a.set({ faults: { delayFirstByteMs: 300 } });
    b.set({ faults: { delayFirstByteMs: 50 } });
    const answers = Array.from({ length: 20 }, () => ask());
    await a.until((fake) => fake.inFlight > 0);
    await a.close();
    for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200, answer.text);
  });

  // proves: gateway.cut-stream, gateway.retry
  it("tells of every stream that was cut by a kill, and sends none twice after its first byte", async () => {
    // Those of the one end with it alone.
    a.set({ faults: { stallAfterChunks: 2 } });
    b.set({ faults: { chunkDelayMs: 30 } });
    const responses = await Promise.all(
      Array.from({ length: 10 }, () => gateway.fetch("/v1/chat/completions", { body: { ...body, stream: true } })),
    );
    const hit = responses.filter((response) => response.headers.get("x-nexus-instance") === "chat/a").length;
    assert.ok(hit > 0);
    await a.close();
    const texts = await Promise.all(responses.map((response) => response.text()));
    assert.equal(texts.filter((text) => text.includes("[DONE]")).length, responses.length - hit);
    assert.equal(texts.filter((text) => text.includes("event: error")).length, hit);
    assert.equal(generationsOf(a) + generationsOf(b), 10);
  });

  // proves: gateway.retry
  it("asks anew for a whole answer that broke off or stalled before the client had any of it, within the budget", async () => {
    for (const faults of [{ truncateAfterChunks: 1 }, { stallAfterChunks: 1 }]) {
      gateway.reload({ settings: { ...settings, timeouts: { stallMs: 1_000 } } });
      a.set({ faults });
      const sentBefore = generationsOf(a) + generationsOf(b);
      const answers = await Promise.all(Array.from({ length: 4 }, () => ask()));
      assert.deepEqual(
        new Set(answers.map(({ status, instance }) => `${status} ${instance}`)),
        new Set(["200 chat/b"]),
      );
      assert.ok(generationsOf(a) + generationsOf(b) - sentBefore <= 8, "nobody asks more than twice");
      a.set({ faults: {} });
      await askUntil(({ instance }) => instance === "chat/a");
    }
    gateway.reload({ settings: { ...settings, retry: { budgetRatio: 0, budgetMin: 0 } } });
    a.set({ faults: { truncateAfterChunks: 1 } });
    const { text } = await askUntil(({ status }) => status !== 200);
    assert.match(text, /backend_disconnected/);
  });

  // proves: gateway.retry
  it("goes on to another instance after a reset, an overload, a refusal and a silence", async () => {
    gateway.reload({ settings: { ...settings, timeouts: { firstTokenMs: 1_000 } } });
    for (const faults of [
      { resetBeforeHeaders: true },
      { status: { status: 503, body: { error: { message: "loading" } } } },
      { status: { status: 429, body: {} } },
      { status: { status: 404, body: {} } },
      { status: { status: 501, body: {} } },
      { delayFirstByteMs: 60_000 },
    ]) {
      a.set({ faults });
      const answers = [await ask(), await ask()];
      for (const answer of answers) assert.equal(answer.status, 200, `${JSON.stringify(faults)}: ${answer.text}`);
    }
  });

  it("does not send a request that crashes a server to the next one", async () => {
    for (const fake of [a, b]) fake.set({ faults: { status: { status: 500, body: {} } } });
    assert.equal((await ask()).status, 502);
    assert.equal(generationsOf(a) + generationsOf(b), 1);
  });

  it("reads 501 as doing other things, not as broken", async () => {
    a.set({ faults: { status: { status: 501, body: {} } } });
    for (let turn = 0; turn < 20; turn++) assert.equal((await ask()).instance, "chat/b");
    assert.ok(generationsOf(a) >= 8, `asked ${generationsOf(a)} times of 20`);
    b.set({ faults: { status: { status: 501, body: {} } } });
    const { status, text } = await ask();
    assert.equal(status, 400, text);
    assert.match(text, /unsupported_feature/);
  });

  it("reads 429 as busy, not as broken, and passes the time to wait on", async () => {
    for (const fake of [a, b])
      fake.set({ faults: { status: { status: 429, body: {}, headers: { "retry-after": "7" } } } });
    for (let turn = 0; turn < 5; turn++) {
      const response = await gateway.fetch("/v1/chat/completions", { body });
      assert.equal(response.status, 429);
      assert.equal(response.headers.get("retry-after"), "7");
      await response.text();
    }
  });

  it("waits for instances that ask for a moment's patience", async () => {
    for (const fake of [a, b]) {
      fake.set({ faults: { times: 1, status: { status: 429, body: {}, headers: { "retry-after": "1" } } } });
    }
    assert.equal((await ask()).status, 429);
    assert.equal((await ask()).status, 200);
  });

  it("unroutes an instance that freezes without a request having to find out", async () => {
    await ask();
    a.set({ frozen: true });
    await waitFor("somebody to notice", () => isUnready(gateway));
    const before = generationsOf(a);
    for (let turn = 0; turn < 4; turn++) assert.equal((await ask()).instance, "chat/b");
    assert.equal(generationsOf(a), before);
  });

  // proves: gateway.none-left
  it("answers 503 with Retry-After while nothing works, and by itself serves again", async () => {
    const { port } = a;
    await a.close();
    await b.close();
    const answer = await askUntil(({ status }) => status === 503);
    assert.match(answer.text, /no_instance_available/);
    const least = await leastOf(5, async () => {
      const start = performance.now();
      const response = await gateway.fetch("/v1/chat/completions", { body });
      await response.text();
      assert.equal(response.headers.get("retry-after"), "2");
      return performance.now() - start;
    });
    assert.ok(least < 100, `${least} ms`);
    a = await startFakeBackend("nexus", { port });
    await askUntil(({ status }) => status === 200);
  });

  it("sends again over a fresh connection when the only instance closed an idle one", async () => {
    gateway.view.set([recordOf(a, { instance: "a" })]);
    await ask();
    a.set({ faults: { resetBeforeHeaders: true, times: 1 } });
    assert.equal((await ask()).status, 200);
  });

  it("asks an instance at once after a request has failed there, whenever its next probe would be", async () => {
    const patient = await startTestGateway({
      settings: { probes: { intervalMs: 600_000 }, ejection: { failures: 1_000 } },
    });
    try {
      patient.view.set([recordOf(a, { instance: "a" }), recordOf(b, { instance: "b" })]);
      // Its first probes, which come by themselves, are over after these.
      for (let turn = 0; turn < 6; turn++) await (await patient.fetch("/v1/chat/completions", { body })).text();
      await a.close();
      for (let turn = 0; turn < 2; turn++) {
        const response = await patient.fetch("/v1/chat/completions", { body });
        assert.equal(response.status, 200, await response.text());
      }
      await waitFor("somebody to notice", () => isUnready(patient));
    } finally {
      await patient.close();
    }
  });

  it("asks for patience while the only service of a model is gone from the registry for a moment", async () => {
    assert.equal((await ask()).status, 200);
    gateway.view.set([]);
    const away = await ask();
    assert.equal(away.status, 503, away.text);
    assert.equal((await ask({ model: "never-seen" })).status, 404);
    gateway.view.set([recordOf(a, { instance: "a" })]);
    assert.equal((await ask()).status, 200);
  });

  it("routes to a new instance as soon as it is registered, and away from one that left", async () => {
    gateway.view.set([recordOf(b, { instance: "b" })]);
    for (let turn = 0; turn < 4; turn++) assert.equal((await ask()).instance, "chat/b");
    gateway.view.set([recordOf(a, { instance: "a" })]);
    assert.equal((await ask()).instance, "chat/a");
  });
});
