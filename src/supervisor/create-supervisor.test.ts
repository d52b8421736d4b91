import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { FakeDriver, fakeHandle } from "../../test/fakes/fake-driver.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import { createSupervisor } from "./create-supervisor.ts";
import type { ProcessHandle } from "./driver.ts";
import { type ProcessSpec, specDigest } from "./process-spec.ts";

function spec(name: string, fields: Partial<ProcessSpec> = {}): ProcessSpec {
  return { name, command: [name], env: {}, cwd: "/", graceMs: 1_000, stopGraceMs: 5_000, ...fields };
}

function setUp(names: readonly string[], left: readonly ProcessHandle[] = [], log: Logger = silentLogger) {
  const clock = new FakeClock();
  const driver = new FakeDriver(left);
  const specs = names.map((name) => spec(name));
  const supervisor = createSupervisor({ specs, driver, clock, log, random: () => 0 });
  const states = () => Object.fromEntries(supervisor.status().map(({ name, state }) => [name, state]));
  return { clock, driver, supervisor, states };
}

test("supervisor: starts in order, stops in reverse, one after the other", async () => {
  const { clock, driver, supervisor, states } = setUp(["a", "b", "c"]);
  driver.deaf.add("b");
  assert.deepEqual(states(), { a: "stopped", b: "stopped", c: "stopped" });
  await supervisor.start();
  await clock.tick(0);
  assert.deepEqual(states(), { a: "running", b: "running", c: "running" });

  const stopped = supervisor.stop();
  await clock.tick(4_999);
  assert.deepEqual(driver.calls, ["spawn a", "spawn b", "spawn c", "SIGTERM c", "SIGTERM b"]);
  await clock.tick(1);
  await stopped;
  assert.deepEqual(driver.calls.slice(5), ["SIGKILL b", "SIGTERM a", "close"]);
  assert.deepEqual(states(), { a: "stopped", b: "stopped", c: "stopped" });
  assert.equal(clock.pending, 0);
});

test("supervisor: stop is bounded when a process cannot be killed, and says so", async () => {
  const errors: string[] = [];
  const log: Logger = { ...silentLogger, error: (_, message) => errors.push(message), child: () => log };
  const { clock, driver, supervisor } = setUp(["stuck", "other"], [], log);
  await supervisor.start();
  await clock.tick(0);
  driver.signal = (process, signal) => {
    driver.calls.push(`${signal} ${process.name}`);
    if (process.name === "other") driver.end("other");
  };
  const stopped = supervisor.stop();
  await clock.tick(7_000);
  await stopped;
  assert.deepEqual(driver.live, ["stuck"]);
  assert.deepEqual(errors, ["survived SIGKILL and is left behind"]);
});

test("supervisor: stop waits for nothing where nothing runs", async () => {
  const { clock, driver, supervisor } = setUp(["a"]);
  driver.broken.add("a");
  await supervisor.start();
  await clock.tick(1_000);
  await supervisor.stop();
  assert.equal(clock.pending, 0);
});

test("supervisor: a crashed process is back at once; the others are not touched", async () => {
  const { clock, driver, supervisor } = setUp(["a", "b"]);
  await supervisor.start();
  await clock.tick(0);
  driver.end("a");
  await clock.tick(1);
  assert.deepEqual(driver.calls, ["spawn a", "spawn b", "spawn a"]);
  const [a] = supervisor.status();
  assert.equal(a?.state, "running");
  assert.equal(a?.restarts, 1);
  assert.equal(a?.reason, "exited with code 1");
});

test("supervisor: what cannot be started fails after five restarts, loudly, and restart tries again", async () => {
  const errors: string[] = [];
  const log: Logger = { ...silentLogger, error: (_, message) => errors.push(message), child: () => log };
  const { clock, driver, supervisor, states } = setUp(["a"], [], log);
  driver.broken.add("a");
  await supervisor.start();
  await clock.tick(3_600_000);
  assert.deepEqual(states(), { a: "failed" });
  assert.equal(driver.calls.length, 6);
  assert.equal(errors.length, 1);
  assert.match(errors[0] ?? "", /FAILED/);

  driver.broken.clear();
  supervisor.restart("a");
  await clock.tick(0);
  assert.deepEqual(states(), { a: "running" });
  assert.equal(supervisor.status()[0]?.restarts, 0);
});

