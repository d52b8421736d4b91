import assert from "node:assert/strict";
import { test } from "node:test";
import { conformanceChecks } from "../../src/contract/conformance/run-conformance.ts";
import { goodService } from "../fakes/good-service.ts";
import { spoilingProxy } from "../fakes/spoiling-proxy.ts";
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

  const proxy = await spoilingProxy(url, {
    concerns: ({ url: path }) => path === "/health",
    spoil: (answer) => {
      answer.text = "fine";
    },
  });
  t.after(() => proxy.close());
  const bad = await nexus(["check", proxy.url, "--no-generate"]);
  assert.equal(bad.code, 1);
  const { title = "" } = conformanceChecks.find(({ id }) => id === "health.shape") ?? {};
  const found = bad.stdout.split("\n").find((line) => line.startsWith(`✗ ${title}`));
  assert.match(found?.slice(title.length + 2) ?? "", /\w/, bad.stdout);
  const { code, stdout } = await nexus(["check", proxy.url, "--no-generate", "--json"]);
  const report = JSON.parse(stdout) as { ok: boolean; checks: { id: string; status: string; reason: string }[] };
  const failed = report.checks.find(({ id }) => id === "health.shape");
  assert.deepEqual([code, report.ok, failed?.status, failed?.reason !== ""], [1, false, "fail", true]);
});
