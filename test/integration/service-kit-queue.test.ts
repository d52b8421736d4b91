import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventStream, type Handler, json, type ServiceLimits } from "../../src/service-kit/index.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { goodService } from "../fakes/good-service.ts";
import { leastOf } from "../support/least-of.ts";
import { chat, recordingLogger, runInTest } from "../support/run-in-test.ts";
import { waitFor } from "../support/wait-for.ts";

/** A chat service whose handler says when it was entered and ends when the test lets it. */
function gated(slots: number, limits: Partial<ServiceLimits> = {}) {
  const entered: { user: string; signal: AbortSignal; finish: () => void }[] = [];
  let waiting: (() => void)[] = [];
  const handler: Handler = async ({ body, signal }) => {
    const gate = Promise.withResolvers<void>();
    entered.push({ user: String(body.user), signal, finish: gate.resolve });
    for (const resolve of waiting.splice(0)) resolve();
    signal.addEventListener("abort", () => gate.reject(signal.reason), { once: true });
    await gate.promise;
    return json({ user: body.user });
  };
  const service = goodService({
    handlers: { "chat.completions.create": handler },
    capabilities: { domains: ["chat", "embedding"], streaming: true, max_concurrency: slots },
    limits,
  });
  return {
    service,
    entered,
    /** Resolves once `count` handlers have been entered. */
    async enteredBy(count: number) {
      while (entered.length < count) {
        await new Promise<void>((resolve) => {
          waiting = [...waiting, resolve];
        });
      }
      const last = entered[count - 1];
      assert.ok(last);
      return last;
    },
  };
}

/** Asks until the gauge has the value. */
async function untilGauge(t: TestContext, url: string, name: string, value: number): Promise<void> {
  const line = new RegExp(`^${name} ${value}$`, "m");
  await waitFor(`${name} ${value}`, async () =>
    line.test(await (await fetch(`${url}/metrics`, { signal: t.signal })).text()),
  );
}

const options = { timeout: 60_000 };

test("slots are held to, waiters enter in their order, and the health check needs no slot", options, async (t) => {
  const { service, entered, enteredBy } = gated(1);
  const { url } = await runInTest(t, service);
  const answers = [];
  for (const user of ["a", "b", "c"]) {
    answers.push(chat(url, { user }));
    await untilGauge(t, url, "nexus_service_queue_depth", answers.length - 1);
  }
  assert.deepEqual(
    entered.map(({ user }) => user),
    ["a"],
  );
  assert.equal((await fetch(`${url}/health`)).status, 200);
  for (let turn = 1; turn <= 3; turn++) {
    (await enteredBy(turn)).finish();
    assert.deepEqual(await (await answers[turn - 1])?.json(), { user: ["a", "b", "c"][turn - 1] });
  }
  assert.deepEqual(
    entered.map(({ user }) => user),
    ["a", "b", "c"],
  );
});

// proves: llm.queue
test("beyond the queue it is 429 with Retry-After, and a place that becomes free is taken", options, async (t) => {
  const { service, enteredBy } = gated(1, { queueMax: 1 });
  const { url } = await runInTest(t, service);
  const first = chat(url, { user: "a" });
  await enteredBy(1);
  const second = chat(url, { user: "b" });
  await untilGauge(t, url, "nexus_service_queue_depth", 1);
  const third = await chat(url, { user: "c" });
  assert.equal(third.status, 429);
  assert.match(third.headers.get("retry-after") ?? "", /^[1-9]\d?$/);
  assert.equal(((await third.json()) as { error: { code: string } }).error.code, "queue_full");
  (await enteredBy(1)).finish();
  (await enteredBy(2)).finish();
  assert.deepEqual([(await first).status, (await second).status], [200, 200]);
});

test("a waiter whose client leaves is dropped at once and never handled", options, async (t) => {
  const { service, entered, enteredBy } = gated(1);
  const { log, seen } = recordingLogger();
  const { url } = await runInTest(t, service, { log });
  const first = chat(url, { user: "a" });
  await enteredBy(1);
  const leaving = new AbortController();
  const second = chat(url, { user: "b" }, { signal: leaving.signal }).catch(() => "left");
  await untilGauge(t, url, "nexus_service_queue_depth", 1);
  leaving.abort();
  assert.equal(await second, "left");
  await untilGauge(t, url, "nexus_service_queue_depth", 0);
  assert.equal((await seen((line) => line.status === 499)).code, "client_closed");
  const third = chat(url, { user: "c" });
  await untilGauge(t, url, "nexus_service_queue_depth", 1);
  entered[0]?.finish();
  (await enteredBy(2)).finish();
  await Promise.all([first, third]);
  assert.deepEqual(
    entered.map(({ user }) => user),
    ["a", "c"],
  );
});

test("a client that leaves aborts its handler, and the slot is free again", options, async (t) => {
  const { service, enteredBy } = gated(1);
  const { url } = await runInTest(t, service);
  const leaving = new AbortController();
  const first = chat(url, { user: "a" }, { signal: leaving.signal }).catch(() => "left");
  const { signal } = await enteredBy(1);
  leaving.abort();
  assert.equal(await first, "left");
  await untilGauge(t, url, "nexus_service_slots_active", 0);
  assert.equal((signal.reason as { code: string }).code, "client_closed");
  const second = chat(url, { user: "b" });
  (await enteredBy(2)).finish();
  assert.equal((await second).status, 200);
});

