import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { identify, isAlive } from "../../src/base/process-identity.ts";
import { findOrphans } from "../../src/supervisor/find-orphans.ts";
import type { ProcessSpec } from "../../src/supervisor/process-spec.ts";
import type { ProcessStatus } from "../../src/supervisor/process-status.ts";
import { leastOf } from "../support/least-of.ts";
import { childSpec, statusOf, superviseReal, temporaryDirectories } from "../support/supervised.ts";
import { waitFor } from "../support/wait-for.ts";

const options = { timeout: 60_000 };
const serving = { health: { path: "/health" }, ready: { path: "/readyz" }, graceMs: 2_000 };
const isReady = ({ isReady }: ProcessStatus) => isReady === true;

/** Zombies do not: whose parent was killed waits for init to be reaped, which may take its time. */
function isRunning(pid: number): boolean {
  const identity = identify(pid);
  return identity !== undefined && isAlive(identity);
}

function pidOf({ pid }: ProcessStatus): number {
  assert.ok(pid !== undefined);
  return pid;
}

test("a crashed process is back within a second plus its own start", options, async (t) => {
  const { directories } = temporaryDirectories(t);
  const supervisor = superviseReal(t, directories, [childSpec("llm", ["serve"], serving)]);
  await supervisor.start();
  const first = await statusOf(supervisor, "llm", isReady);
  assert.match(first.url ?? "", /^http:\/\/127\.0\.0\.1:\d+$/);

  let now = first;
  const backMs = await leastOf(2, async () => {
    const { pid: killed, restarts } = now;
    const killedMs = performance.now();
    process.kill(pidOf(now), "SIGKILL");
    const next = await statusOf(supervisor, "llm", ({ pid }) => pid !== undefined && pid !== killed);
    const tookMs = performance.now() - killedMs;
    assert.equal(next.reason, "was ended by SIGKILL");
    now = await statusOf(supervisor, "llm", isReady);
    assert.equal(now.restarts, restarts + 1);
    return tookMs;
  });
  t.diagnostic(`a new process after ${backMs.toFixed(0)} ms`);
  assert.ok(backMs < 1_000);
  assert.notEqual(now.url, first.url);
});

test("a crash loop ends as failed after five restarts; the log tells why", options, async (t) => {
  const { directories, logOf, files } = temporaryDirectories(t);
  const supervisor = superviseReal(t, directories, [childSpec("bad", ["crash"])]);
  await supervisor.start();
  const failed = await statusOf(supervisor, "bad", ({ state }) => state === "failed");
  assert.equal(failed.reason, "exited with code 3");
  assert.equal(failed.restarts, 5);
  assert.equal(logOf("bad"), "crashing\n".repeat(6));
  assert.equal(existsSync(files("bad").runFile), false);
});

test("a hung process is replaced", options, async (t) => {
  const { directories } = temporaryDirectories(t);
  // Long enough for a busy machine to bring the second one up, or that would be taken for hung too.
  const supervisor = superviseReal(t, directories, [childSpec("llm", ["serve"], { ...serving, graceMs: 4_000 })]);
  await supervisor.start();
  const first = await statusOf(supervisor, "llm", isReady);
  process.kill(pidOf(first), "SIGSTOP");
  const unready = await statusOf(supervisor, "llm", ({ isReady }) => isReady === false);
  assert.equal(unready.pid, first.pid);
  const second = await statusOf(supervisor, "llm", (status) => isReady(status) && status.pid !== first.pid);
  assert.match(second.reason ?? "", /3 liveness checks in a row.*no answer within 1000 ms/);
  assert.equal(isRunning(pidOf(first)), false);
});

test("a process that ignores SIGTERM is killed with all that it started", options, async (t) => {
  const { directories, logOf } = temporaryDirectories(t);
  const supervisor = superviseReal(t, directories, [childSpec("deaf", ["deaf", "family"], { stopGraceMs: 300 })]);
  await supervisor.start();
  const leader = pidOf(await statusOf(supervisor, "deaf", ({ state }) => state === "running"));
  await waitFor("it runs", () => /child \d+\nup/.test(logOf("deaf")));
  const child = Number(/child (\d+)/.exec(logOf("deaf"))?.[1]);
  assert.ok(isRunning(child));

  const stopMs = performance.now();
  await supervisor.stop();
  const tookMs = performance.now() - stopMs;
  assert.ok(tookMs >= 300 && tookMs < 5_000, `${tookMs} ms`);
  assert.equal(isRunning(leader), false);
  await waitFor("its end", () => !isRunning(child));
});

test("what a crashed leader leaves behind goes before it is started again", options, async (t) => {
  const { directories, logOf } = temporaryDirectories(t);
  const supervisor = superviseReal(t, directories, [childSpec("leader", ["family"])]);
  await supervisor.start();
  const { pid } = await statusOf(supervisor, "leader", ({ state }) => state === "running");
  await waitFor("it runs", () => /child \d+\nup/.test(logOf("leader")));
  const child = Number(/child (\d+)/.exec(logOf("leader"))?.[1]);
  process.kill(pid ?? 0, "SIGKILL");
  await statusOf(supervisor, "leader", ({ restarts }) => restarts === 1);
  await waitFor("its end", () => !isRunning(child));
});

