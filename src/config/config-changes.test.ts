import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { composeConfig } from "./compose.ts";
import { compareConfigs, findRestarts } from "./config-changes.ts";
import { type Config, configSchema } from "./schema.ts";
import { parseYamlSource } from "./yaml-source.ts";

function compose(text: string) {
  return composeConfig(configSchema, { name: "f", source: parseYamlSource(text) }, []);
}

function changes(before: string, after: string): string[] {
  return compareConfigs(compose(before).config, compose(after).config).map(({ key, kind }) => `${key} ${kind}`);
}

test("what differs is named by its key, and items of lists by what they are called", () => {
  assert.deepEqual(changes("", ""), []);
  assert.deepEqual(changes("aliases: { a: x, b: y }", "aliases: { a: z, c: y }"), [
    "aliases.a changed",
    "aliases.c added",
    "aliases.b removed",
  ]);
  const service = (name: string, extra = "") => `{ name: ${name}, command: [x]${extra} }`;
  assert.deepEqual(
    changes(
      `services: [${service("one")}, ${service("two")}, ${service("three")}]`,
      `services: [${service("three")}, ${service("two", ", graceMs: 1")}, ${service("four")}]`,
    ),
    ["services[two] changed", "services[four] added", "services[one] removed"],
  );
  assert.deepEqual(changes("routes: [{ model: a }]", "routes: [{ model: a, allowPaid: true }]"), ["routes[a] changed"]);
  assert.deepEqual(changes("", "discovery: { ports: [1] }"), ["discovery.ports changed"]);
});

test("another order is a change, too", () => {
  assert.deepEqual(changes("routes: [{ model: a* }, { model: b* }]", "routes: [{ model: b* }, { model: a* }]"), [
    "routes changed",
  ]);
});

test("values are not told", () => {
  const secret = "sk-live-0123456789abcdef";
  const told = compareConfigs(
    compose("").config,
    compose(`services: [{ name: s, command: [x, ${secret}], env: { KEY: ${secret} } }]`).config,
  );
  assert.equal(told.length, 1);
  assert.ok(!JSON.stringify(told).includes(secret));
});

// proves: reload.all-or-nothing
test("what takes a restart is told with its line and the reason", () => {
  const after = compose("aliases: { a: b }\nlisten:\n  port: 1\ndatabase:\n  url: sqlite:x\n");
  const problems = findRestarts(compareConfigs(compose("").config, after.config), after.whereIs);
  assert.deepEqual(
    problems.map(({ where, path }) => `${where} ${path}`),
    ["f:3 listen.port", "f:5 database.url"],
  );
  assert.match(problems[0]?.message ?? "", /^takes a restart, because clients are connected there/);
});

// proves: reload.objects
test("of what clients leave here only the folder of files takes a restart", () => {
  const restartsFor = (text: string) => {
    const after = compose(text);
    return findRestarts(compareConfigs(compose("").config, after.config), after.whereIs).map(({ path }) => path);
  };
  assert.deepEqual(restartsFor("responses: { keepDays: 1 }\nbatches: { openMax: 1 }\nfiles: { bytesMax: 2048 }\n"), []);
  assert.deepEqual(restartsFor("files: { directory: /srv/files }\n"), ["files.directory"]);
});

test("two configurations are the same exactly when nothing differs", () => {
  const text = fc.record(
    {
      aliases: fc.dictionary(fc.constantFrom("a", "b", "c"), fc.constantFrom("x", "y")),
      routes: fc.uniqueArray(fc.record({ model: fc.constantFrom("a", "b", "a*", "b*"), allowPaid: fc.boolean() }), {
        selector: ({ model }) => model,
      }),
      discovery: fc.record({
        enabled: fc.boolean(),
        ports: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
      }),
    },
    { requiredKeys: [] },
  );
  const parse = (value: unknown): Config => compose(JSON.stringify(value)).config;
  fc.assert(
    fc.property(text, text, (left, right) => {
      const [before, after] = [parse(left), parse(right)];
      const isSame = JSON.stringify(sorted(before)) === JSON.stringify(sorted(after));
      assert.equal(compareConfigs(before, after).length === 0, isSame);
    }),
    { numRuns: 200 },
  );
});

/** A map's keys have no order. */
function sorted(config: Config): unknown {
  const aliases = Object.entries(config.aliases).sort(([a], [b]) => (a < b ? -1 : 1));
  return { ...config, aliases };
}
