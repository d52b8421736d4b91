import assert from "node:assert/strict";
import { test } from "node:test";
import { type CheckResult, runConformance } from "nexus/contract";
import { start } from "./start.ts";

test("{{name}} keeps the contract", { timeout: 60_000 }, async (t) => {
  const url = await start(t);
  const failed: CheckResult[] = [];
  for await (const result of runConformance({ baseUrl: url, signal: t.signal })) {
    if (result.status === "fail") failed.push(result);
  }
  assert.deepEqual(failed, []);
});
