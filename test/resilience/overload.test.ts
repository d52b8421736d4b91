import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import type { FakeFaults } from "../fakes/fake-faults.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { scenarioMs, sized } from "../support/size.ts";

const slotsEach = 4;
const serviceMs = 600;
const queueMax = 24;
const overload = 10;
/** What a client waits for its answer: a full queue is worked off in less. */
const patienceMs = 10_000;
const tickMs = 20;

interface Seen {
  readonly status: number;
  /** Whole, and in time. */
  readonly isGood: boolean;
  readonly code: string | undefined;
  readonly retryAfter: string | null;
  /** On the monotonic clock. */
  readonly endedAt: number;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function ask(gateway: TestGateway): Promise<Seen> {
  const startedAt = performance.now();
  const answer = await gateway.fetch("/v1/chat/completions", {
    body: { model: "tiny", stream: true, messages: [{ role: "user", content: "hi" }] },
    headers: { "x-nexus-timeout-ms": String(patienceMs) },
  });
  const text = await answer.text();
  const endedAt = performance.now();
  const { status, headers } = answer;
  const { error } = status === 200 ? {} : (JSON.parse(text) as { error?: { code: string } });
  const isGood = status === 200 && text.includes("[DONE]") && endedAt - startedAt <= patienceMs;
  return { status, isGood, code: error?.code, retryAfter: headers.get("retry-after"), endedAt };
}

/** Good answers a second from the first request to the last good answer. */
function rateOf(seen: readonly Seen[], startedAt: number): number {
  const good = seen.filter(({ isGood }) => isGood);
  return (good.length * 1_000) / (Math.max(...good.map(({ endedAt }) => endedAt)) - startedAt);
}

/** What the slots can do on this machine: nobody is refused, and no slot is ever idle. */
async function askInTurn(gateway: TestGateway, clients: number, turns: number): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  const keepAsking = async () => {
    for (let turn = 0; turn < turns; turn++) seen.push(await ask(gateway));
  };
  await Promise.all(Array.from({ length: clients }, keepAsking));
  return seen;
}

/** Asks at a steady rate, however slowly answers come. */
async function askSteadily(gateway: TestGateway, perSecond: number, durationMs: number): Promise<readonly Seen[]> {
  const startedAt = performance.now();
  const asked: Promise<Seen>[] = [];
  for (;;) {
    const elapsedMs = performance.now() - startedAt;
    if (elapsedMs >= durationMs) return await Promise.all(asked);
    while (asked.length < (elapsedMs * perSecond) / 1_000) asked.push(ask(gateway));
    await pause(tickMs);
  }
}

/** What somebody sees who looks at the gateway all the while. */
function watch(gateway: TestGateway) {
  const watched = { health: [] as number[], slowestMs: 0, waitingMax: 0 };
  let isOver = false;
  const look = async () => {
    while (!isOver) {
      const startedAt = performance.now();
      const health = await fetch(`${gateway.url}/health`);
      await health.arrayBuffer();
      watched.slowestMs = Math.max(watched.slowestMs, performance.now() - startedAt);
      watched.health.push(health.status);
      const metrics = await gateway.metrics();
      const [, waiting] = /^nexus_gateway_requests_waiting (\d+)$/m.exec(metrics) ?? [];
      watched.waitingMax = Math.max(watched.waitingMax, Number(waiting));
      await pause(100);
    }
  };
  const looking = look();
  return async () => {
    isOver = true;
    await looking;
    return watched;
  };
}

/** Two instances that are well, and one that refuses everything: what is tried again must not add to the load. */
async function startFleet(t: TestContext) {
  const start = async (instance: string, faults: FakeFaults) => {
    const backend = await startFakeBackend("nexus", { models: [{ id: "tiny" }], words: ["ok"], faults });
    t.after(() => backend.close());
    return { backend, record: recordOf(backend, { instance, maxConcurrency: slotsEach }) };
  };
  const slow = { delayFirstByteMs: serviceMs };
  const well = [await start("a", slow), await start("b", slow)];
  const sick = await start("sick", { status: { status: 503 } });
  const gateway = await startTestGateway({ settings: { admission: { queueMax } } });
  t.after(() => gateway.close());
  return { gateway, well, sick };
}

type Fleet = Awaited<ReturnType<typeof startFleet>>;

