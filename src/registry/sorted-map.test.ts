import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SortedMap } from "./sorted-map.ts";

const edits = fc.array(fc.array(fc.tuple(fc.string({ maxLength: 3 }), fc.option(fc.nat(), { nil: undefined }))));

test("behaves as a Map that is sorted by key, whatever is done to it", () => {
  fc.assert(
    fc.property(edits, fc.string({ maxLength: 3 }), (steps, probe) => {
      const plain = new Map<string, number>();
      let sorted = SortedMap.empty<number>();
      for (const step of steps) {
        const before = [...sorted];
        const next = sorted.with(new Map(step));
        assert.deepEqual([...sorted], before, "the one that it was made of stays as it is");
        sorted = next;
        for (const [key, value] of new Map(step)) {
          if (value === undefined) plain.delete(key);
          else plain.set(key, value);
        }
        const expected = [...plain].sort(([left], [right]) => (left < right ? -1 : 1));
        assert.deepEqual([...sorted], expected);
        assert.deepEqual(
          [...sorted.keys()],
          expected.map(([key]) => key),
        );
        assert.deepEqual(
          [...sorted.values()],
          expected.map(([, value]) => value),
        );
        assert.equal(sorted.size, plain.size);
        assert.equal(sorted.get(probe), plain.get(probe));
        assert.equal(sorted.has(probe), plain.has(probe));
      }
      const seen: string[] = [];
      sorted.forEach((_value, key, map) => {
        assert.equal(map, sorted);
        seen.push(key);
      });
      assert.deepEqual(seen, [...sorted.keys()]);
    }),
  );
});

test("takes another of its kind as it is, and sorts a plain map", () => {
  const sorted = SortedMap.of(
    new Map([
      ["b", 2],
      ["a", 1],
    ]),
  );
  assert.deepEqual(
    [...sorted],
    [
      ["a", 1],
      ["b", 2],
    ],
  );
  assert.equal(SortedMap.of(sorted), sorted);
});
