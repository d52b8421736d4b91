import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { NexusError } from "../base/errors.ts";
import { AttemptFailure } from "./attempt-failure.ts";
import { InstanceConditions } from "./instance-conditions.ts";
import { RetryBudget } from "./retry-budget.ts";

const reset = new AttemptFailure("reset", new NexusError("backend_unreachable", "reset"));

test("other bounds of failures hold for instances that are known and that come", async () => {
  const clock = new FakeClock();
  const conditions = new InstanceConditions({ failures: 3, baseMs: 1_000, maxMs: 60_000 }, clock);
  const fail = (key: string) => {
    conditions.of(key).begin();
    conditions.of(key).fail(reset, 5_000);
  };
  fail("known");
  conditions.configure({ failures: 2, baseMs: 10_000, maxMs: 60_000 });
  for (const key of ["known", "new", "new"]) fail(key);
  await clock.tick(9_999);
  for (const key of ["known", "new"]) assert.match(conditions.of(key).ejected ?? "", /2 failures in a row/);
  conditions.configure({ failures: 2, baseMs: 1, maxMs: 1 });
  assert.notEqual(conditions.of("new").ejected, undefined, "one that holds keeps its end");
});

test("another retry budget holds from the next retry on", () => {
  const budget = new RetryBudget({ ratio: 0, min: 0 });
  budget.openRequest();
  assert.equal(budget.tryRetry(), undefined);
  budget.configure({ ratio: 1, min: 0 });
  const giveBack = budget.tryRetry();
  assert.ok(giveBack);
  budget.configure({ ratio: 0, min: 0 });
  assert.equal(budget.tryRetry(), undefined);
  giveBack();
});