async function runRound({ gateway, well, sick }: Fleet, durationMs: number) {
  const countAttempts = () => [...well, sick].reduce((sum, { backend }) => sum + backend.generations, 0);
  const slots = slotsEach * well.length;
  gateway.view.set(well.map(({ record }) => record));
  const calmFrom = performance.now();
  const capacity = rateOf(await askInTurn(gateway, 2 * slots, 2), calmFrom);
  gateway.view.set([...well, sick].map(({ record }) => record));
  const attemptsBefore = countAttempts();
  const stopWatching = watch(gateway);
  const stormFrom = performance.now();
  const seen = await askSteadily(gateway, (overload * slots * 1_000) / serviceMs, durationMs);
  const watched = await stopWatching();
  // What the test itself keeps is not the gateway's.
  gateway.lines.splice(0);
  return {
    ...watched,
    ratio: rateOf(seen, stormFrom) / capacity,
    good: seen.filter(({ isGood }) => isGood).length,
    refused: seen.filter(({ status }) => status !== 200),
    asked: seen.length,
    attempts: countAttempts() - attemptsBefore,
    memory: memoryNow(),
  };
}

/** What is held, in MB: without what is only waiting to be thrown away. */
function memoryNow(): { readonly heap: number; readonly rss: number } {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed / 2 ** 20, rss: rss / 2 ** 20 };
}

type Round = Awaited<ReturnType<typeof runRound>>;

function assertRefused({ refused, asked }: Round): void {
  assert.ok(refused.length > asked / 2, "few were refused: that was no overload");
  for (const { status, code, retryAfter } of refused) {
    // 503: it met the sick instance when the retry budget was spent.
    const expected = code === "no_instance_available" ? 503 : 429;
    assert.match(code ?? "", /^(?:queue_full|deadline_exceeded|no_instance_available)$/);
    assert.equal(status, expected, code);
    assert.match(retryAfter ?? "", /^[1-9]\d*$/);
  }
  const met = refused.filter(({ status }) => status === 503).length;
  assert.ok(met <= 0.05 * asked, `${met} of ${asked} were turned away by the sick instance`);
}

// proves: resilience.overload
test("R12: ten times more than the fleet can do, and it does what it can", { timeout: scenarioMs }, async (t) => {
  const fleet = await startFleet(t);
  const rounds: Round[] = [];
  for (let turn = 0; turn < sized(3, 7); turn++) {
    const round = await runRound(fleet, sized(2_500, 20_000));
    rounds.push(round);
    const { ratio, asked, good, attempts, waitingMax, slowestMs, memory } = round;
    t.diagnostic(
      `goodput ${ratio.toFixed(2)} of capacity; ${asked} asked, ${good} served with ${attempts} attempts, ` +
        `at most ${waitingMax} waited; slowest /health ${slowestMs.toFixed(0)} ms; ${memory.heap.toFixed(0)} MB held, ${memory.rss.toFixed(0)} MB RSS`,
    );
    // All slots of the sick instance are taken once before anybody knows what it is.
    assert.ok(attempts <= 1.2 * good + slotsEach, `${attempts} attempts for ${good} answers`);
    // What was let in once and met the sick instance goes back to the front of the queue, full or not.
    assert.ok(waitingMax <= queueMax + slotsEach, `${waitingMax} waited`);
    assert.ok(round.health.length > 0 && round.health.every((status) => status === 200), "/health");
    assertRefused(round);
  }
  for (const { backend } of fleet.well) assert.ok(backend.peak <= slotsEach, `${backend.peak} at once`);
  // A machine that is busy with something else for a moment spoils one round.
  const ratios = rounds.map(({ ratio }) => ratio).sort((left, right) => left - right);
  assert.ok((ratios[Math.floor(ratios.length / 2)] ?? 0) >= 0.9, `goodput by round: ${ratios.join(", ")}`);
  const [first, last] = [rounds[0]?.memory, rounds.at(-1)?.memory];
  assert.ok(first !== undefined && last !== undefined);
  assert.ok(last.heap - first.heap <= 16, `it holds ${last.heap - first.heap} MB more than after the first round`);
  assert.ok(last.rss - first.rss <= 160, `RSS grew by ${last.rss - first.rss} MB`);
});
