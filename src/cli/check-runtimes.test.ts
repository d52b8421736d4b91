import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkRuntimes, type RuntimesRecord } from "./check-runtimes.ts";

const record = (service: string, runtimes: readonly string[], url = "http://127.0.0.1:9000") =>
  ({ service, base_url: url, metadata: { requires: { runtimes } } }) as unknown as RuntimesRecord;

// proves: cli.doctor-runtimes
test("programs that services of this machine need are looked for where services look", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "nexus-programs-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  for (const name of ["sd", "pip3", "not-runnable"]) await writeFile(join(directory, name), "");
  for (const name of ["sd", "pip3"]) await chmod(join(directory, name), 0o755);
  const records = [
    record("image", ["sd", "cuda>=12"]),
    record("embeddings", ["pip", "ffmpeg"]),
    record("speech", ["ffmpeg", "not-runnable"]),
    record("elsewhere", ["vllm"], "http://10.0.0.2:9000"),
  ];
  const findings = checkRuntimes(records, `/nowhere:${directory}`);
  assert.deepEqual(
    findings.map(({ status, seen, fix }) => [status, seen, fix]),
    [
      ["ok", `sd: ${directory}/sd`, ""],
      ["ok", `pip: ${directory}/pip3`, ""],
      ["warning", "ffmpeg is missing, which embeddings, speech may need", "apt install ffmpeg"],
      ["warning", "not-runnable is missing, which speech may need", "Install not-runnable, or see the service's page."],
    ],
  );
});
