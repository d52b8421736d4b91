import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileGlob } from "./glob.ts";

test("a star stands for anything, and nothing else stands for something else", () => {
  const fits: readonly [string, string, boolean][] = [
    ["llama3", "llama3", true],
    ["llama3", "llama3:8b", false],
    ["llama3*", "llama3:8b", true],
    ["*", "", true],
    ["a*a", "a", false],
    ["a*b*c", "a-b-b-c", true],
    ["gpt-4.*", "gpt-4xo", false],
    ["*:latest", "qwen:latest", true],
  ];
  for (const [pattern, name, expected] of fits)
    assert.equal(compileGlob(pattern)(name), expected, `${pattern} ${name}`);
});

test("says what a regular expression says", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "*", "."), maxLength: 8 });
  fc.assert(
    fc.property(text, text, (pattern, name) => {
      const source = pattern.replaceAll(".", "\\.").replaceAll("*", "[^]*");
      assert.equal(compileGlob(pattern)(name), new RegExp(`^${source}$`).test(name));
    }),
    { numRuns: 2_000 },
  );
});
