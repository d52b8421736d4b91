import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { getPriority } from "node:os";
import { type TestContext, test } from "node:test";
import { childSpec, fakeChild, statusOf, superviseReal, temporaryDirectories } from "../../test/support/supervised.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { systemClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import { identify, isAlive } from "../base/process-identity.ts";
import { boundLog } from "./bounded-log.ts";
import type { ProcessExit, ProcessHandle } from "./driver.ts";
import { createProcessDriver } from "./process-driver.ts";
import { lowerPriority } from "./process-group.ts";
import { type RunRecord, writeRunRecord } from "./run-file.ts";

const options = { timeout: 60_000 };

async function setUp(t: TestContext, environment: Record<string, string | undefined> = process.env) {
  const { directories, files, logOf } = temporaryDirectories(t);
  const driver = createProcessDriver({ directories, environment, clock: systemClock, log: silentLogger });
  t.after(() => driver.close());
  const found = await driver.open();
  const spawn = async (...args: Parameters<typeof childSpec>) => {
    const handle = await driver.spawn(childSpec(...args), "digest");
    t.after(() => driver.signal(handle, "SIGKILL"));
    return handle;
  };
  const exitOf = (handle: ProcessHandle) => {
    // Nothing of the driver keeps this process alive.
    const keepAlive = setInterval(() => {}, 1_000);
    return new Promise<ProcessExit>((resolve) => driver.watch(handle, resolve)).finally(() => clearInterval(keepAlive));
  };
  return { driver, found, spawn, exitOf, directories, files, logOf };
}

test("driver: a process gets what is listed and what its spec says, and no options of Node", options, async (t) => {
  const { PATH, HOME = "/" } = process.env;
  const environment = {
    PATH,
    HOME,
    TZ: "UTC",
    HTTPS_PROXY: "http://proxy",
    NODE_OPTIONS: "--trace-warnings",
    SECRET: "s",
  };
  const { spawn, files, logOf } = await setUp(t, environment);
  await spawn("env", ["environment"], { env: { TZ: "CET", MINE: "1" } });
  await waitFor("it has started", () => logOf("env").includes("up"));
  const seen = JSON.parse(logOf("env").split("\n")[0] ?? "");
  assert.deepEqual(seen, {
    PATH,
    HOME,
    TZ: "CET",
    HTTPS_PROXY: "http://proxy",
    MINE: "1",
    NEXUS_RUN_FILE: files("env").addressFile,
  });
});

test("driver: a process leads its own session, reads from nothing and appends to its log", options, async (t) => {
  const { spawn, files, directories } = await setUp(t);
  const { pid, logFile } = await spawn("a", []);
  if (process.platform === "linux") {
    const [, , group, session] = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
    assert.deepEqual([group, session].map(Number), [pid, pid]);
    assert.deepEqual(
      [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)),
      ["/dev/null", logFile, logFile],
    );
  }
  assert.equal((await stat(files("a").runFile)).mode & 0o777, 0o600);
  assert.equal((await stat(directories.run)).mode & 0o777, 0o700);
});

test(
  "driver: a process that shall leave the processor to others does so, its threads and its session too",
  options,
  async (t) => {
    const { spawn, logOf } = await setUp(t);
    const { pid } = await spawn("polite", [], { niceness: 10 });
    await waitFor("it has started", () => logOf("polite").includes("up"));
    assert.equal(getPriority(pid), 10);
    if (process.platform !== "linux") return;
    const threads = readdirSync(`/proc/${pid}/task`);
    assert.deepEqual(new Set(threads.map((id) => getPriority(Number(id)))), new Set([10]), `${threads.length} threads`);
    if (existsSync(`/proc/${pid}/autogroup`))
      assert.match(readFileSync(`/proc/${pid}/autogroup`, "utf8"), / nice 10$/m);
    // As where it had threads before its parent got to it: on a busy machine.
    lowerPriority(pid, 15, silentLogger);
    assert.deepEqual(new Set(threads.map((id) => getPriority(Number(id)))), new Set([15]));
  },
);

test("driver: what cannot be started says why", options, async (t) => {
  const { driver, files } = await setUp(t);
  const broken = (fields: Parameters<typeof childSpec>[2]) => driver.spawn(childSpec("no", [], fields), "digest");
  await assert.rejects(broken({ command: ["/no/such/program"] }), /`\/no\/such\/program` cannot be started: .*ENOENT/);
  await assert.rejects(broken({ cwd: "/no/such/place" }), /the working directory \/no\/such\/place does not exist/);
  await assert.rejects(broken({ command: [fakeChild] }), /EACCES/);
  assert.equal(existsSync(files("no").runFile), false);
});

