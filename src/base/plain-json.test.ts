import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import { readPlainJson } from "./plain-json.ts";

test("reads JSON as programs write it, and means what a reader of YAML would", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.boolean(), (content, isIndented) => {
      const text = `${JSON.stringify(content, null, isIndented ? 2 : 0)}\n`;
      // -0 is written as 0.
      assert.deepEqual(readPlainJson(text)?.value, JSON.parse(text));
      assert.equal(JSON.stringify(parse(text)), JSON.stringify(readPlainJson(text)?.value));
    }),
    { numRuns: 200 },
  );
});

test("leaves everything else to the reader of YAML", () => {
  const others = [
    "",
    "a: 1\n",
    '{"a":1,"a":2}',
    '{ "a": 1 }',
    "{a: 1}",
    '{"a":1} # note',
    '["a",]',
    "12",
    '{"b":',
    "# {}",
  ];
  for (const text of others) assert.equal(readPlainJson(text), undefined, text);
});
