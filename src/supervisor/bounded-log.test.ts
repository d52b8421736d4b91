import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import { boundLog, keepLogsBounded, tailLog } from "./bounded-log.ts";

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "nexus-log-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("log: beyond its bound the end is kept aside and the file is emptied", async (t) => {
  const path = join(temporaryDirectory(t), "a.log");
  assert.equal(await boundLog(path, 4, silentLogger), false);
  writeFileSync(path, "1234");
  assert.equal(await boundLog(path, 4, silentLogger), false);
  writeFileSync(path, "123456");
  assert.equal(await boundLog(path, 4, silentLogger), true);
  assert.equal(readFileSync(path, "utf8"), "");
  assert.equal(readFileSync(`${path}.1`, "utf8"), "3456");
  writeFileSync(path, "abcdef");
  assert.equal(await boundLog(path, 4, silentLogger), true);
  assert.equal(readFileSync(`${path}.1`, "utf8"), "cdef");
});

test("log: when the copy fails it is emptied all the same", async (t) => {
  const path = join(temporaryDirectory(t), "a.log");
  writeFileSync(path, "123456");
  mkdirSync(`${path}.1`);
  const warnings: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_, message) => warnings.push(message) };
  assert.equal(await boundLog(path, 4, log), true);
  assert.equal(readFileSync(path, "utf8"), "");
  assert.equal(existsSync(`${path}.1.tmp`), false);
  assert.equal(warnings.length, 1);
});

test("log: every log of the directory is looked at every 10 s, until stopped", async (t) => {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const clock = new FakeClock();
  const stop = keepLogsBounded({ directory, clock, log: silentLogger, bytesMax: 4 });
  for (const name of ["a.log", "b.log", "c.txt"]) writeFileSync(path(name), "123456");
  await clock.tick(9_999);
  assert.equal(existsSync(path("a.log.1")), false);
  await clock.tick(1);
  await waitFor("the next look", () => clock.pending > 0);
  assert.deepEqual(
    ["a.log", "b.log", "c.txt"].map((name) => readFileSync(path(name), "utf8")),
    ["", "", "123456"],
  );
  stop();
  assert.equal(clock.pending, 0);
});

test("log: a directory that is not there is no end of looking", async () => {
  const clock = new FakeClock();
  const stop = keepLogsBounded({ directory: "/no/such/directory", clock, log: silentLogger });
  await clock.tick(10_000);
  await waitFor("the next look", () => clock.pending > 0);
  stop();
});

test("log: tail gives the last lines, from the part moved aside too", async (t) => {
  const path = join(temporaryDirectory(t), "a.log");
  assert.deepEqual(await tailLog(path, 5), []);
  writeFileSync(`${path}.1`, "1\n2\n");
  writeFileSync(path, "3\n4 é\nunfinished");
  assert.deepEqual(await tailLog(path, 0), []);
  assert.deepEqual(await tailLog(path, 2), ["4 é", "unfinished"]);
  assert.deepEqual(await tailLog(path, 4), ["2", "3", "4 é", "unfinished"]);
  assert.deepEqual(await tailLog(path, 100), ["1", "2", "3", "4 é", "unfinished"]);
});

test("log: tail of a large log reads its end only and begins with a whole line", async (t) => {
  const path = join(temporaryDirectory(t), "a.log");
  writeFileSync(path, `${"x".repeat(99)}\n`.repeat(50_000));
  const lines = await tailLog(path, 1_000_000);
  assert.ok(lines.length > 10_000 && lines.length < 11_000, String(lines.length));
  assert.ok(lines.every((line) => line.length === 99));
});
