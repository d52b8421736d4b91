import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { type LogLine, recordingLogger } from "../../test/support/gateway.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { openColdStarts } from "./cold-starts-file.ts";

function harness(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "nexus-cold-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "cold-starts.json");
  const lines: LogLine[] = [];
  const clock = new FakeClock();
  const open = () => openColdStarts({ path, clock, log: recordingLogger(lines) });
  return { directory, path, lines, clock, open, files: () => readdirSync(directory) };
}

const cold = { model: "m", host: "h", wasLoaded: false };

// proves: routing.cold-start-kept
describe("the file of cold starts", { timeout: 60_000 }, () => {
  it("has what was learned for the next process, from a second after each load on", async (t) => {
    const { clock, open, files, lines } = harness(t);
    const { coldStarts } = open();
    coldStarts.note({ ...cold, wasLoaded: true, firstByteMs: 200 });
    await clock.tick(60_000);
    assert.deepEqual(files(), [], "an answer of a loaded model is nothing to keep");
    coldStarts.note({ ...cold, firstByteMs: 20_200 });
    coldStarts.note({ ...cold, model: "warm", wasLoaded: true, firstByteMs: 1 });
    assert.deepEqual(files(), [], "no request waits for a disk");
    await clock.tick(1_000);
    // Another one is opened while the first one is there, as after a `kill -9`.
    await waitFor("the file", () => files().join() === "cold-starts.json");
    const next = open().coldStarts;
    assert.equal(next.coldStartMs("m", "h"), 20_000);
    assert.deepEqual(next.list(), [{ model: "m", host: "h", coldMs: 20_200, warmMs: 200 }]);
    assert.deepEqual(lines, []);
  });

  it("is written at the end", async (t) => {
    const { open } = harness(t);
    const first = open();
    first.coldStarts.note({ ...cold, firstByteMs: 5_000 });
    await first.close();
    assert.equal(open().coldStarts.coldStartMs("m", "h"), 5_000);
  });

  it("is put aside with one line where it is damaged, and written anew", async (t) => {
    const { path, lines, open, files } = harness(t);
    const entry = { model: "m", host: "h", cold_ms: 1 };
    const damaged = [
      '{"version":1,"cold_starts":[{"mod',
      "[]",
      JSON.stringify({ version: 2, cold_starts: [] }),
      JSON.stringify({ version: 1, cold_starts: [{ ...entry, cold_ms: -1 }] }),
      JSON.stringify({ version: 1, cold_starts: [{ ...entry, host: 7 }] }),
      JSON.stringify({ version: 1, cold_starts: Array(1_001).fill(entry) }),
    ];
    for (const [index, text] of damaged.entries()) {
      writeFileSync(path, text);
      const { coldStarts, close } = open();
      assert.deepEqual(coldStarts.list(), [], text);
      assert.equal(lines.length, index + 1);
      assert.equal(files().includes("cold-starts.json"), false);
      await close();
    }
    const next = open();
    next.coldStarts.note({ ...cold, firstByteMs: 5_000 });
    await next.close();
    assert.equal(open().coldStarts.coldStartMs("m", "h"), 5_000);
  });

  it("is bounded, and keeps the newest", async (t) => {
    const { path, open } = harness(t);
    const { coldStarts, close } = open();
    for (let model = 0; model < 3_000; model++) coldStarts.note({ ...cold, model: `m${model}`, firstByteMs: 1_000 });
    await close();
    assert.ok(readFileSync(path).length < 100_000);
    const next = open().coldStarts;
    assert.equal(next.list().length, 1_000);
    assert.equal(next.coldStartMs("m2999", "h"), 1_000);
    assert.equal(next.coldStartMs("m1999", "h"), undefined);
  });
});
