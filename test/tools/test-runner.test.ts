import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runFile } from "../../scripts/test/run-file.mjs";

const runner = fileURLToPath(new URL("../../scripts/test.mjs", import.meta.url));

const fixtures = {
  passing: `
    import { describe, it, test } from "node:test";
    test("top", async (t) => { await t.test("inner", (t) => t.diagnostic("with the real model")); });
    describe("suite", () => { it("nested", () => {}); });`,
  failing: `
    import assert from "node:assert/strict";
    import { describe, it } from "node:test";
    console.log("a line on stdout");
    describe("suite", () => { it("compares", () => assert.deepEqual({ a: 1 }, { a: 2 })); });`,
  skipping: `
    import { test } from "node:test";
    test("asks pip", { skip: "needs pip" }, () => {});
    test("later", { skip: "slow here" }, () => {});
    test("runs", () => {});`,
  unloadable: `
    import "./missing.ts";
    import { test } from "node:test";
    test("never", () => {});`,
  empty: "export const nothing = 1;",
  exiting: `
    import { test } from "node:test";
    test("ends the process", () => process.exit(0));
    test("never", () => {});`,
  throwingLate: `
    import { test } from "node:test";
    test("too early", () => { setTimeout(() => { throw new Error("after the end"); }, 1); });`,
  overLimit: `
    import { test } from "node:test";
    test("waits", { timeout: 50 }, () => new Promise((resolve) => setTimeout(resolve, 200)));`,
};

/** Runs the runner on these fixtures, or on their empty folder. */
async function runOn(names: readonly (keyof typeof fixtures)[], ci = "") {
  const directory = await mkdtemp(join(tmpdir(), "nexus-runner-"));
  try {
    for (const name of names) await writeFile(join(directory, `${name}.test.ts`), fixtures[name]);
    const files = names.length === 0 ? ["."] : names.map((name) => `${name}.test.ts`);
    const { stdout, status } = spawnSync(process.execPath, [runner, ...files], {
      cwd: directory,
      encoding: "utf8",
      env: { ...process.env, CI: ci },
      timeout: 60_000,
    });
    return { stdout, status, lastLine: stdout.trimEnd().split("\n").at(-1) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

test("passing files: notes are shown, suites are not counted, exit code 0", async () => {
  const { stdout, status, lastLine } = await runOn(["passing"]);
  assert.equal(lastLine, "3 passed, 0 failed, 0 skipped");
  assert.match(stdout, /✓ passing\.test\.ts/);
  assert.match(stdout, /with the real model/);
  assert.equal(status, 0);
});

// proves: test.closing-line
test("a failure is shown with its file, name, line, difference and output", async () => {
  const { stdout, status, lastLine } = await runOn(["failing", "passing"]);
  assert.equal(lastLine, "3 passed, 1 failed, 0 skipped");
  assert.match(stdout, /✗ failing\.test\.ts {2}suite > compares \(line \d+\)/);
  assert.match(stdout, /\+ {3}a: 1\n.*- {3}a: 2/);
  assert.match(stdout, /at .*failing\.test\.ts:\d+:\d+/);
  assert.match(stdout, /a line on stdout/);
  assert.equal(status, 1);
});

test("skipped tests are counted and listed with their reasons", async () => {
  const { stdout, status, lastLine } = await runOn(["skipping"]);
  assert.equal(lastLine, "1 passed, 0 failed, 2 skipped");
  assert.match(stdout, /skipped {2}needs pip\n {2}skipping\.test\.ts {2}asks pip\n/);
  assert.equal(status, 0);
});

// proves: test.no-silent-skip
test("with CI=true a test that lacks a part of the machine has failed", async () => {
  const { stdout, status, lastLine } = await runOn(["skipping"], "true");
  assert.equal(lastLine, "1 passed, 1 failed, 1 skipped");
  assert.match(stdout, /Skipped because it needs pip\./);
  assert.equal(status, 1);
});

const faults: [keyof typeof fixtures, RegExp, string][] = [
  ["unloadable", /Cannot find module .*missing\.ts/, "0 passed, 1 failed, 0 skipped"],
  ["empty", /has none/, "0 passed, 1 failed, 0 skipped"],
  ["exiting", /ended \(code 0\) before its tests did/, "0 passed, 1 failed, 0 skipped"],
  ["throwingLate", /after the end/, "1 passed, 1 failed, 0 skipped"],
  ["overLimit", /timed out after 50ms/, "0 passed, 1 failed, 0 skipped"],
];
for (const [name, shown, closing] of faults) {
  test(`a file is not passed: ${name}`, async () => {
    const { stdout, status, lastLine } = await runOn([name]);
    assert.equal(lastLine, closing);
    assert.match(stdout, shown);
    assert.equal(status, 1);
  });
}

test("a file that does not exist is an error, and the closing line still comes", async () => {
  const { stdout, status } = spawnSync(process.execPath, [runner, "no-such.test.ts"], { encoding: "utf8" });
  assert.equal(stdout, "There is no no-such.test.ts.\n\n0 passed, 0 failed, 0 skipped\n");
  assert.equal(status, 1);
});

test("a folder without tests is an error", async () => {
  const { stdout, status } = await runOn([]);
  assert.equal(stdout, "\nNo test ran.\n\n0 passed, 0 failed, 0 skipped\n");
  assert.equal(status, 1);
});

test("a file that leaves something open is ended and has failed", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "nexus-runner-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, "leaking.test.ts");
  await writeFile(file, `import { test } from "node:test"; test("leaks", () => { setInterval(() => {}, 1000); });`);
  const { events } = await runFile(file, { testMs: 10_000, idleMs: 1_500, signal: t.signal });
  const ended = events.filter(({ kind }) => kind === "pass" || kind === "fail");
  assert.deepEqual(ended, [
    { kind: "pass", name: "leaks" },
    {
      kind: "fail",
      name: "the file as a whole",
      error: "It did not end: a test left a socket, timer, watcher or child process open.",
    },
  ]);
});

test("a test that runs longer than a file may be idle is left to its own limit", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "nexus-runner-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, "slow.test.ts");
  await writeFile(
    file,
    `import { test } from "node:test"; test("slow", () => new Promise((r) => setTimeout(r, 3000)));`,
  );
  const { events } = await runFile(file, { testMs: 10_000, idleMs: 1_500, signal: t.signal });
  assert.deepEqual(
    events.filter(({ kind }) => kind === "pass" || kind === "fail"),
    [{ kind: "pass", name: "slow" }],
  );
});