test("a client that leaves a stream ends the generator, its finally included", options, async (t) => {
  const finished = Promise.withResolvers<number>();
  const handler: Handler = ({ signal }) =>
    eventStream(
      (async function* () {
        let made = 0;
        try {
          for (;;) {
            signal.throwIfAborted();
            yield { made: made++ };
            await new Promise((resolve) => setImmediate(resolve));
          }
        } finally {
          finished.resolve(made);
        }
      })(),
    );
  const { url } = await runInTest(t, goodService({ handlers: { "chat.completions.create": handler } }));
  const leaving = new AbortController();
  const response = await chat(url, { stream: true }, { signal: leaving.signal });
  await response.body?.getReader().read();
  leaving.abort();
  assert.ok((await finished.promise) > 0);
  await untilGauge(t, url, "nexus_service_slots_active", 0);
});

// proves: contract.readyz
test(
  "while the service is not ready its work is refused, with the reason and when to come back",
  options,
  async (t) => {
    const loaded = Promise.withResolvers<void>();
    const { url } = await runInTest(
      t,
      goodService({
        start: async (context) => {
          context.check("model", { status: "pending", reason: "downloading" });
          context.progress(0.25, 12.2);
          await loaded.promise;
          context.check("model", { status: "ok" });
        },
      }),
    );
    const early = await chat(url);
    assert.equal(early.status, 503);
    assert.equal(early.headers.get("retry-after"), "13");
    assert.equal(((await early.json()) as { error: { code: string } }).error.code, "not_ready");
    const starting = await fetch(`${url}/readyz`);
    assert.equal(starting.status, 503);
    assert.deepEqual(await starting.json(), {
      ready: false,
      state: "starting",
      checks: { start: { status: "pending", reason: "starting" }, model: { status: "pending", reason: "downloading" } },
      progress: 0.25,
      eta_seconds: 12.2,
    });
    loaded.resolve();
    await waitFor("it is ready", async () => (await fetch(`${url}/readyz`, { signal: t.signal })).status === 200);
    assert.equal((await chat(url)).status, 200);
  },
);

test("a start that throws leaves the service up and failed, with the reason", options, async (t) => {
  const start = () => {
    throw new Error("no model could be loaded");
  };
  const { url } = await runInTest(t, goodService({ start }));
  const report = (await (await fetch(`${url}/readyz`)).json()) as { state: string; checks: { start: object } };
  assert.equal(report.state, "failed");
  assert.deepEqual(report.checks.start, { status: "failed", reason: "no model could be loaded" });
  assert.equal((await fetch(`${url}/health`)).status, 200);
  assert.equal((await chat(url)).status, 503);
});

// proves: contract.health
test("the health check answers within 100 ms, whatever is wrong", options, async (t) => {
  const { service, enteredBy } = gated(1, { queueMax: 1 });
  const busy = await runInTest(t, service);
  const held = [chat(busy.url, { user: "a" })];
  const { finish } = await enteredBy(1);
  held.push(chat(busy.url, { user: "b" }));
  await untilGauge(t, busy.url, "nexus_service_queue_depth", 1);
  const failed = await runInTest(t, goodService({ start: () => Promise.reject(new Error("no model")) }));
  const starting = await runInTest(
    t,
    goodService({ start: ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())) }),
  );
  for (const { url } of [busy, failed, starting]) {
    const least = await leastOf(5, async () => {
      const start = performance.now();
      assert.equal((await fetch(`${url}/health`)).status, 200);
      return performance.now() - start;
    });
    assert.ok(least < 100, `${least} ms`);
  }
  finish();
  (await enteredBy(2)).finish();
  await Promise.all(held);
});

test("Retry-After follows how long requests hold their slot", options, async (t) => {
  const clock = new FakeClock();
  const { service, enteredBy } = gated(1, { queueMax: 0 });
  const { url } = await runInTest(t, service, { clock });
  const first = chat(url, { user: "a" });
  const slot = await enteredBy(1);
  await clock.tick(7_500);
  slot.finish();
  await first;
  const second = chat(url, { user: "b" });
  const held = await enteredBy(2);
  assert.equal((await chat(url, { user: "c" })).headers.get("retry-after"), "8");
  held.finish();
  await second;
});

test("a flood of giant bodies is refused before it fills the memory, and its end is felt", options, async (t) => {
  const { service, enteredBy } = gated(1, { bodyBytesMax: 64 * 1024 });
  const { url } = await runInTest(t, service);
  const giant = { padding: "x".repeat(60 * 1024) };
  const held = [chat(url, { user: "0", ...giant })];
  await enteredBy(1);
  for (let waiting = 1; waiting <= 3; waiting++) {
    held.push(chat(url, { user: String(waiting), ...giant }));
    await untilGauge(t, url, "nexus_service_queue_depth", waiting);
  }
  const refused = await chat(url, giant);
  assert.equal(refused.status, 429);
  assert.match(await refused.text(), /Too many large requests/);
  for (let turn = 1; turn <= 4; turn++) (await enteredBy(turn)).finish();
  for (const answer of held) assert.equal((await answer).status, 200);
  const next = chat(url, giant);
  (await enteredBy(5)).finish();
  assert.equal((await next).status, 200);
});
