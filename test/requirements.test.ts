import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { requirements } from "./requirements.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const citation = /^\s*(?:\/\/|#) proves: (.+)$/gm;

/** Where each requirement is cited, by its id. */
function readCitations(): ReadonlyMap<string, readonly string[]> {
  const cited = new Map<string, string[]>();
  const patterns = ["{test,src}/**/*.{test.ts,py}", "services/*/**/*.test.ts"];
  for (const file of globSync(patterns, { cwd: root, exclude: (path) => path.includes("node_modules") })) {
    for (const [, ids = ""] of readFileSync(join(root, file), "utf8").matchAll(citation)) {
      for (const id of ids.split(/,\s*/)) cited.set(id.trim(), [...(cited.get(id.trim()) ?? []), file]);
    }
  }
  return cited;
}

const cited = readCitations();

test("every requirement is cited by a test that proves it", () => {
  const missing = Object.entries(requirements).filter(([id]) => !cited.has(id));
  const lines = missing.map(([id, text]) => `${id.padEnd(28)} ${text}`);
  const advice = "Write above the test that proves it: // proves: ID";
  assert.ok(missing.length === 0, `\n${missing.length} without a test:\n${lines.join("\n")}\n${advice}\n`);
});

test("no test cites a requirement that does not exist", () => {
  const unknown = [...cited].filter(([id]) => !Object.hasOwn(requirements, id));
  assert.deepEqual(
    unknown.map(([id, files]) => `${id} in ${files.join(", ")}`),
    [],
  );
});
