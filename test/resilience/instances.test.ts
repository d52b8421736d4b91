import assert from "node:assert/strict";
import { test } from "node:test";
import { startBackendProcess } from "../support/backend-process.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { scenarioMs, sized } from "../support/size.ts";
import { waitFor } from "../support/wait-for.ts";

const question = { model: "tiny", messages: [{ role: "user", content: "hi" }], stream: true };
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What a client saw of one stream. */
interface Seen {
  readonly status: number;
  /** `whole`: ended with `[DONE]`. `told`: broke and said so. `silent`: broke without a word. */
  readonly end: "whole" | "told" | "silent" | "refused";
  readonly tookMs: number;
}

async function stream(gateway: TestGateway): Promise<Seen> {
  const startedAt = performance.now();
  const answer = await gateway.fetch("/v1/chat/completions", { body: question });
  const text = await answer.text().catch(() => "");
  const tookMs = performance.now() - startedAt;
  if (answer.status !== 200) return { status: answer.status, end: "refused", tookMs };
  const end = text.includes("[DONE]") ? "whole" : text.includes("event: error") ? "told" : "silent";
  return { status: answer.status, end, tookMs };
}

/** Streams at a steady rate, whatever becomes of them; `events[i]` happens before the i-th. */
async function streamSteadily(
  gateway: TestGateway,
  plan: { count: number; perSecond: number; events: Readonly<Record<number, () => Promise<void>>> },
): Promise<readonly Seen[]> {
  const running: Promise<Seen>[] = [];
  for (let turn = 0; turn < plan.count; turn++) {
    await plan.events[turn]?.();
    running.push(stream(gateway));
    await pause(1_000 / plan.perSecond);
  }
  return Promise.all(running);
}

function countAttempts(gateway: TestGateway, instance: string): number {
  return gateway.lines.filter(
    ({ message, fields }) => message === "attempt failed" && String(fields.instance).endsWith(`/${instance}`),
  ).length;
}

// proves: resilience.killed-instance
test("R1: of two instances one is killed under 30 streams a second, and every client is answered or told", {
  timeout: scenarioMs,
}, async (t) => {
  const count = sized(90, 3_000);
  const [a, b] = await Promise.all([
    startBackendProcess(t, { faults: { chunkDelayMs: 20 } }),
    startBackendProcess(t, { faults: { chunkDelayMs: 20 } }),
  ]);
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([recordOf(a, { instance: "a" }), recordOf(b, { instance: "b" })]);
  const seen = await streamSteadily(gateway, {
    count,
    perSecond: 30,
    events: { [Math.floor(count / 2)]: () => a.signal("SIGKILL") },
  });
  assert.equal(seen.filter(({ end }) => end === "refused").length, 0, "failed before the first byte");
  assert.equal(seen.filter(({ end }) => end === "silent").length, 0, "cut without a word");
  assert.ok(seen.filter(({ end }) => end === "told").length > 0, "the kill met nobody: the scenario proves nothing");
  assert.ok(countAttempts(gateway, "a") <= 3, "R3: under load at most three requests meet the dead instance");
});

// proves: resilience.frozen-instance
test("R2: of two instances one is frozen, and no request outlives its deadline", { timeout: scenarioMs }, async (t) => {
  const firstTokenMs = 1_500;
  const count = sized(90, 3_000);
  const [a, b] = await Promise.all([startBackendProcess(t), startBackendProcess(t)]);
  const gateway = await startTestGateway({ settings: { timeouts: { firstTokenMs, stallMs: firstTokenMs } } });
  t.after(() => gateway.close());
  gateway.view.set([recordOf(a, { instance: "a" }), recordOf(b, { instance: "b" })]);
  const seen = await streamSteadily(gateway, {
    count,
    perSecond: 30,
    events: { [Math.floor(count / 3)]: () => a.signal("SIGSTOP") },
  });
  const attempts = 2;
  const late = seen.filter(({ tookMs }) => tookMs > attempts * firstTokenMs + 1_000);
  assert.equal(late.length, 0, "outlived the deadlines of both attempts by more than a second");
  assert.equal(seen.filter(({ end }) => end === "silent").length, 0);
  assert.equal(seen.at(-1)?.end, "whole");
  await a.signal("SIGCONT");
});

// proves: resilience.unroute
test("R3: an idle gateway takes a dead instance out by itself, and takes it back", {
  timeout: scenarioMs,
}, async (t) => {
  const [a, b] = await Promise.all([startBackendProcess(t), startBackendProcess(t)]);
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([recordOf(a, { instance: "a" }), recordOf(b, { instance: "b" })]);
  const changes = (message: string) => gateway.lines.filter((line) => line.message === message).length;
  for (let turn = 0; turn < sized(1, 20); turn++) {
    const before = changes("instance unready");
    await a.signal("SIGSTOP");
    // Nobody asks anything meanwhile: the probes alone find out, within three of them.
    await waitFor("a probe", () => changes("instance unready") > before);
    assert.equal(changes("instance unready"), before + 1);
    const seen = await Promise.all(Array.from({ length: 10 }, () => stream(gateway)));
    assert.deepEqual(new Set(seen.map(({ end }) => end)), new Set(["whole"]));
    assert.equal(countAttempts(gateway, "a"), 0, "a request met the dead instance");
    const back = changes("instance ready");
    await a.signal("SIGCONT");
    await waitFor("a probe", () => changes("instance ready") > back);
    assert.equal(changes("instance ready"), back + 1);
  }
});
