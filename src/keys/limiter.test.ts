import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import type { Limits } from "./key-record.ts";
import { createLimiter, type LimitDecision, type LimitedScope } from "./limiter.ts";
import { LocalLedger } from "./local-ledger.ts";

const scope = (limits: Limits, kind: "key" | "tenant" = "key"): LimitedScope => ({
  id: `${kind}_1`,
  name: "laptop",
  kind,
  limits,
});

function openLimiter(startedAt?: string) {
  const clock = new FakeClock(startedAt === undefined ? undefined : Date.parse(startedAt));
  const ledger = new LocalLedger(clock);
  const limiter = createLimiter({ ledger, clock });
  const admit = (scopes: readonly LimitedScope[], tokens = 0, costMicroUsd = 0): LimitDecision => {
    const decision = limiter.admit(scopes, { tokens, costMicroUsd });
    assert.ok(!(decision instanceof Promise));
    return decision;
  };
  return { clock, ledger, admit };
}

function refusal(decision: LimitDecision) {
  assert.ok(!decision.ok, "it was admitted");
  return decision;
}

function admitted(decision: LimitDecision) {
  assert.ok(decision.ok, "it was refused");
  return decision;
}

// proves: keys.limits
test("requests per minute: the limit at once, then one for each that is a minute old, with OpenAI's headers", async () => {
  const { clock, admit } = openLimiter();
  const scopes = [scope({ requests_per_minute: 3 })];
  assert.deepEqual(admitted(admit(scopes)).headers, {
    "x-ratelimit-limit-requests": "3",
    "x-ratelimit-remaining-requests": "2",
    "x-ratelimit-reset-requests": "1m1s",
  });
  await clock.tick(20_000);
  admitted(admit(scopes));
  admitted(admit(scopes));
  const refused = refusal(admit(scopes));
  assert.equal(refused.code, "rate_limit_exceeded");
  assert.match(refused.message, /key 'laptop' may use 3 requests per minute/);
  assert.equal(refused.headers["x-ratelimit-remaining-requests"], "0");
  await clock.tick(refused.retryAfterSeconds * 1_000 - 1_001);
  refusal(admit(scopes));
  await clock.tick(1_001);
  admitted(admit(scopes));
  refusal(admit(scopes));
});

// proves: keys.limits
test("tokens per minute: reserved at the start, corrected at the end, both ways", async () => {
  const { clock, admit } = openLimiter();
  const scopes = [scope({ tokens_per_minute: 1_000 })];
  const first = admitted(admit(scopes, 800));
  refusal(admit(scopes, 300));
  first.settle({ tokens: 100, costMicroUsd: 0 });
  const second = admitted(admit(scopes, 300));
  second.settle({ tokens: 900, costMicroUsd: 0 });
  second.settle({ tokens: 0, costMicroUsd: 0 });
  assert.equal(refusal(admit(scopes, 1)).headers["x-ratelimit-remaining-tokens"], "0");
  await clock.tick(61_000);
  admitted(admit(scopes, 5_000));
  refusal(admit(scopes, 1));
});

// proves: keys.limits
test("requests at the same time: a place is free when one ends, once", () => {
  const { admit } = openLimiter();
  const scopes = [scope({ concurrency: 2 })];
  const first = admitted(admit(scopes));
  admitted(admit(scopes));
  assert.match(refusal(admit(scopes)).message, /may have 2 requests at the same time/);
  first.settle({ tokens: 0, costMicroUsd: 0 });
  first.settle({ tokens: 0, costMicroUsd: 0 });
  admitted(admit(scopes));
  refusal(admit(scopes));
});

// proves: keys.limits, keys.tenants
test("what one limit refuses is taken from no other, and the tenant's count for all its keys", () => {
  const { admit } = openLimiter();
  const tenant = scope({ requests_per_minute: 2 }, "tenant");
  const keys = [scope({ concurrency: 1 }), { ...scope({ requests_per_minute: 5 }), id: "key_2" }];
  const [one, two] = keys;
  assert.ok(one !== undefined && two !== undefined);
  admitted(admit([one, tenant]));
  refusal(admit([one, tenant]));
  assert.equal(admitted(admit([two, tenant])).headers["x-ratelimit-limit-requests"], "2", "the tighter one is shown");
  assert.match(refusal(admit([two, tenant])).message, /The tenant 'laptop'/);
});

// proves: keys.budgets
test("a budget is held to what is reserved, used and known, and begins anew with its period in UTC", async () => {
  const { clock, ledger, admit } = openLimiter("2026-11-29T23:59:00Z");
  const budget = { unit: "usd", amount: 2, period: "week" } as const;
  const scopes = [scope({ budgets: [budget] })];
  const first = admitted(admit(scopes, 0, 1_500_000));
  const refused = refusal(admit(scopes, 0, 600_000));
  assert.equal(refused.code, "insufficient_quota");
  assert.equal(refused.retryAfterSeconds, 60, "Monday begins in a minute");
  assert.match(refused.message, /\$2 a week, of which \$0\.5 are left/);
  first.settle({ tokens: 10, costMicroUsd: 500_000 });
  admitted(admit(scopes, 0, 100_000)).settle({ tokens: 0, costMicroUsd: 100_000 });
  const known = { counter: "key_1:usd:week", period: "2026-11-23" };
  // Another gateway's half dollar, and of this one's the first request.
  ledger.noteSpend([{ ...known, total: 1_000_000, settled: 500_000 }]);
  refusal(admit(scopes, 0, 900_001));
  // An answer that was under way longer than the one before.
  ledger.noteSpend([{ ...known, total: 700_000, settled: 0 }]);
  refusal(admit(scopes, 0, 900_001));
  admitted(admit(scopes, 0, 900_000)).settle({ tokens: 0, costMicroUsd: 900_000 });
  assert.match(refusal(admit(scopes)).message, /which is spent/);
  await clock.tick(60_000);
  admitted(admit(scopes, 0, 2_000_000));
});

// proves: keys.budgets
test("a request that ends after midnight counts for the new day", async () => {
  const { clock, admit } = openLimiter("2026-11-23T23:59:59Z");
  const scopes = [scope({ budgets: [{ unit: "tokens", amount: 100, period: "day" }] })];
  const late = admitted(admit(scopes, 90));
  await clock.tick(2_000);
  admitted(admit(scopes, 10)).settle({ tokens: 0, costMicroUsd: 0 });
  late.settle({ tokens: 95, costMicroUsd: 0 });
  refusal(admit(scopes, 6));
  admitted(admit(scopes, 5));
});

// proves: keys.limits
test("in no 60 seconds are there more than the limit, whatever comes when", async () => {
  const step = fc.record({ waitMs: fc.integer({ min: 0, max: 30_000 }), asks: fc.integer({ min: 1, max: 8 }) });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 40 }), async (limit, steps) => {
      const { clock, admit } = openLimiter();
      const times: number[] = [];
      for (const { waitMs, asks } of steps) {
        await clock.tick(waitMs);
        for (let ask = 0; ask < asks; ask++) {
          const decision = admit([scope({ requests_per_minute: limit })]);
          if (decision.ok) times.push(clock.monotonic());
          else
            assert.ok(times.filter((time) => time > clock.monotonic() - 61_000).length >= limit, "refused for nothing");
        }
      }
      for (const end of times) {
        assert.ok(times.filter((time) => time > end - 60_000 && time <= end).length <= limit);
      }
    }),
    { numRuns: 40 },
  );
});
