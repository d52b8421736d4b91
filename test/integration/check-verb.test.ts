import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { conformanceChecks } from "../../src/contract/conformance/run-conformance.ts";
import { startBrokenService } from "../fakes/broken/broken-service.ts";
import { goodService } from "../fakes/good-service.ts";
import { nexus } from "../support/command-line.ts";
import { runInTest } from "../support/run-in-test.ts";

// proves: contract.check, cli.json
test("check prints a line for each check, the reason of one that failed, and ends with 1 then", {
  timeout: 60_000,
}, async (t) => {
  const { url } = await runInTest(t, goodService());
  const good = await nexus(["check", url, "--no-generate"]);
  assert.equal(good.code, 0, good.stdout);
  const lines = good.stdout.split("\n");
  for (const { title } of conformanceChecks)
    assert.ok(
      lines.some((line) => line.slice(2).startsWith(title)),
      title,
    );
  assert.match(good.stdout, /^\d+ passed, 0 failed, \d+ skipped$/m);

  const broken = await startBrokenService(url, {
    breaks: "health.shape",
    defect: "its health is a word",
    concerns: ({ url: path }) => path === "/health",
    spoil: (answer) => {
      answer.text = "fine";
    },
  });
  t.after(() => broken.close());
  const bad = await nexus(["check", broken.url, "--no-generate"]);
  assert.equal(bad.code, 1);
  const { title = "" } = conformanceChecks.find(({ id }) => id === "health.shape") ?? {};
  const found = bad.stdout.split("\n").find((line) => line.startsWith(`✗ ${title}`));
  assert.match(found?.slice(title.length + 2) ?? "", /\w/, bad.stdout);
  const { code, stdout } = await nexus(["check", broken.url, "--no-generate", "--json"]);
  const report = JSON.parse(stdout) as { ok: boolean; checks: { id: string; status: string; reason: string }[] };
  const failed = report.checks.find(({ id }) => id === "health.shape");
  assert.deepEqual([code, report.ok, failed?.status, failed?.reason !== ""], [1, false, "fail", true]);
});

const script = fileURLToPath(new URL("../fakes/broken/broken-process.ts", import.meta.url));

// proves: contract.check, contract.drain
test("check starts a service, looks at how it ends, and leaves nothing behind", { timeout: 60_000 }, async () => {
  const command = `env FAULT=drain.exit '${process.execPath}' '${script}'`;
  const { code, stdout } = await nexus(["check", "--start", command, "--no-generate", "--json"]);
  const report = JSON.parse(stdout) as { url: string; checks: { id: string; status: string; reason: string }[] };
  const failed = report.checks.filter(({ status }) => status === "fail");
  assert.deepEqual([code, failed.map(({ id }) => id), failed[0]?.reason], [1, ["drain.exit"], "it ended with 3"]);
  assert.equal(report.checks.find(({ id }) => id === "process.run-file")?.status, "pass");
  await assert.rejects(fetch(report.url));
});

test("check ends a process that it is told of, and says what it cannot see of that", { timeout: 60_000 }, async (t) => {
  const child = spawn(process.execPath, [script], { env: { PATH: process.env.PATH, NEXUS_RUN_FILE: "" } });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  const [line] = await once(child.stdout.setEncoding("utf8"), "data");
  const url = String(line).trim();
  const { code, stdout } = await nexus(["check", url, "--pid", String(child.pid), "--no-generate"]);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /ends by itself, with 0 {2}after \d+ ms; its exit code cannot be seen/);
  assert.deepEqual(await ended, [0, null]);
});

test("what cannot be started is said with its last words, what is asked wrongly is 2", {
  timeout: 60_000,
}, async () => {
  const { code, stderr } = await nexus(["check", "--start", "sh -c 'echo no model >&2; exit 7'"]);
  assert.equal(code, 1);
  assert.match(stderr, /ended with 7[\s\S]*no model/);
  for (const wrong of [[], ["http://127.0.0.1:9", "--pid", "999999999"], ["--start", "true", "--pid", "2"]]) {
    assert.equal((await nexus(["check", ...wrong])).code, 2);
  }
});
