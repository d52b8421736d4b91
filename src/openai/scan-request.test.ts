import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { NexusError } from "../base/errors.ts";
import { jsonDepthMax } from "../base/json-depth.ts";
import { JsonScanner, JsonSyntaxError } from "./json-scanner.ts";
import { replaceModel, scanRequest } from "./scan-request.ts";

const scan = (text: string) => scanRequest(Buffer.from(text));

function isAccepted(text: string | Buffer): boolean {
  try {
    new JsonScanner(typeof text === "string" ? Buffer.from(text) : text, () => {}).document();
    return true;
  } catch (error) {
    assert.ok(error instanceof JsonSyntaxError, String(error));
    return false;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Text that is JSON, or was until one place of it was cut, doubled or replaced. */
const almostJson = fc
  .tuple(
    fc.json({ maxDepth: 6 }),
    fc.nat(),
    fc.constantFrom("", '"', "\\", ",", "}", "]", "0", "-", "e", "\t", "\u0001", "\\u12", " "),
  )
  .map(([text, place, insert]) => {
    const at = place % (text.length + 1);
    return place % 3 === 0 ? text : text.slice(0, at) + insert + text.slice(at + (place % 2));
  });

describe("JsonScanner", () => {
  it("accepts exactly what JSON.parse accepts", () => {
    fc.assert(
      fc.property(almostJson, (text) => {
        assert.equal(isAccepted(text), parses(text), text);
      }),
      { numRuns: 3000 },
    );
  });

  it("finds every byte that ends or spoils a string, wherever it stands and the string begins", () => {
    for (let before = 0; before < 4; before++) {
      for (let length = 0; length < 14; length++) {
        for (let place = 0; place <= length; place++) {
          for (const odd of ['"', "\\", "\\n", "\u001f", "\u0000", " ", "!", "#", "[", "]", "\u007f", "é", "€"]) {
            const content = "x".repeat(place) + odd + "x".repeat(length - place);
            // A part of a larger body, as the second request in one read is.
            const text = Buffer.from(`${" ".repeat(before)}"${content}"`).subarray(before);
            assert.equal(isAccepted(text), parses(text.toString()), JSON.stringify(content));
          }
        }
      }
    }
  });

  for (const text of [
    "",
    " ",
    "01",
    "-",
    "1.",
    "1e",
    "+1",
    ".5",
    "nul",
    "[1,]",
    '{"a":1,}',
    "[1 2]",
    '"\u0000"',
    '"\\x"',
    "{a:1}",
    "\ufeff{}",
    "1 1",
    "[",
    "-0",
    "1E+2",
    '"\\ud800"',
    "[[]]",
    "NaN",
  ]) {
    it(`agrees with JSON.parse on ${JSON.stringify(text)}`, () => assert.equal(isAccepted(text), parses(text)));
  }

  it("refuses what is nested too deep and takes what is just deep enough", () => {
    assert.equal(isAccepted("[".repeat(jsonDepthMax) + "]".repeat(jsonDepthMax)), true);
    assert.equal(isAccepted("[".repeat(jsonDepthMax + 1) + "]".repeat(jsonDepthMax + 1)), false);
  });
});

describe("scanRequest", () => {
  it("finds model, stream and needs wherever they stand, and only at the top level", () => {
    const result = scan('{"messages":[{"model":"no","stream":true}],"stream" : true ,\n"model":"a/b:c","tools":[{}]}');
    assert.equal(result.model, "a/b:c");
    assert.equal(result.stream, true);
    assert.deepEqual(result.needs, { tools: true, vision: false, json_schema: false });
  });

  it("reads needs from the parts that carry them", () => {
    assert.equal(
      scan('{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{}}]}]}').needs.vision,
      true,
    );
    assert.equal(scan('{"model":"m","messages":[],"tools":[{"parameters":{"image_url":{}}}]}').needs.vision, false);
    const inAnthropics = (type: string) =>
      scan(`{"model":"m","messages":[{"content":[{"type":${type},"source":{}}]}]}`).needs.vision;
    assert.deepEqual(['"image"', '"images"', '"document"', "{}"].map(inAnthropics), [true, false, false, false]);
    assert.equal(scan('{"model":"m","tools":[ ]}').needs.tools, false);
    assert.equal(scan('{"model":"m","tools":null}').needs.tools, false);
    assert.equal(scan('{"model":"m","response_format":{"type":"json_schema"}}').needs.json_schema, true);
    assert.equal(scan('{"model":"m","response_format":{"type":"text"}}').needs.json_schema, false);
    // As Anthropic's messages have it, now and at first, and as responses have it.
    for (const [key, inner] of [["output_config", "format"], ["output_format"], ["text", "format"]] as const) {
      const needs = (format: unknown) => {
        const value = inner === undefined ? format : { effort: "low", [inner]: format };
        return scan(JSON.stringify({ [key]: value, model: "m" })).needs.json_schema;
      };
      assert.equal(needs({ type: "json_schema", schema: {} }), true, key);
      for (const other of [{ type: "text" }, {}, null, "json_schema", [], 1]) assert.equal(needs(other), false, key);
      assert.equal(scan(`{"model":"m","${key}":"json_schema"}`).needs.json_schema, false);
      assert.throws(() => scan(`{"model":"m","${key}":{},"${key}":{}}`), /twice/);
    }
    const deep = { metadata: { output_config: { format: { type: "json_schema" } } }, model: "m" };
    assert.equal(scan(JSON.stringify(deep)).needs.json_schema, false);
  });

  const refused: readonly [string, string, string][] = [
    ["no body", "", "invalid_json"],
    ["half a body", '{"model":"x","messages":[', "invalid_json"],
    ["nonsense inside", '{"model":"x","messages":[1 2]}', "invalid_json"],
    ["a list", '[{"model":"x"}]', "invalid_json"],
    ["no model", '{"messages":[]}', "missing_model"],
    ["an empty model", '{"model":""}', "missing_model"],
    ["a model that is a number", '{"model":7}', "missing_model"],
    ["the model twice", '{"model":"a","model":"b"}', "invalid_request"],
    ["the model twice, once escaped", '{"model":"a","mod\\u0065l":"b"}', "invalid_request"],
    ["stream twice", '{"model":"a","stream":true,"stream":false}', "invalid_request"],
    ["a stream that is a string", '{"model":"a","stream":"true"}', "invalid_request"],
    ["a very long model", `{"model":"${"x".repeat(257)}"}`, "invalid_request"],
  ];
  for (const [title, text, code] of refused) {
    it(`refuses ${title}`, () => {
      assert.throws(
        () => scan(text),
        (error) => error instanceof NexusError && error.code === code,
      );
    });
  }

  it("refuses bytes that are not UTF-8", () => {
    const body = Buffer.concat([Buffer.from('{"model":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    assert.throws(
      () => scanRequest(body),
      (error) => error instanceof NexusError && error.code === "invalid_json",
    );
  });

  it("reads the same as JSON.parse, and replaces the model and nothing else", () => {
    const bodies = fc.record(
      {
        model: fc.string({ minLength: 1, maxLength: 40, unit: "binary" }),
        stream: fc.boolean(),
        messages: fc.jsonValue(),
        extra: fc.jsonValue(),
      },
      { requiredKeys: ["model"] },
    );
    fc.assert(
      fc.property(bodies, fc.string({ minLength: 1 }), fc.constantFrom(0, 2), (body, model, indent) => {
        // A lone surrogate cannot be written as UTF-8; JSON.stringify escapes it.
        const bytes = Buffer.from(JSON.stringify(body, null, indent));
        const result = scanRequest(bytes);
        assert.equal(result.model, body.model);
        assert.equal(result.stream, body.stream ?? false);
        const replaced: unknown = JSON.parse(replaceModel(bytes, result, model).toString());
        assert.deepEqual(replaced, JSON.parse(JSON.stringify({ ...body, model })));
      }),
      { numRuns: 1000 },
    );
  });

  it("puts a model in where it may be left out, and changes nothing else", () => {
    const bodies = fc.record({ model: fc.constant(null), a: fc.jsonValue() }, { requiredKeys: [] });
    fc.assert(
      fc.property(bodies, fc.string({ minLength: 1 }), fc.constantFrom("", " ", "\r\n\t"), (body, model, space) => {
        const text = JSON.stringify(body);
        const bytes = Buffer.from(`${space}{${space}${text.slice(1, -1)}${space}}${space}`);
        assert.throws(() => scanRequest(bytes), { code: "missing_model" });
        const result = scanRequest(bytes, { isModelOptional: true });
        assert.equal(result.model, "");
        const replaced: unknown = JSON.parse(replaceModel(bytes, result, model).toString());
        assert.deepEqual(replaced, JSON.parse(JSON.stringify({ ...body, model })));
      }),
    );
    for (const model of ['""', "7", "[]"]) {
      const wrong = Buffer.from(`{"model":${model}}`);
      assert.throws(() => scanRequest(wrong, { isModelOptional: true }), { code: "missing_model" });
    }
  });
});
