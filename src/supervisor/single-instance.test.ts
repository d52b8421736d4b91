import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { acquireSingleInstance } from "./single-instance.ts";

const options = { timeout: 60_000 };

function temporaryRoot(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "nexus-lock-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  return { root, run: join(root, "run"), lock: join(root, "run", "parent.json") };
}

interface Contender {
  readonly child: ChildProcess;
  /** Lets it try; `taken` or the code of the error. */
  contend(): Promise<string>;
  kill(): Promise<unknown>;
}

async function contender(t: TestContext, root: string): Promise<Contender> {
  const script = resolve(import.meta.dirname, "../../test/fakes/fake-lock-holder.ts");
  const child = spawn(process.execPath, [script, root], { stdio: ["pipe", "pipe", "inherit"] });
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  t.after(kill);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  await lines.next();
  const contend = async () => {
    child.stdin.write("go\n");
    return String((await lines.next()).value);
  };
  return { child, contend, kill };
}

test("lock: a second platform is refused with the pid of the first and its directory", options, async (t) => {
  const { root, lock, run } = temporaryRoot(t);
  const instance = acquireSingleInstance(root);
  assert.equal(JSON.parse(readFileSync(lock, "utf8")).pid, process.pid);
  assert.throws(() => acquireSingleInstance(root), {
    name: "NexusError",
    code: "conflict",
    message: new RegExp(`pid ${process.pid}.* ${root}.`),
  });
  const other = await contender(t, root);
  assert.equal(await other.contend(), "conflict");
  instance.release();
  instance.release();
  assert.deepEqual(readdirSync(run), []);
});

test("lock: that of a killed platform is taken over", options, async (t) => {
  const { root } = temporaryRoot(t);
  const first = await contender(t, root);
  assert.equal(await first.contend(), "taken");
  assert.throws(() => acquireSingleInstance(root), { code: "conflict", message: new RegExp(`pid ${first.child.pid}`) });
  await first.kill();
  acquireSingleInstance(root).release();
});

test("lock: a live pid of another start time does not hold it, nor does a broken file", options, (t) => {
  const { root, run, lock } = temporaryRoot(t);
  mkdirSync(run);
  for (const content of [JSON.stringify({ pid: process.pid, startTime: "long ago" }), "", "{"]) {
    writeFileSync(lock, content);
    acquireSingleInstance(root).release();
    assert.equal(existsSync(lock), false);
  }
});

test("lock: of many that find a stale lock, and a stale takeover of it, exactly one gets it", options, async (t) => {
  const { root, run, lock } = temporaryRoot(t);
  mkdirSync(run);
  const contenders = await Promise.all(Array.from({ length: 6 }, () => contender(t, root)));
  const stale = JSON.stringify({ pid: process.pid, startTime: "long ago" });
  writeFileSync(lock, stale);
  writeFileSync(`${lock}.takeover`, stale);
  const results = await Promise.all(contenders.map(({ contend }) => contend()));
  assert.deepEqual(results.sort(), [...Array(5).fill("conflict"), "taken"]);
  assert.deepEqual(readdirSync(run), ["parent.json"]);
});
