import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { makeRecord } from "../../test/support/records.ts";
import { NexusError } from "../base/errors.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";
import { AttemptFailure } from "./attempt-failure.ts";
import { ColdStarts } from "./cold-starts.ts";
import { InstanceConditions } from "./instance-conditions.ts";

const settings = { failures: 3, baseMs: 1_000, maxMs: 60_000 };
const reset = new AttemptFailure("reset", new NexusError("backend_unreachable", "reset"));
const busy = (retryAfterSeconds?: number) =>
  new AttemptFailure(
    "status",
    new NexusError("rate_limit_exceeded", "busy", retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    429,
  );

function open(maxConcurrency: number | null = null) {
  const clock = new FakeClock();
  const conditions = new InstanceConditions(settings, clock);
  const retain = (limit: number | null) =>
    conditions.retain(new Map([["chat/a", makeRecord({ instance: "a", maxConcurrency: limit })]]));
  retain(maxConcurrency);
  return { clock, conditions, retain, condition: conditions.of("chat/a") };
}

describe("InstanceCondition", () => {
  it("is penalised for failing fast, not for failing slowly, and forgets it by half every two seconds", async () => {
    const { clock, condition } = open();
    condition.begin();
    condition.fail(reset, 5);
    assert.equal(condition.penalty, 1);
    condition.begin();
    condition.fail(reset, 30_000);
    assert.equal(condition.penalty, 1);
    await clock.tick(2_000);
    assert.equal(condition.penalty, 0.5);
    await clock.tick(6_000);
    assert.equal(condition.penalty, 0);
    assert.equal(condition.inFlight, 0);
  });

  it("is left alone for as long as it asks, a minute at most, which is no failure", async () => {
    const { clock, condition } = open(4);
    for (let i = 0; i < 5; i++) {
      condition.begin();
      condition.fail(busy(5), 5);
    }
    assert.equal(condition.ejected, undefined);
    assert.match(condition.limited ?? "", /another 5 s/);
    assert.deepEqual([condition.limit, condition.full], [0, true]);
    await clock.tick(5_000);
    assert.deepEqual([condition.limited, condition.limit, condition.full], [undefined, 4, false]);
    condition.begin();
    condition.fail(busy(3_600), 5);
    await clock.tick(60_000);
    assert.equal(condition.limited, undefined);
    condition.begin();
    condition.fail(busy(), 5);
    await clock.tick(999);
    assert.notEqual(condition.limited, undefined);
    await clock.tick(1);
    assert.equal(condition.limited, undefined);
  });

  it("starts slowly when it comes back: after an ejection and after it was unready, not at first", async () => {
    const { clock, condition } = open();
    condition.unready = undefined;
    assert.equal(condition.penalty, 0);
    condition.unready = "loading";
    condition.unready = undefined;
    assert.equal(condition.penalty, 3);
    await clock.tick(100_000);
    for (let i = 0; i < 3; i++) {
      condition.begin();
      condition.fail(reset, 30_000);
    }
    assert.notEqual(condition.ejected, undefined);
    await clock.tick(1_500);
    condition.begin();
    condition.succeed();
    assert.deepEqual([condition.ejected, condition.penalty], [undefined, 3]);
  });

  it("does not come back with less than it was penalised for", () => {
    const { condition } = open();
    for (let i = 0; i < 5; i++) {
      condition.begin();
      condition.fail(reset, 1);
    }
    condition.unready = "gone";
    condition.unready = undefined;
    assert.equal(condition.penalty, 5);
  });

  it("has the limit that its newest record declares, and is full there", () => {
    const { conditions, condition, retain } = open(2);
    condition.begin();
    assert.equal(condition.full, false);
    condition.begin();
    assert.equal(condition.full, true);
    retain(3);
    assert.deepEqual([condition.limit, condition.full], [3, false]);
    retain(null);
    assert.equal(condition.limit, 16);
    conditions.retain(new Map());
    assert.notEqual(conditions.of("chat/a"), condition);
  });

  it("counts what is under way, however it ends", () => {
    const { condition } = open();
    const endings = [
      () => condition.succeed(),
      () => condition.fail(reset, 1),
      () => condition.breakOff("cut"),
      () => condition.withdraw(),
    ];
    for (const end of endings) {
      condition.begin();
      assert.equal(condition.inFlight, 1);
      end();
      assert.equal(condition.inFlight, 0);
    }
  });

  it("is ejected by answers that break off", () => {
    const { condition } = open();
    for (let i = 0; i < 3; i++) {
      condition.begin();
      condition.breakOff("stalled");
    }
    assert.match(condition.ejected ?? "", /stalled/);
  });
});

describe("AdaptiveLimit", () => {
  it("grows while the instance is full and refuses nothing, and not otherwise", () => {
    const limit = new AdaptiveLimit(new FakeClock());
    limit.succeed(15);
    assert.equal(limit.value, 16);
    for (let i = 0; i < 16; i++) limit.succeed(limit.value);
    assert.equal(limit.value, 32);
    for (let i = 0; i < 5_000; i++) limit.succeed(limit.value);
    assert.equal(limit.value, 1_024);
  });

  it("falls below what was refused, and tries one more twice a minute", async () => {
    const clock = new FakeClock();
    const limit = new AdaptiveLimit(clock);
    limit.refuse(9);
    assert.equal(limit.value, 8);
    await clock.tick(29_999);
    limit.succeed(8);
    assert.equal(limit.value, 8);
    await clock.tick(1);
    limit.succeed(8);
    limit.succeed(9);
    assert.equal(limit.value, 9);
    for (let i = 0; i < 20; i++) limit.refuse(1);
    assert.equal(limit.value, 1);
  });

  it("finds the capacity of any server, and rarely goes beyond it from then on", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 200 }), async (capacity) => {
        const clock = new FakeClock();
        const limit = new AdaptiveLimit(clock);
        let refused = 0;
        let served = 0;
        for (let round = 0; round < 60; round++) {
          const sent = limit.value;
          for (let left = sent; left > capacity; left--) {
            limit.refuse(left);
            if (round >= 20) refused++;
          }
          for (let i = 0; i < Math.min(sent, capacity); i++) limit.succeed(sent);
          if (round >= 20) served += Math.min(sent, capacity);
          await clock.tick(2_000);
        }
        assert.ok(
          limit.value >= Math.min(capacity, 16) && limit.value <= capacity + 1,
          `${limit.value} for ${capacity}`,
        );
        assert.ok(refused <= 4 && served >= 40 * Math.min(capacity, 16) * 0.9);
      }),
      { numRuns: 15 },
    );
  });
});

