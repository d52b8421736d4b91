import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { median, percentile, spread, toDigits } from "./statistics.ts";

describe("statistics", () => {
  it("take the middle value, in any order and of any number", () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([10, 9, 100]), 10);
    assert.ok(Number.isNaN(median([])));
  });

  it("take percentiles that are values that were measured", () => {
    const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
    assert.equal(percentile(hundred, 0.5), 50);
    assert.equal(percentile(hundred, 0.99), 99);
    assert.equal(percentile(hundred, 1), 100);
    assert.equal(percentile([7], 0.01), 7);
    assert.ok(Number.isNaN(percentile([], 0.5)));
  });

  it("tell how far rounds disagree", () => {
    assert.equal(spread([100, 90, 105]), 0.1);
    assert.equal(spread([5]), 0);
  });

  it("keep the digits that count", () => {
    assert.equal(toDigits(12_345.678, 4), 12_350);
    assert.equal(toDigits(0.001_234_56, 3), 0.001_23);
    assert.equal(toDigits(Number.POSITIVE_INFINITY, 3), Number.POSITIVE_INFINITY);
  });
});
