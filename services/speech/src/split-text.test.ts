import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { splitText } from "./split-text.ts";

test("a text is cut at the ends of sentences, the first of which is never held back", () => {
  assert.deepEqual(
    splitText("Hi! The quick brown fox jumps over the dog. It sleeps. Then it wakes up again, slowly."),
    ["Hi!", "The quick brown fox jumps over the dog.", "It sleeps. Then it wakes up again, slowly."],
  );
});

test("a long sentence is cut at a comma, one without commas between words", () => {
  const clause = "and then it went on and on as sentences in some books do";
  const pieces = splitText(`${[clause, clause, clause, clause, clause, clause].join(", ")}.`);
  assert.ok(
    pieces.slice(0, -1).every((piece) => piece.endsWith(",")),
    JSON.stringify(pieces),
  );
  const words = splitText("word ".repeat(200));
  assert.ok(words.every((piece) => piece.length <= 240 && /^(?:word ?)+$/.test(piece)));
});

test("nothing is lost and no piece is long, whatever the text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 2000 }), (text) => {
      const pieces = splitText(text);
      assert.equal(pieces.join("").replaceAll(/\s/g, ""), text.replaceAll(/\s/g, ""));
      assert.ok(pieces.every((piece) => piece.length <= 270 && piece.isWellFormed() === text.isWellFormed()));
    }),
  );
});
