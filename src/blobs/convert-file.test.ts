import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { convertFile } from "./convert-file.ts";

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-convert-"));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

const jobOf = (signal: AbortSignal) => ({ environment: process.env, signal });

test("what is wrong with the file is said as if it were converted here", async (t) => {
  const directory = await directoryOf(t);
  const from = join(directory, "in");
  await writeFile(from, "no model at all");
  await assert.rejects(
    convertFile({ kind: "e5", from, to: join(directory, "out") }, jobOf(t.signal)),
    /^Error: is no E5S1 model$/,
  );
  await assert.rejects(convertFile({ kind: "whisper", from, to: join(directory, "out") }, jobOf(t.signal)), Error);
});

test("what the file system says keeps its code, by which a full disk is known", async (t) => {
  const directory = await directoryOf(t);
  const conversion = { kind: "e5", from: join(directory, "none"), to: join(directory, "out") } as const;
  await assert.rejects(convertFile(conversion, jobOf(t.signal)), { code: "ENOENT" });
});

test("a conversion that is no longer wanted ends, with the reason", async (t) => {
  const directory = await directoryOf(t);
  const from = join(directory, "in");
  await writeFile(from, "no model at all");
  const controller = new AbortController();
  const converting = convertFile({ kind: "e5", from, to: join(directory, "out") }, jobOf(controller.signal));
  controller.abort(new Error("not wanted"));
  await assert.rejects(converting, /not wanted/);
  await assert.rejects(convertFile({ kind: "e5", from, to: from }, jobOf(controller.signal)), /not wanted/);
});
