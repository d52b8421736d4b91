import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { silentLogger } from "nexus/base";
import type { Llama } from "node-llama-cpp";
import { writeTinyGguf } from "../../../test/support/tiny-gguf.ts";
import { generate } from "../src/generate.ts";
import { createGrammarBuilder } from "../src/json-schema-grammar.ts";
import { startLlama } from "../src/llama-runtime.ts";
import { readModelFacts } from "../src/model-facts.ts";
import { digitsBetween } from "../src/number-grammar.ts";
import { type OpenModel, openModel } from "../src/open-model.ts";

const grammarFor = (schema: unknown): string => {
  const grammar = createGrammarBuilder();
  return grammar.build(grammar.schema(schema, "response_format"));
};

describe("JSON schema grammars", { timeout: 120_000 }, () => {
  let directory: string;
  let llama: Llama;
  let model: OpenModel;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-grammar-"));
    const path = await writeTinyGguf(join(directory, "tiny.gguf"));
    llama = await startLlama(1, silentLogger);
    const facts = await readModelFacts(path);
    model = await openModel({ llama, id: "tiny", path, facts, contextTokens: 1024, parallel: 1, threads: 1 });
  });
  after(async () => {
    await model.dispose();
    await llama.dispose();
    await rm(directory, { recursive: true, force: true });
  });

  /** What a model that knows nothing writes under the grammar; undefined when it found no end. */
  const write = async (schema: unknown, seed: number, maxTokens = 250): Promise<string | undefined> => {
    let text = "";
    for await (const piece of generate(model, {
      prompt: model.model.tokenize("a"),
      maxTokens,
      sampling: { temperature: 2, topP: 1, topK: 0, minP: 0, seed, frequencyPenalty: 0, presencePenalty: 0 },
      stops: [],
      grammar: grammarFor(schema),
      topLogprobs: undefined,
      signal: new AbortController().signal,
    })) {
      text += piece.text;
      if (piece.end?.finishReason === "length") return undefined;
    }
    return text;
  };
  const ajv = new Ajv2020({ strict: false, validateFormats: false });

  const leaf = fc.oneof(
    fc.constant({ type: "boolean" }),
    fc.constant({ type: "null" }),
    fc.constant({ type: ["integer", "null"], minimum: -3, maximum: 40 }),
    fc
      .tuple(fc.integer({ min: -2000, max: 2000 }), fc.nat({ max: 3000 }))
      .map(([low, more]) => ({ type: "integer", minimum: low, maximum: low + more })),
    fc
      .tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: 2, max: 90 }))
      .map(([low, more]) => ({ type: "number", exclusiveMinimum: low, maximum: low + more })),
    fc
      .tuple(fc.nat({ max: 3 }), fc.nat({ max: 5 }))
      .map(([min, more]) => ({ type: "string", minLength: min, maxLength: min + more })),
    fc
      .array(fc.oneof(fc.string({ maxLength: 6 }), fc.integer(), fc.constant(null)), { minLength: 1, maxLength: 4 })
      .map((values) => ({ enum: values })),
  );
  const { schema: anySchema } = fc.letrec<{ schema: unknown }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      leaf,
      fc
        .tuple(fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), tie("schema"), { maxKeys: 4 }), fc.nat())
        .map(([properties, bits]) => ({
          type: "object",
          properties,
          required: Object.keys(properties).filter((_, index) => (bits >> index) & 1),
          additionalProperties: false,
        })),
      fc
        .tuple(tie("schema"), fc.nat({ max: 2 }))
        .map(([items, min]) => ({ type: "array", items, minItems: min, maxItems: min + 1 })),
      fc.tuple(tie("schema"), tie("schema")).map((anyOf) => ({ anyOf })),
    ),
  }));

  // proves: llm.json-schema
  it("let through nothing but what is valid, for any schema that they take", async () => {
    let complete = 0;
    await fc.assert(
      fc.asyncProperty(anySchema, fc.nat(), async (schema, seed) => {
        const text = await write(schema, seed);
        if (text === undefined) return;
        complete++;
        const value: unknown = JSON.parse(text);
        assert.ok(ajv.validate(schema as object, value), `${text} for ${JSON.stringify(schema)}: ${ajv.errorsText()}`);
      }),
      { numRuns: 80 },
    );
    assert.ok(complete > 40, `only ${complete} answers were complete`);
  });

  it("write bounded strings in whole characters, whatever bytes the model would like", async () => {
    const schema = { type: "string", minLength: 12, maxLength: 12 };
    let wide = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const text = (await write(schema, seed)) ?? "";
      assert.equal([...JSON.parse(text)].length, 12, text);
      assert.ok(!text.includes("\uFFFD"), `seed ${seed}: ${text}`);
      if (/[\u0800-\u0fff\u{10000}-\u{3ffff}]/u.test(text)) wide++;
    }
    assert.ok(wide > 0, "none began with a byte after which not every other one may come");
  });

  it("follow references, also to themselves", async () => {
    const schema = {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: { value: { type: "boolean" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
          required: ["value", "next"],
          additionalProperties: false,
        },
      },
    };
    for (const seed of [1, 2, 3, 4]) {
      const text = await write(schema, seed);
      if (text !== undefined) assert.ok(ajv.validate(schema, JSON.parse(text)), text);
    }
  });

  it("take the bounds that schema libraries write for whole numbers", async () => {
    const schema = { type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
    assert.ok(Number.isSafeInteger(JSON.parse((await write(schema, 1)) ?? "")));
    assert.throws(() => grammarFor({ type: "integer", minimum: Number.MAX_SAFE_INTEGER }), /lies within the bounds/);
  });

  it("write dates, times and ids", async () => {
    const formats = ["date", "time", "date-time", "uuid"];
    const properties = Object.fromEntries(formats.map((format) => [format, { type: "string", format }]));
    const text = (await write({ type: "object", properties, required: formats }, 5)) ?? "";
    const value = JSON.parse(text) as Record<string, string>;
    assert.match(value.date ?? "", /^\d{4}-\d\d-\d\d$/);
    assert.ok(Number.isFinite(Date.parse(value["date-time"] ?? "")));
    assert.match(value.uuid ?? "", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });
});

