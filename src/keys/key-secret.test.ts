import assert from "node:assert/strict";
import { test } from "node:test";
import { periodAt } from "./budget-period.ts";
import { isWeakKey } from "./key-secret.ts";

// proves: gateway.guarded-address
test("tells weak keys from strong ones", () => {
  for (const weak of [
    "short",
    "sk-1234",
    "sk-1234567890123456789012345",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "changeme-changeme-changeme",
  ]) {
    assert.equal(isWeakKey(weak), true, weak);
  }
  assert.equal(isWeakKey("correct-horse-battery-staple"), false);
});

// proves: keys.budgets
test("days, weeks and months begin at midnight UTC", () => {
  const at = (period: "day" | "week" | "month", text: string) => {
    const { firstDay, leftMs } = periodAt(period, Date.parse(text));
    return [firstDay, leftMs];
  };
  assert.deepEqual(at("day", "2026-11-23T23:59:59.999Z"), ["2026-11-23", 1]);
  assert.deepEqual(at("week", "2026-11-22T12:00:00Z"), ["2026-11-16", 43_200_000], "Sunday is the last day");
  assert.deepEqual(at("week", "2026-11-23T00:00:00Z"), ["2026-11-23", 604_800_000], "Monday is the first");
  assert.deepEqual(at("week", "2027-01-01T00:00:00Z"), ["2026-12-28", 3 * 86_400_000]);
  assert.deepEqual(at("month", "2028-02-29T00:00:00Z"), ["2028-02-01", 86_400_000]);
  assert.deepEqual(at("month", "2026-12-31T23:00:00Z"), ["2026-12-01", 3_600_000]);
});
