import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultLookPauses, lookPauseMs } from "./look-pause.ts";

const pauseMs = (isReady: boolean, failures: number, random = 0.5) =>
  lookPauseMs({ isReady, failures }, defaultLookPauses, random);

test("a server that is well is looked at every 10 s, spread over a fifth", () => {
  assert.equal(pauseMs(true, 0), 10_000);
  assert.deepEqual([pauseMs(true, 0, 0), pauseMs(true, 0, 1)], [9_000, 11_000]);
});

test("one that starts, or may be lost, is looked at every second", () => {
  assert.equal(pauseMs(false, 0), 1_000);
  assert.equal(pauseMs(true, 1), 1_000);
  assert.equal(pauseMs(false, 10), 1_000);
});

test("one that stays away is looked at less and less often, and never given up", () => {
  assert.deepEqual(
    [11, 12, 13, 14, 15, 1_000_000].map((failures) => pauseMs(false, failures)),
    [2_000, 4_000, 8_000, 10_000, 10_000, 10_000],
  );
});
