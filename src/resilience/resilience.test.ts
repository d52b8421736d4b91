import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { makeRecord, makeSnapshot } from "../../test/support/records.ts";
import type { RegistrySnapshot } from "../registry/registry.ts";
import { Ejection } from "./ejection.ts";
import { InstanceConditions } from "./instance-conditions.ts";
import { type ProbeResult, ReadinessMonitor } from "./readiness-monitor.ts";
import { RetryBudget } from "./retry-budget.ts";

const settings = { failures: 3, baseMs: 1_000, maxMs: 60_000 };

describe("Ejection", () => {
  const open = (clock: FakeClock) => new Ejection(settings, clock, () => 0);
  const failThrice = (ejection: Ejection) => {
    for (let i = 0; i < 3; i++) ejection.fail("reset");
  };

  it("takes out after three failures in a row, not after three in all", () => {
    const ejection = open(new FakeClock());
    ejection.fail("reset");
    ejection.fail("reset");
    ejection.succeed();
    ejection.fail("reset");
    ejection.fail("reset");
    assert.equal(ejection.reason, undefined);
    ejection.fail("reset");
    assert.match(ejection.reason ?? "", /3 failures in a row, the last: reset/);
  });

  it("lets one request try again after the time out, and holds the others until it has ended", async () => {
    const clock = new FakeClock();
    const ejection = open(clock);
    failThrice(ejection);
    await clock.tick(999);
    assert.notEqual(ejection.reason, undefined);
    await clock.tick(1);
    assert.equal(ejection.reason, undefined);
    ejection.begin();
    assert.match(ejection.reason ?? "", /being tried/);
    ejection.succeed();
    assert.equal(ejection.reason, undefined);
  });

  it("doubles the time out up to its bound, and forgets after a success", async () => {
    const clock = new FakeClock();
    const ejection = open(clock);
    failThrice(ejection);
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      await clock.tick(seconds * 1_000 - 1);
      assert.notEqual(ejection.reason, undefined, `${seconds} s`);
      await clock.tick(1);
      assert.equal(ejection.reason, undefined, `${seconds} s`);
      ejection.begin();
      ejection.fail("reset");
    }
    await clock.tick(60_000);
    ejection.begin();
    ejection.succeed();
    failThrice(ejection);
    await clock.tick(1_000);
    assert.equal(ejection.reason, undefined);
  });

  it("gives the trial back when its client left", async () => {
    const clock = new FakeClock();
    const ejection = open(clock);
    failThrice(ejection);
    await clock.tick(1_000);
    ejection.begin();
    ejection.withdraw();
    assert.equal(ejection.reason, undefined);
  });

  it("takes late failures of requests from before the ejection for no new evidence", async () => {
    const clock = new FakeClock();
    const ejection = open(clock);
    failThrice(ejection);
    await clock.tick(900);
    for (let i = 0; i < 20; i++) ejection.fail("reset");
    await clock.tick(100);
    assert.equal(ejection.reason, undefined);
  });
});

describe("RetryBudget", () => {
  it("always allows the minimum, then a share of the requests in flight", () => {
    const budget = new RetryBudget({ ratio: 0.2, min: 3 });
    const retries = [budget.tryRetry(), budget.tryRetry(), budget.tryRetry()];
    assert.ok(retries.every((retry) => retry !== undefined));
    assert.equal(budget.tryRetry(), undefined);
    for (let i = 0; i < 20; i++) budget.openRequest();
    assert.notEqual(budget.tryRetry(), undefined);
    assert.equal(budget.tryRetry(), undefined);
    retries[0]?.();
    retries[0]?.();
    assert.notEqual(budget.tryRetry(), undefined);
    assert.equal(budget.tryRetry(), undefined, "giving back twice gives back once");
  });
});