test("supervisor: adopts what fits, replaces what changed, stops what is not wanted", async () => {
  const same = fakeHandle({ name: "same", pid: 1, specDigest: specDigest(spec("same")), isAdopted: true });
  const changed = fakeHandle({ name: "changed", pid: 2, specDigest: "of an older spec", isAdopted: true });
  const left = fakeHandle({ name: "left", pid: 3, isAdopted: true });
  const { clock, driver, supervisor, states } = setUp(["same", "changed", "new"], [same, changed, left]);
  await supervisor.start();
  await clock.tick(0);
  assert.deepEqual(states(), { same: "running", changed: "running", new: "running" });
  assert.deepEqual(driver.calls, ["SIGTERM changed", "SIGTERM left", "spawn new", "spawn changed"]);
  assert.deepEqual(
    supervisor.status().map(({ isAdopted }) => isAdopted),
    [true, false, false],
  );
});

test("supervisor: set starts the new, stops the missing, replaces the changed, leaves the same alone", async () => {
  const { clock, driver, supervisor, states } = setUp(["same", "changed", "gone"]);
  await supervisor.start();
  await clock.tick(0);
  driver.calls.length = 0;
  supervisor.set([spec("new"), spec("same", { graceMs: 7 }), spec("changed", { env: { LEVEL: "debug" } })]);
  await clock.tick(0);
  assert.deepEqual(states(), { new: "running", same: "running", changed: "running" });
  assert.deepEqual(driver.calls, ["SIGTERM gone", "spawn new", "SIGTERM changed", "spawn changed"]);
});

test("supervisor: what is taken away and wanted again while it still stops is started once it has gone", async () => {
  const { clock, driver, supervisor } = setUp(["a"]);
  await supervisor.start();
  await clock.tick(0);
  driver.deaf.add("a");
  supervisor.set([]);
  supervisor.set([spec("a")]);
  await clock.tick(5_000);
  assert.deepEqual(driver.calls, ["spawn a", "SIGTERM a", "SIGKILL a", "spawn a"]);
});

test("supervisor: set while it still opens neither starts twice nor is lost", async () => {
  const { clock, driver, supervisor } = setUp(["a"]);
  const started = supervisor.start();
  supervisor.set([spec("b")]);
  await started;
  await clock.tick(0);
  assert.deepEqual(driver.calls, ["spawn b"]);
});

test("supervisor: listeners hear of changes after the call, once for many, and no longer when they say so", async () => {
  const { clock, supervisor } = setUp(["a", "b"]);
  const heard: string[] = [];
  const forget = supervisor.onChange((statuses) => heard.push(statuses.map(({ state }) => state).join()));
  const started = supervisor.start();
  assert.deepEqual(heard, []);
  await started;
  await clock.tick(0);
  assert.deepEqual([heard[0], heard.at(-1)], ["starting,starting", "running,running"]);
  forget();
  const count = heard.length;
  supervisor.restart("a");
  await clock.tick(0);
  assert.equal(heard.length, count);
});

test("supervisor: probes that change nothing are not told", async () => {
  const { clock, supervisor } = setUp([]);
  supervisor.set([spec("a", { ready: { path: "/readyz" }, health: { path: "/health" }, graceMs: 60_000 })]);
  await supervisor.start();
  await clock.tick(0);
  let calls = 0;
  supervisor.onChange(() => calls++);
  await clock.tick(30_000);
  assert.equal(calls, 0);
  assert.equal(supervisor.status()[0]?.isReady, false);
});

test("supervisor: refuses what it cannot do, and says what could be done", async () => {
  const { clock, supervisor } = setUp(["a"]);
  assert.throws(() => supervisor.restart("a"), { code: "conflict" });
  await supervisor.start();
  await clock.tick(0);
  await assert.rejects(supervisor.start(), { code: "conflict" });
  assert.throws(() => supervisor.restart("b"), { code: "not_found", message: /It runs: a\./ });
  assert.throws(() => supervisor.set([spec("a"), spec("a")]), { code: "invalid_request", message: /called `a`/ });
  assert.throws(() => supervisor.set([spec("parent")]), { code: "invalid_request" });
  assert.throws(() => supervisor.set([spec("../a")]), { code: "invalid_request" });
  await supervisor.stop();
  await supervisor.stop();
  assert.throws(() => supervisor.restart("a"), { code: "conflict" });
  assert.throws(() => supervisor.set([]), { code: "conflict" });
});