describe("ColdStarts", () => {
  const loaded = { model: "m", host: "h", wasLoaded: true };
  const cold = { model: "m", host: "h", wasLoaded: false };

  it("learns what loading adds to the first byte, for each model and host", async () => {
    const clock = new FakeClock();
    const starts = new ColdStarts(clock);
    assert.equal(starts.coldStartMs("m", "h"), undefined);
    starts.note({ ...loaded, firstByteMs: 200 });
    assert.equal(starts.coldStartMs("m", "h"), undefined);
    await clock.tick(60_000);
    starts.note({ ...cold, firstByteMs: 20_200 });
    assert.equal(starts.coldStartMs("m", "h"), 20_000);
    assert.equal(starts.coldStartMs("m", "other"), undefined);
    await clock.tick(60_000);
    starts.note({ ...cold, firstByteMs: 10_200 });
    assert.equal(starts.coldStartMs("m", "h"), 17_000);
  });

  it("does not take for cold what has just answered, whatever its record says", () => {
    const starts = new ColdStarts(new FakeClock());
    starts.note({ ...cold, firstByteMs: 20_000 });
    for (let i = 0; i < 20; i++) starts.note({ ...cold, firstByteMs: 100 });
    assert.equal(starts.coldStartMs("m", "h"), 19_900);
  });

  it("hands what it has learned to the next process, and forgets the oldest of too many", () => {
    const starts = new ColdStarts(new FakeClock());
    starts.note({ ...cold, firstByteMs: 5_000 });
    const next = new ColdStarts(new FakeClock(), starts.list());
    assert.equal(next.coldStartMs("m", "h"), 5_000);
    for (let i = 0; i < 10_000; i++) next.note({ ...cold, model: String(i), firstByteMs: 1 });
    assert.equal(next.coldStartMs("m", "h"), undefined);
    assert.equal(next.list().length, 10_000);
  });
});
