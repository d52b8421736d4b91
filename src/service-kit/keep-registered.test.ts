import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { RecordingRegistry } from "../../test/fakes/recording-registry.ts";
import { makeRecord } from "../../test/support/records.ts";
import { silentLogger } from "../base/logger.ts";
import { keepRegistered } from "./keep-registered.ts";

function setUp(prepare: (registry: RecordingRegistry) => void = () => {}) {
  const registry = new RecordingRegistry();
  prepare(registry);
  const clock = new FakeClock();
  let version = 1;
  const kept = keepRegistered({
    registry,
    record: () => makeRecord({ labels: { version: String(version) } }),
    ttlMs: 9_000,
    clock,
    log: silentLogger,
    random: () => 1,
  });
  const versions = () => registry.calls.flatMap(({ record }) => (record === undefined ? [] : record.labels?.version));
  return {
    ...{ registry, clock, kept, versions },
    set: (next: number) => {
      version = next;
      kept.changed();
    },
  };
}

// proves: contract.registers
test("registers at once and renews every third of the lease", async () => {
  const { registry, clock, kept } = setUp();
  await clock.tick(0);
  assert.deepEqual(registry.names(), ["register"]);
  await clock.tick(2_999);
  assert.deepEqual(registry.names(), ["register"]);
  await clock.tick(6_001);
  assert.deepEqual(registry.names(), ["register", "renew", "renew", "renew"]);
  await kept.stop();
});

test("the lease's own term decides, not the one that was asked for", async () => {
  const { registry, clock, kept } = setUp((it) => it.grant(3_000));
  await clock.tick(1_000);
  assert.deepEqual(registry.names(), ["register", "renew"]);
  await kept.stop();
});

test("a change is written at once, and changes during a call are written once", async () => {
  const { registry, clock, set, kept, versions } = setUp();
  await clock.tick(0);
  set(2);
  set(3);
  await clock.tick(0);
  assert.deepEqual(registry.names(), ["register", "rewrite"]);
  const gate = Promise.withResolvers<void>();
  registry.behave = () => gate.promise;
  set(4);
  await clock.tick(0);
  set(5);
  set(6);
  await clock.tick(0);
  assert.deepEqual(versions(), ["1", "3", "4"]);
  gate.resolve();
  await clock.tick(0);
  assert.deepEqual(versions(), ["1", "3", "4", "6"]);
  await kept.stop();
});

// proves: contract.registers
test("a lost lease is replaced at once, with the newest record", async () => {
  const { registry, clock, kept } = setUp();
  await clock.tick(0);
  registry.forget();
  await clock.tick(3_000);
  assert.deepEqual(registry.names(), ["register", "renew", "register"]);
  await clock.tick(3_000);
  assert.equal(registry.calls.at(-1)?.leaseId, "lease-2");
  await kept.stop();
});

// proves: contract.registers
test("while the registry is away the pauses double up to 5 s, and a change does not shorten them", async () => {
  const { registry, clock, set, kept } = setUp((it) => {
    it.behave = async () => {
      throw new Error("connect ECONNREFUSED");
    };
  });
  const times: number[] = [];
  const counted = () => {
    while (times.length < registry.calls.length) times.push(clock.monotonic());
  };
  for (let step = 0; step < 160; step++) {
    await clock.tick(125);
    set(step);
    counted();
  }
  const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  // The first call is made before the clock is looked at, hence 125 ms late in this list.
  assert.deepEqual(pauses.slice(1), [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  registry.behave = async () => {};
  await clock.tick(5_000);
  const last = registry.calls.at(-1);
  assert.equal(last?.name, "register");
  assert.equal(last?.record?.labels?.version, "159");
  await kept.stop();
});

test("a renewal that fails keeps its lease, and a change that failed is written again", async () => {
  const { registry, clock, set, kept, versions } = setUp();
  await clock.tick(0);
  registry.behave = async () => {
    throw new Error("away");
  };
  set(2);
  await clock.tick(0);
  registry.behave = async () => {};
  await clock.tick(250);
  assert.deepEqual(registry.names(), ["register", "rewrite", "rewrite"]);
  assert.deepEqual(versions(), ["1", "2", "2"]);
  await kept.stop();
});

test("a registry that never answers is given up after one term and asked again", async () => {
  const { registry, clock, kept } = setUp((it) => {
    it.behave = () => new Promise(() => {});
  });
  await clock.tick(8_999);
  assert.equal(registry.calls.length, 1);
  registry.behave = async () => {};
  await clock.tick(300);
  assert.deepEqual(registry.names(), ["register", "register"]);
  await kept.stop();
});

test("a record that cannot be made costs no exception and is tried again", async () => {
  const registry = new RecordingRegistry();
  const clock = new FakeClock();
  let isBroken = true;
  const record = () => {
    if (isBroken) throw new Error("models() is broken");
    return makeRecord();
  };
  const kept = keepRegistered({ registry, record, clock, log: silentLogger });
  await clock.tick(0);
  assert.deepEqual(registry.names(), []);
  isBroken = false;
  await clock.tick(250);
  assert.deepEqual(registry.names(), ["register"]);
  await kept.stop();
});

test("stop takes the record away and nothing is called afterwards", async () => {
  const { registry, clock, kept } = setUp();
  await clock.tick(0);
  await Promise.all([kept.stop(), kept.stop()]);
  kept.changed();
  await clock.tick(60_000);
  assert.deepEqual(registry.names(), ["register", "deregister"]);
  assert.equal(clock.pending, 0);
});

test("stop during the registration takes away what it made", async () => {
  const gate = Promise.withResolvers<void>();
  const { registry, clock, kept } = setUp((it) => {
    it.behave = (call) => (call.name === "register" ? gate.promise : Promise.resolve());
  });
  await clock.tick(0);
  const stopped = kept.stop();
  gate.resolve();
  await stopped;
  assert.deepEqual(registry.names(), ["register", "deregister"]);
});

test("stop waits for a silent registry 2 s and no longer", async () => {
  const { registry, clock, kept } = setUp();
  await clock.tick(0);
  registry.behave = () => new Promise(() => {});
  let isStopped = false;
  const stopped = kept.stop().then(() => {
    isStopped = true;
  });
  await clock.tick(1_999);
  assert.equal(isStopped, false);
  await clock.tick(1);
  await stopped;
});

test("stop during a long pause does not wait for its end", async () => {
  const { clock, kept, registry } = setUp((it) => {
    it.behave = async () => {
      throw new Error("away");
    };
  });
  await clock.tick(20_000);
  const calls = registry.calls.length;
  await kept.stop();
  assert.equal(registry.calls.length, calls);
});
