import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { composeConfig } from "./compose.ts";
import { listConfigKeys, toJsonSchema } from "./config-keys.ts";
import { generatedFiles } from "./generate.ts";
import { configSchema } from "./schema.ts";
import { parseYamlSource } from "./yaml-source.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => readFile(fileURLToPath(new URL(path, root)), "utf8");

for (const [path, render] of Object.entries(generatedFiles)) {
  // proves: house.errors-page, house.example-config
  test(`${path} is what the schema says; \`npm run schema\` writes it`, async () => {
    assert.equal(await read(path), render());
  });
}

/** The example as it is, and with the settings in it that are comments: those without a space behind their `#`, or two. */
async function readExample() {
  const text = await read("nexus.example.yaml");
  const full = text
    .replaceAll(/^( *)#(?=[^\s#]| {2})/gm, "$1")
    .replaceAll(/^( *)(\w+:) (?:\[\]|\{\})\n(?=\1[ -])/gm, "$1$2\n");
  return { text, full };
}

function compose(text: string) {
  return composeConfig(configSchema, { name: "nexus.example.yaml", source: parseYamlSource(text) }, []).config;
}

// proves: house.example-config
test("the example is valid and says the defaults", async () => {
  const { text } = await readExample();
  assert.deepEqual(compose(text), compose(""));
});

// proves: house.example-config
test("the example with all its lines is valid and has every key", async () => {
  const { full } = await readExample();
  compose(full);
  const value = parseYamlSource(full).value;
  const missing = listConfigKeys(toJsonSchema(configSchema))
    .map(({ path }) => path)
    .filter((path) => !has(value, path));
  assert.deepEqual(missing, []);
});

function has(value: unknown, path: string): boolean {
  const found = path
    .replaceAll("[]", ".0")
    .split(".")
    .reduce<unknown>((node, part) => {
      const members = Object(node) as Record<string, unknown>;
      return part === "*" ? Object.values(members)[0] : members[part];
    }, value);
  return found !== undefined;
}