describe("RetryBudget: waiting", () => {
  it("lets retries wait in turn, and forgets those whose client left", async () => {
    const budget = new RetryBudget({ ratio: 0, min: 1 });
    const first = budget.tryRetry();
    const order: string[] = [];
    const leaver = new AbortController();
    const second = budget.waitForRetry(new AbortController().signal).then((release) => {
      order.push("second");
      return release;
    });
    const gone = budget.waitForRetry(leaver.signal);
    const third = budget.waitForRetry(new AbortController().signal).then((release) => {
      order.push("third");
      return release;
    });
    assert.equal(budget.tryRetry(), undefined);
    leaver.abort();
    assert.equal(await gone, undefined);
    first?.();
    const release = await second;
    assert.deepEqual(order, ["second"]);
    release?.();
    (await third)?.();
    assert.deepEqual(order, ["second", "third"]);
    assert.notEqual(budget.tryRetry(), undefined);
  });
});

describe("ReadinessMonitor", () => {
  function start(records: readonly ReturnType<typeof makeRecord>[]) {
    const clock = new FakeClock();
    const conditions = new InstanceConditions(settings, clock);
    let snapshot: RegistrySnapshot = makeSnapshot(records);
    const listeners = new Set<() => void>();
    const results = new Map<string, ProbeResult>();
    const probes: string[] = [];
    const changes: string[] = [];
    const monitor = new ReadinessMonitor({
      view: {
        current: () => snapshot,
        onChange: (listener) => {
          const call = () => listener(snapshot);
          listeners.add(call);
          return () => listeners.delete(call);
        },
      },
      conditions,
      probe: async (record) => {
        probes.push(record.instance);
        return results.get(record.instance) ?? { kind: "ready" };
      },
      settings: { intervalMs: 1_500, keyedIntervalMs: 15_000, failures: 2 },
      clock,
      onChange: (key, unready) => changes.push(`${key} ${unready ?? "ready"}`),
    });
    return {
      clock,
      conditions,
      results,
      probes,
      changes,
      monitor,
      replace: (next: RegistrySnapshot) => {
        snapshot = next;
        for (const listener of listeners) listener();
      },
    };
  }

  it("unroutes a refusing instance with one probe, a silent one with two, and takes it back with one", async () => {
    const { clock, results, changes, monitor } = start([makeRecord({ instance: "a" }), makeRecord({ instance: "b" })]);
    await clock.tick(0);
    results.set("a", { kind: "refused", reason: "refused" });
    results.set("b", { kind: "silent", reason: "silent" });
    await clock.tick(1_500);
    assert.deepEqual(changes, ["chat/a refused"]);
    await clock.tick(1_500);
    assert.deepEqual(changes, ["chat/a refused", "chat/b silent"]);
    results.clear();
    await clock.tick(1_500);
    assert.deepEqual(changes.slice(2).sort(), ["chat/a ready", "chat/b ready"]);
    monitor.close();
  });

  it("probes at once when asked to hurry, when a record is new and when it has changed", async () => {
    const { clock, probes, monitor, replace } = start([makeRecord({ instance: "a" })]);
    await clock.tick(0);
    monitor.hurry("chat/a");
    await clock.tick(0);
    replace(makeSnapshot([makeRecord({ instance: "a" }), makeRecord({ instance: "b" })]));
    await clock.tick(0);
    assert.deepEqual(probes, ["a", "a", "a", "b"]);
    monitor.close();
  });

  it("asks a server that needs a key less often, and at once after a failure all the same", async () => {
    const { clock, probes, monitor } = start([makeRecord({ instance: "a", secret: "env:KEY" })]);
    await clock.tick(14_999);
    assert.equal(probes.length, 1);
    await clock.tick(1);
    assert.equal(probes.length, 2);
    monitor.hurry("chat/a");
    await clock.tick(0);
    assert.equal(probes.length, 3);
    monitor.close();
  });

  it("forgets instances that left, and leaves no timer behind when closed", async () => {
    const { clock, conditions, probes, monitor, replace } = start([makeRecord({ instance: "a" })]);
    await clock.tick(0);
    conditions.of("chat/a").unready = "gone";
    replace(makeSnapshot([]));
    await clock.tick(10_000);
    assert.equal(probes.length, 1);
    assert.equal(conditions.of("chat/a").unready, undefined);
    monitor.close();
    assert.equal(clock.pending, 0);
  });
});
