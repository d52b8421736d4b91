import assert from "node:assert/strict";
import { it } from "node:test";
import { choosePages, parsePageChoice } from "./page-choice.ts";

// proves: ocr.pdf
it("reads numbers, lists and ranges of pages", () => {
  assert.equal(parsePageChoice(null, 10), null);
  assert.deepEqual(parsePageChoice(3, 10), [3]);
  assert.deepEqual(parsePageChoice([5, 1, 5], 10), [1, 5]);
  assert.deepEqual(parsePageChoice(" 0-2, 7", 10), [0, 1, 2, 7]);
  for (const text of ["", "-1", "3-1", "a", "1,", "1-2-3", "9999999"]) {
    assert.throws(() => parsePageChoice(text, 10), /`pages` must be/, text);
  }
});

// proves: ocr.bounded
it("bounds pages before it counts them out", () => {
  assert.throws(() => parsePageChoice("0-999999", 10), /asks for 1000000 pages; 10 at once/);
  assert.deepEqual(choosePages(null, 3, 3), [0, 1, 2]);
  assert.throws(() => choosePages(null, 4, 3), /has 4 pages; 3 at once/);
  assert.throws(() => choosePages([0, 4], 4, 3), /no page 4/);
});
