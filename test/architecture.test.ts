import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { importRules } from "./architecture/import-rules.ts";
import { nameRules } from "./architecture/name-rules.ts";
import { packageRules } from "./architecture/package-rules.ts";
import { rooms, strangers } from "./architecture/rooms.ts";
import { buildHouse, type Violation } from "./architecture/rule.ts";
import { shapeRules } from "./architecture/shape-rules.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const patterns = [
  "{src,test,scripts,bench}/**/*.{ts,mjs}",
  "services/*/**/*.{ts,mjs}",
  "package.json",
  "services/*/package.json",
];

function readRepository(): Record<string, string> {
  const paths = globSync(patterns, { cwd: root, exclude: (path) => path.includes("node_modules") });
  return Object.fromEntries(paths.sort().map((path) => [path, readFileSync(join(root, path), "utf8")]));
}

function list(violations: readonly Violation[]): string {
  return violations.map(({ where, what }) => `${where}  ${what}`).join("\n");
}

const house = buildHouse(readRepository());

// proves: house.borders
for (const rule of [...importRules, ...shapeRules, ...nameRules, ...packageRules]) {
  describe(rule.name, () => {
    it("holds", () => {
      const violations = [...rule.find(house)];
      assert.ok(violations.length === 0, `\n${list(violations)}\n`);
    });
    for (const [path, text] of Object.entries(rule.broken)) {
      it(`would find ${JSON.stringify(text.trim().slice(0, 60))} in ${path}`, () => {
        const found = [...rule.find(buildHouse({ [path]: text, ...rule.beside }))];
        assert.ok(
          found.some(({ where }) => where.startsWith(path)),
          `found only:\n${list(found)}`,
        );
      });
    }
  });
}

describe("the rooms", () => {
  it("are built on each other without a circle", () => {
    const names = Object.keys(rooms);
    for (const [name, { imports }] of Object.entries(rooms)) {
      const later = imports.filter((other) => names.indexOf(other) > names.indexOf(name));
      assert.deepEqual(later, [], `${name} imports rooms that stand after it in test/architecture/rooms.ts`);
    }
  });

  it("keep strangers apart", () => {
    for (const name of strangers) {
      const known = [...(rooms[name]?.imports ?? []), ...(rooms[name]?.types ?? [])];
      assert.deepEqual(
        known.filter((other) => strangers.includes(other)),
        [],
      );
    }
  });

  it("are in the map of ARCHITECTURE.md", () => {
    const map = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
    assert.deepEqual(
      Object.keys(rooms).filter((name) => !map.includes(`\`src/${name}/\``)),
      [],
    );
  });
});