describe("JSON schemas that cannot be enforced", () => {
  for (const [schema, reason] of [
    [{ type: "string", pattern: "^a" }, /"pattern" at schema is not supported/],
    [{ type: "string", format: "email" }, /format "email"/],
    [{ type: "array", uniqueItems: true }, /"uniqueItems"/],
    [{ type: "object", properties: { a: { not: {} } } }, /"not" at schema\.a/],
    [{ allOf: [{ type: "string" }, { minLength: 2 }] }, /"allOf" of several/],
    [{ oneOf: [{ type: "string" }, { type: ["string", "null"] }] }, /exclude each other/],
    [{ type: "integer", minimum: 5, maximum: 4 }, /no integer .* lies within the bounds/],
    [{ type: "number", multipleOf: 0.5 }, /"multipleOf"/],
    [{ $ref: "https://example.org/schema" }, /leads out of the schema/],
    [{ $ref: "#/$defs/none" }, /finds no/],
    [{ $ref: "#" }, /circles|itself/],
    [{ type: "wish" }, /which is no type/],
    [false, /is no schema/],
    [{ enum: [] }, /lists no values/],
    [{ type: "object", required: ["a"], additionalProperties: false }, /requires "a"/],
    [{ enum: ["x".repeat(70_000)] }, /too large/],
  ] as const) {
    it(`says ${reason.source}`, () => {
      assert.throws(
        () => grammarFor(schema),
        (error: { code?: string; message: string; param?: string }) => {
          assert.equal(error.code, "invalid_request");
          assert.equal(error.param, "response_format");
          assert.match(error.message, reason);
          return true;
        },
      );
    });
  }

  const node = (properties: object) => ({ type: "object", properties, required: Object.keys(properties) });
  const expression = (...alternatives: object[]) => ({ $ref: "#/$defs/e", $defs: { e: { anyOf: alternatives } } });
  const self = { $ref: "#/$defs/e" };

  it("refuse alternatives that begin alike and contain themselves", () => {
    const schema = expression(node({ a: self, b: { type: "null" } }), node({ a: self, c: { type: "null" } }));
    assert.throws(() => grammarFor(schema), /begin alike/);
    const chain = Array.from({ length: 8 }, (_, index) => {
      const next = index === 7 ? {} : { $ref: `#/$defs/n${index + 1}` };
      return [`n${index}`, { anyOf: [node({ a: next, b: true }), node({ a: next, c: true })] }];
    });
    assert.throws(() => grammarFor({ $ref: "#/$defs/n0", $defs: Object.fromEntries(chain) }), /begin alike/);
  });

  it("take those that a constant or a name tells apart at once", () => {
    const number = { type: "number" };
    const operation = (name: string) => node({ op: { const: name }, left: self, right: self });
    assert.ok(grammarFor(expression(operation("add"), operation("multiply"), number)));
    assert.ok(grammarFor(expression(node({ leaf: number }), node({ left: self, right: self }))));
    assert.ok(grammarFor(expression(node({ next: self }), { type: "null" })));
  });

  it("take oneOf where a constant tells the alternatives apart", () => {
    const kind = (name: string) => ({ type: "object", properties: { kind: { const: name } }, required: ["kind"] });
    assert.match(grammarFor({ oneOf: [kind("a"), kind("b")] }), /^root ::= r\d+/);
  });
});

describe("digits between two numbers", () => {
  it("are all of them and no others", () => {
    fc.assert(
      fc.property(fc.nat({ max: 1200 }), fc.nat({ max: 1200 }), (one, other) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        // What is written here of GBNF is a regular expression once quotes and blanks are gone.
        const pattern = new RegExp(`^(?:${digitsBetween(low, high).join("|").replaceAll(/["\s]/g, "")})$`);
        for (let number = 0; number <= 1300; number++) {
          assert.equal(pattern.test(String(number)), number >= low && number <= high, `${number} in ${low}..${high}`);
        }
      }),
      { numRuns: 60 },
    );
  });
});
