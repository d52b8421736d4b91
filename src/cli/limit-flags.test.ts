import assert from "node:assert/strict";
import { test } from "node:test";
import {
  describeLimits,
  parseAmount,
  parseDuration,
  parseMoneyBudget,
  parseTokenBudget,
  toLimits,
} from "./limit-flags.ts";

test("amounts, budgets and times are read as people write them", () => {
  assert.deepEqual(["500", "20k", "1.5M", "none"].map(parseAmount), [500, 20_000, 1_500_000, "none"]);
  assert.deepEqual(parseMoneyBudget("20usd/month"), { unit: "usd", amount: 20, period: "month" });
  assert.deepEqual(parseMoneyBudget("$0.5/day"), { unit: "usd", amount: 0.5, period: "day" });
  assert.deepEqual(parseTokenBudget("1M/week"), { unit: "tokens", amount: 1_000_000, period: "week" });
  assert.deepEqual(["90s", "30min", "12h", "30d", "2w"].map(parseDuration), [90, 1_800, 43_200, 2_592_000, 1_209_600]);
});

test("what can't be meant is refused", () => {
  for (const text of ["", "0", "-1", "1.5", "1kk", "many"]) assert.throws(() => parseAmount(text), SyntaxError, text);
  for (const text of ["20", "20eur/month", "usd/day", "0usd/day", "5usd/year"]) {
    assert.throws(() => parseMoneyBudget(text), SyntaxError, text);
  }
  for (const text of ["1M", "1M/hour", "/day", "none/day", "..k/day"]) {
    assert.throws(() => parseTokenBudget(text), SyntaxError, text);
  }
  for (const text of ["30", "d", "1y", "-1d"]) assert.throws(() => parseDuration(text), SyntaxError, text);
});

test("limits that were not said are left out, and none takes one away", () => {
  assert.deepEqual(toLimits({}), {});
  const budget = { unit: "usd", amount: 1, period: "day" } as const;
  assert.deepEqual(toLimits({ rpm: "none", tokens: ["none"], models: ["none"], ip: ["10.0.0.0/8"] }), {
    requests_per_minute: null,
    budgets: null,
    models: null,
    addresses: ["10.0.0.0/8"],
  });
  assert.equal(describeLimits(toLimits({ rpm: 60, budget: [budget] })), "60 rpm, $1 a day");
  assert.equal(describeLimits({}), "none");
});
