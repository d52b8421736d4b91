import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rangeOf, wantedBytes } from "./byte-range.ts";

const cases: readonly (readonly [range: string | undefined, wanted: ReturnType<typeof wantedBytes>])[] = [
  [undefined, "whole"],
  ["bytes=0-0", { start: 0, end: 0 }],
  ["bytes=2-5", { start: 2, end: 5 }],
  ["BYTES=2-", { start: 2, end: 9 }],
  ["bytes=2-99", { start: 2, end: 9 }],
  ["bytes=-3", { start: 7, end: 9 }],
  ["bytes=-99", { start: 0, end: 9 }],
  ["bytes=10-", "beyond"],
  ["bytes=10-12", "beyond"],
  ["bytes=-0", "beyond"],
  ["bytes=5-2", "whole"],
  ["bytes=0-1,4-5", "whole"],
  ["bytes=-", "whole"],
  ["bytes=x-2", "whole"],
  ["seconds=0-1", "whole"],
];

for (const [range, wanted] of cases) {
  // proves: files.ranges
  test(`${range} of ten bytes is ${JSON.stringify(wanted)}`, () => assert.deepEqual(wantedBytes(range, 10), wanted));
}

// proves: files.ranges
test("a part lies within what there is, whatever is asked for", () => {
  const offset = fc.option(fc.bigInt({ min: 0n, max: 2n ** 80n }), { nil: "" });
  fc.assert(
    fc.property(offset, offset, fc.nat(), (first, last, size) => {
      const wanted = wantedBytes(`bytes=${first}-${last}`, size);
      if (typeof wanted === "string") return;
      assert.ok(wanted.start >= 0 && wanted.start <= wanted.end && wanted.end < size);
    }),
  );
});

// proves: files.ranges
test("a range holds for GET, and while the tag is the same", () => {
  const ask = (method: string, condition: string | undefined, etag: string | undefined) =>
    rangeOf({ method, header: (name) => (name === "range" ? "bytes=0-1" : condition) }, etag);
  assert.equal(ask("GET", undefined, '"a"'), "bytes=0-1");
  assert.equal(ask("GET", '"a"', '"a"'), "bytes=0-1");
  assert.equal(ask("GET", '"b"', '"a"'), undefined);
  assert.equal(ask("GET", 'W/"a"', '"a"'), undefined);
  assert.equal(ask("GET", '"a"', undefined), undefined);
  assert.equal(ask("GET", "Mon, 23 Nov 2026 00:00:00 GMT", '"a"'), undefined);
  assert.equal(ask("HEAD", undefined, '"a"'), undefined);
});
