import assert from "node:assert/strict";
import { test } from "node:test";
import { readinessSchema } from "../contract/health.ts";
import { createReadiness } from "./readiness.ts";

function tracked() {
  let changes = 0;
  const readiness = createReadiness(() => {
    changes++;
  });
  return { readiness, changes: () => changes };
}

test("it is ready once start has returned and every check is ok", () => {
  const { readiness, changes } = tracked();
  assert.equal(readiness.state(), "starting");
  readiness.check("model", { status: "pending", reason: "loading" });
  readiness.started();
  assert.deepEqual([readiness.state(), readiness.reason()], ["starting", "model: loading"]);
  readiness.check("model", { status: "ok" });
  assert.deepEqual([readiness.state(), readiness.reason()], ["ready", ""]);
  assert.equal(changes(), 2, "pending before start had ended changed nothing that anybody sees");
});

test("a failed check weighs more than a pending one, and healing leads back", () => {
  const { readiness } = tracked();
  readiness.started();
  readiness.check("disk", { status: "pending" });
  readiness.check("gpu", { status: "failed", reason: "gone" });
  assert.deepEqual([readiness.state(), readiness.reason()], ["failed", "gpu: gone"]);
  readiness.check("gpu", { status: "ok" });
  assert.deepEqual([readiness.state(), readiness.reason()], ["starting", "disk: pending"]);
});

test("nothing leads back from draining", () => {
  const { readiness } = tracked();
  readiness.started();
  readiness.draining();
  readiness.check("gpu", { status: "failed" });
  assert.equal(readiness.state(), "draining");
  assert.equal(readiness.report().ready, false);
});

test("progress is told while it starts, is held in bounds, and is no change of state", () => {
  const { readiness, changes } = tracked();
  readiness.progress(1.7, null);
  assert.deepEqual(readinessSchema.parse(readiness.report()).progress, 1);
  assert.equal(readiness.report().eta_seconds, null);
  assert.equal(changes(), 0);
  readiness.started();
  assert.equal(readiness.report().progress, undefined);
});

test("a reason of any length is a valid report", () => {
  const { readiness } = tracked();
  readiness.failed("x".repeat(5_000));
  assert.ok(readinessSchema.safeParse(readiness.report()).success);
});