test("SIGTERM lets a process finish", options, async (t) => {
  const { directories, logOf, files } = temporaryDirectories(t);
  const supervisor = superviseReal(t, directories, [childSpec("polite", [])]);
  await supervisor.start();
  await waitFor("it runs", () => existsSync(files("polite").logFile) && logOf("polite").includes("up"));
  await supervisor.stop();
  assert.equal(logOf("polite"), "up\ndrained\n");
  assert.equal(existsSync(files("polite").runFile), false);
});

test("a changed spec replaces the process, and never are there two", options, async (t) => {
  const { directories, logOf } = temporaryDirectories(t);
  const supervisor = superviseReal(t, directories, [childSpec("llm", ["serve"], serving)]);
  await supervisor.start();
  const first = await statusOf(supervisor, "llm", isReady);
  supervisor.set([childSpec("llm", ["serve", "environment"], { ...serving, env: { LEVEL: "debug" } })]);
  const second = await statusOf(supervisor, "llm", ({ pid }) => pid !== undefined && pid !== first.pid);
  assert.equal(isRunning(pidOf(first)), false);
  await statusOf(supervisor, "llm", isReady);
  assert.match(logOf("llm"), /up\ndrained\n.*"LEVEL":"debug"/s);
  assert.equal(second.restarts, 0);
});

/** Lets a parent of its own start the specs, kills it with SIGKILL and answers with its last statuses. */
async function startAndKillParent(t: TestContext, directories: object, specs: readonly ProcessSpec[], env = {}) {
  const script = resolve(import.meta.dirname, "../fakes/fake-parent.ts");
  const parent = spawn(process.execPath, [script, JSON.stringify({ directories, specs })], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  t.after(() => parent.kill("SIGKILL"));
  let statuses: ProcessStatus[] = [];
  for await (const line of createInterface(parent.stdout)) {
    statuses = JSON.parse(line);
    if (statuses.length > 0 && statuses.every(({ isReady }) => isReady === true)) break;
  }
  parent.kill("SIGKILL");
  await once(parent, "exit");
  return statuses;
}

test("processes outlive a killed parent, and the next one adopts, replaces and stops them", options, async (t) => {
  const { directories, files } = temporaryDirectories(t);
  const specs = ["same", "changed", "left"].map((name) => childSpec(name, ["serve"], serving));
  const before = new Map((await startAndKillParent(t, directories, specs)).map((each) => [each.name, each]));
  const pids = [...before.values()].map(pidOf);
  assert.equal(pids.length, 3);
  assert.ok(pids.every(isRunning), "they live without their parent");

  const changed = childSpec("changed", ["serve"], { ...serving, env: { NEW: "1" } });
  const supervisor = superviseReal(t, directories, [childSpec("same", ["serve"], serving), changed]);
  await supervisor.start();
  const same = await statusOf(supervisor, "same", isReady);
  const { pid, startedAt, url } = same;
  assert.deepEqual(
    { pid, startedAt, url, isAdopted: same.isAdopted },
    { ...pick(before.get("same")), isAdopted: true },
  );
  const replaced = await statusOf(supervisor, "changed", (status) => isReady(status) && !status.isAdopted);
  assert.notEqual(replaced.pid, before.get("changed")?.pid);
  await waitFor("it is forgotten", () => supervisor.status().every(({ name }) => name !== "left"));
  assert.equal(existsSync(files("left").runFile), false);

  // The end of an adopted process is no event, and is noticed all the same.
  process.kill(pidOf(same), "SIGKILL");
  const again = await statusOf(supervisor, "same", (status) => isReady(status) && !status.isAdopted);
  assert.equal(again.restarts, 1);
  await supervisor.stop();
  assert.ok(pids.every((each) => !isRunning(each)));
});

test("a next parent ends what an earlier one left without a record", options, async (t) => {
  if (process.platform !== "linux") return t.skip("needs /proc");
  const { directories, files, logOf } = temporaryDirectories(t);
  const specs = [childSpec("unrecorded", ["serve"], serving), childSpec("family", ["family", "serve"], serving)];
  const before = await startAndKillParent(t, directories, specs);
  const [unrecorded = 0, leader = 0] = before.map(pidOf);
  const child = Number(/child (\d+)/.exec(logOf("family"))?.[1]);
  // As if its parent had been killed just before it wrote this.
  rmSync(files("unrecorded").runFile);
  process.kill(leader, "SIGKILL");
  await waitFor("its end", () => !isRunning(leader));
  assert.deepEqual([unrecorded, child].map(isRunning), [true, true]);
  assert.deepEqual([...findOrphans(directories.run)].sort(), ["family", "unrecorded"]);

  const supervisor = superviseReal(t, directories, specs);
  await supervisor.start();
  assert.deepEqual([unrecorded, child].map(isRunning), [false, false]);
  const fresh = await statusOf(supervisor, "unrecorded", isReady);
  assert.equal(fresh.isAdopted, false);
});

test("a parent that was started from within a process it once supervised does not end itself", options, async (t) => {
  const { directories, files } = temporaryDirectories(t);
  const specs = [childSpec("llm", ["serve"], serving)];
  const env = { NEXUS_RUN_FILE: files("terminal").addressFile };
  const [llm] = await startAndKillParent(t, directories, specs, env);
  assert.equal(llm?.isReady, true);
  const supervisor = superviseReal(t, directories, specs);
  await supervisor.start();
});

function pick(status: ProcessStatus | undefined) {
  return { pid: status?.pid, startedAt: status?.startedAt, url: status?.url };
}