test("driver: the end of a child is told with its code or signal", options, async (t) => {
  const { driver, spawn, exitOf } = await setUp(t);
  assert.deepEqual(await exitOf(await spawn("crash", ["crash"])), { code: 3, signal: null });
  const killed = await spawn("killed", []);
  driver.signal(killed, "SIGKILL");
  assert.deepEqual(await exitOf(killed), { code: null, signal: "SIGKILL" });
  driver.signal(killed, "SIGKILL");
});

test("driver: a pid that belongs to another process by now is neither adopted nor signalled", options, async (t) => {
  const { directories, files, spawn } = await setUp(t);
  const stranger = await spawn("stranger", []);
  const identity = identify(stranger.pid);
  assert.ok(identity !== undefined);
  const record: RunRecord = {
    version: 1,
    name: "old",
    pid: stranger.pid,
    startTime: "an earlier process with this pid",
    startedAt: 0,
    specDigest: "digest",
    stopGraceMs: 0,
    logFile: "/dev/null",
  };
  writeRunRecord(files("old").runFile, record);
  writeRunRecord(files("true").runFile, { ...record, name: "true", startTime: identity.startTime });
  writeFileSync(files("broken").runFile, "{");
  writeRunRecord(files("misnamed").runFile, record);
  writeFileSync(files("parent").runFile, JSON.stringify(identity));

  const next = createProcessDriver({ directories, environment: {}, clock: systemClock, log: silentLogger });
  t.after(() => next.close());
  const found = await next.open();
  assert.deepEqual(found.map(({ name }) => name).sort(), ["stranger", "true"]);
  assert.ok(found.every(({ isAdopted }) => isAdopted));
  assert.deepEqual(
    ["old", "broken", "misnamed", "parent"].map((name) => existsSync(files(name).runFile)),
    [false, true, true, true],
  );
  next.signal({ ...stranger, id: `${stranger.pid}@an earlier process with this pid` }, "SIGKILL");
  assert.ok(isAlive(identity));
});

test("driver: an address is the present process's own, and must be one", options, async (t) => {
  const { driver, spawn, files } = await setUp(t);
  const { addressFile } = files("a");
  writeFileSync(addressFile, JSON.stringify({ pid: 1, url: "http://127.0.0.1:1" }));
  const handle = await spawn("a", []);
  assert.equal(await driver.address(handle), undefined);
  for (const content of ["{", "{}", JSON.stringify({ pid: 1, url: "file:///etc/passwd" })]) {
    writeFileSync(addressFile, content);
    assert.equal(await driver.address(handle), undefined);
  }
  writeFileSync(addressFile, JSON.stringify({ pid: 1, url: "http://127.0.0.1:1" }));
  assert.equal(await driver.address(handle), "http://127.0.0.1:1");
});

test("driver: a full disk costs the log and not the process", options, async (t) => {
  if (!existsSync("/dev/full")) return t.skip("no /dev/full here");
  const { spawn, directories, files } = await setUp(t);
  mkdirSync(directories.logs, { recursive: true });
  symlinkSync("/dev/full", files("full").logFile);
  const { pid } = await spawn("full", ["serve"]);
  await waitFor("it serves", () => existsSync(files("full").addressFile));
  assert.ok(identify(pid) !== undefined);
});

test(
  "driver: a log that cannot be opened, and run files that cannot be written, do not stop a process",
  options,
  async (t) => {
    const { spawn, files } = await setUp(t);
    mkdirSync(files("bad").logFile);
    mkdirSync(`${files("bad").runFile}.tmp`);
    const { pid } = await spawn("bad", ["serve"]);
    await waitFor("it serves", () => existsSync(files("bad").addressFile));
    assert.ok(identify(pid) !== undefined);
  },
);

test("driver: a log is bounded under a process that keeps writing", options, async (t) => {
  const { directories, files, logOf } = temporaryDirectories(t);
  const supervisor = superviseReal(t, directories, [childSpec("chatty", ["chatty"])]);
  await supervisor.start();
  await statusOf(supervisor, "chatty", ({ state }) => state === "running");
  const { logFile } = files("chatty");
  await waitFor("it has written much", () => logOf("chatty").length > 200_000);
  assert.equal(await boundLog(logFile, 100_000, silentLogger), true);
  assert.equal(readFileSync(`${logFile}.1`).length, 100_000);
  await waitFor("it goes on", () => logOf("chatty").length > 10_000);
  // It goes on at the new end of the same file: no hole in front, and in order.
  const lines = logOf("chatty").split("\n").slice(1, -1);
  const numbers = lines.map((line) => Number(/^line (\d+) x/.exec(line)?.[1]));
  assert.ok(numbers.every((number, index) => index === 0 || number === (numbers[index - 1] ?? 0) + 1));
});
