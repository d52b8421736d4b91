import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LogOutput } from "./log-output.ts";

function openLog(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "nexus-log-"));
  const path = join(directory, "log");
  const descriptor = openSync(path, "w");
  t.after(() => rmSync(directory, { recursive: true }));
  return { descriptor, output: new LogOutput(descriptor), text: () => readFileSync(path, "utf8") };
}

test("a line after a pause is written at once, those of a rush together", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { descriptor, output, text } = openLog(t);
  output.write("one\n");
  assert.equal(text(), "one\n");
  output.write("two\n");
  output.write("drei: ä\n");
  assert.equal(text(), "one\n");
  t.mock.timers.tick(100);
  assert.equal(text(), "one\ntwo\ndrei: ä\n");
  closeSync(descriptor);
});

test("an urgent line takes all lines before it along", (t) => {
  const { descriptor, output, text } = openLog(t);
  output.write("one\n");
  output.write("two\n");
  output.write("three\n", true);
  assert.equal(text(), "one\ntwo\nthree\n");
  closeSync(descriptor);
});

test("a rush is written before it fills the memory", (t) => {
  const { descriptor, output, text } = openLog(t);
  const line = `${"x".repeat(1_000)}\n`;
  for (let count = 0; count < 100; count++) output.write(line);
  assert.ok(text().length > 60_000);
  output.flush();
  assert.equal(text().length, 100 * line.length);
  closeSync(descriptor);
});

test("a descriptor that is gone costs lines and no exception", (t) => {
  const { descriptor, output } = openLog(t);
  closeSync(descriptor);
  output.write("lost\n", true);
  output.write("lost\n", true);
});
