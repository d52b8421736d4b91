import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { expandQuantities, parseQuantity, UnknownUnit } from "./quantity.ts";

test("reads quantities as Kubernetes writes them", () => {
  const meant: readonly [string, number | undefined][] = [
    ["16Gi", 16 * 2 ** 30],
    ["16GiB", 16 * 2 ** 30],
    ["1.5Gi", 1.5 * 2 ** 30],
    ["500M", 500e6],
    ["2k", 2000],
    ["24GB", 24e9],
    ["7", 7],
    ["7B", 7],
    ["16gi", undefined],
    ["Gi", undefined],
    ["1 Gi", undefined],
    ["9999999Ti", undefined],
    ["1constructor", undefined],
  ];
  for (const [text, value] of meant) assert.equal(parseQuantity(text), value, text);
});

test("expands them in an expression, and leaves names, strings and comments alone", () => {
  const expanded: readonly [string, string][] = [
    ["a >= 16Gi", "a >= 17179869184"],
    ["a16Gi >= 1k", "a16Gi >= 1000"],
    [`x == "16Gi" || y == '2k'`, `x == "16Gi" || y == '2k'`],
    [String.raw`x == "a\"16Gi" && 1k > 2`, String.raw`x == "a\"16Gi" && 1000 > 2`],
    [String.raw`x == r"\" && 1k > 2`, String.raw`x == r"\" && 1000 > 2`],
    [`x == """16Gi "2k" """ && 1k > 2`, `x == """16Gi "2k" """ && 1000 > 2`],
    ["a > 1k // 16Gi\n && b > 2k", "a > 1000 // 16Gi\n && b > 2000"],
    ["0x1F > 1e3 && 2u > 1u && 1.5 > 1", "0x1F > 1e3 && 2u > 1u && 1.5 > 1"],
  ];
  for (const [source, text] of expanded) assert.equal(expandQuantities(source).text, text);
});

test("refuses a number with letters that are no unit, and says where", () => {
  assert.throws(
    () => expandQuantities("host.memory > 16gb"),
    (error) =>
      error instanceof UnknownUnit && error.start === 14 && error.end === 18 && /'16gb'.*Ki, Mi/.test(error.message),
  );
});

test("knows where everything was", () => {
  const piece = fc.constantFrom("16Gi", "2k", "x", " ", "500M ", "&&", "1.5Ti ");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const source = pieces.join(" ");
      const { text, originalOffset } = expandQuantities(`${source} @`);
      assert.equal(originalOffset(text.indexOf("@")), source.length + 1);
      for (const [at, letter] of [...text].entries()) {
        if (letter === "x" || letter === "&") assert.equal(source[originalOffset(at)], letter);
      }
    }),
  );
});
