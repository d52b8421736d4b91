import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { z } from "zod";
import { composeConfig } from "./compose.ts";
import { ConfigError } from "./config-error.ts";
import { configSchema } from "./schema.ts";
import { parseYamlSource } from "./yaml-source.ts";

function compose(text: string) {
  return composeConfig(configSchema, { name: "f", source: parseYamlSource(text) }, []);
}

/** Whatever the file says, the outcome is a configuration or a list of problems. */
function survives(text: string): void {
  try {
    compose(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.ok(error.problems.length > 0);
    for (const problem of error.problems) assert.match(problem.where, /^f:[1-9]\d*$/);
  }
}

test("any text is a configuration or a list of problems with lines", () => {
  fc.assert(fc.property(fc.string(), survives), { numRuns: 500 });
});

test("any structure is too", () => {
  fc.assert(
    fc.property(fc.object({ withNullPrototype: true, maxDepth: 4 }), (value) => survives(stringify(value))),
    { numRuns: 300 },
  );
});

test("any change of a valid configuration is too", () => {
  const key = fc.constantFrom(
    "listen",
    "auth",
    "gateway",
    "aliases",
    "services",
    "models",
    "logs",
    "builtin",
    "registry",
  );
  const value = fc.oneof(fc.jsonValue(), fc.record({ port: fc.anything(), name: fc.anything(), level: fc.string() }));
  fc.assert(
    fc.property(fc.dictionary(key, value), (file) => survives(JSON.stringify(file))),
    { numRuns: 500 },
  );
});

test("a key called __proto__ is unknown and changes nothing", () => {
  assert.throws(() => compose('{"__proto__": {"polluted": true}, "listen": {"__proto__": {"port": 1}}}'), ConfigError);
  assert.equal(Object.hasOwn(Object.prototype, "polluted"), false);
});

test("a message never repeats a value", () => {
  const secret = "sk-live-0123456789abcdef";
  const files = [
    `listen: { port: ${secret}, host: [${secret}] }`,
    `auth: { mode: ${secret} }`,
    `logs: { level: ${secret} }`,
    `services: [{ name: "${secret} x", command: ${secret} }]`,
  ];
  for (const file of files) {
    assert.throws(
      () => compose(file),
      (error: Error) => !error.message.includes(secret),
    );
  }
});

test("of several shapes, the problem is told of the one that was meant", () => {
  const schema = z.strictObject({
    target: z.union([z.string(), z.strictObject({ url: z.string(), retries: z.number().max(3) }), z.null()]),
  });
  const source = parseYamlSource("target:\n  url: x\n  retries: many\n  retires: 1\n");
  assert.throws(() => composeConfig(schema, { name: "f", source }, []), {
    message: "f:3  target.retries: must be a number\nf:4  target.retires: unknown key; did you mean 'retries'?",
  });
});
