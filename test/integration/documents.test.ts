import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { composeConfig } from "../../src/config/compose.ts";
import { configSchema } from "../../src/config/schema.ts";
import { parseYamlSource } from "../../src/config/yaml-source.ts";
import { parsePriceList } from "../../src/keys/price-list.ts";
import { commandSchema } from "../../src/service-kit/from-command.ts";
import { upstreamSchema } from "../../src/service-kit/upstream-file.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const documents = ["*.md", "docs/**/*.md"].flatMap((pattern) => globSync(pattern, { cwd: root })).sort();
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** The code blocks of a document in one language, with the line where each begins. */
function blocks(text: string, language: string): readonly { readonly line: number; readonly code: string }[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(({ index, 1: code = "" }) => ({
    line: text.slice(0, index).split("\n").length,
    code,
  }));
}

// proves: house.documents
describe("the documents", () => {
  const examples = documents.flatMap((path) => blocks(read(path), "yaml").map((block) => ({ path, ...block })));

  for (const { path, line, code } of examples) {
    it(`show what can be used: ${path}:${line}`, () => {
      const source = parseYamlSource(code);
      const shown = Object(source.value) as {
        prices?: unknown;
        command?: unknown;
        operations?: unknown;
        work?: unknown;
      };
      if (Array.isArray(shown.prices)) parsePriceList(code);
      else if (shown.command !== undefined) commandSchema.parse(shown);
      else if (shown.operations !== undefined || shown.work !== undefined) upstreamSchema.parse(shown);
      else composeConfig(configSchema, { name: path, source }, []);
    });
  }

  it("show something in each guide that has settings", () => {
    assert.ok(examples.length >= 12, String(examples.length));
  });

  for (const path of documents) {
    it(`link to what is there: ${path}`, () => {
      const targets = [...read(path).matchAll(/\]\((?!https?:)([^)\s#]*)(#[^)\s]*)?\)/g)];
      const broken = targets.filter(([, file = "", anchor]) => {
        const target = file === "" ? path : join(dirname(path), file);
        return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsOf(target).has(anchor.slice(1)));
      });
      assert.deepEqual(
        broken.map(([link]) => link),
        [],
      );
    });
  }
});

/** What can be linked to in a document, as GitHub names it. */
function anchorsOf(path: string): ReadonlySet<string> {
  const headings = [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, text = ""]) => text.toLowerCase());
  return new Set(headings.map((text) => text.replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")));
}

// proves: house.headers-page
describe("docs/reference/headers.md", () => {
  const [readHere = "", answered = ""] = read("docs/reference/headers.md").split("\n## Answered\n");
  const code = ["gateway", "translate", "keys", "openai"]
    .flatMap((room) => globSync(`src/${room}/**/*.ts`, { cwd: root }))
    .filter((path) => !path.endsWith(".test.ts"))
    .map(read)
    .join("\n");
  const namesIn = (pattern: RegExp) => [...new Set([...code.matchAll(pattern)].map(([, name = ""]) => name))].sort();
  const missing = (page: string, names: readonly string[]) => names.filter((name) => !page.includes(`\`${name}\``));

  it("has every header that the gateway reads", () => {
    assert.deepEqual(missing(readHere, namesIn(/\.header\("([a-z-]+)"\)/g)), []);
  });

  it("has every header that the gateway answers", () => {
    const named = namesIn(/setHeader\("([a-z-]+)"/g);
    const own = namesIn(/["'`](x-nexus-(?!class|timeout|relayed)[a-z-]+|x-should-retry|x-accel-buffering)["'`]/g);
    assert.ok(named.length > 5 && own.length > 3);
    assert.deepEqual(missing(answered, [...named, ...own]), []);
  });

  it("has none that the code does not know", () => {
    const rows = [...`${readHere}${answered}`.matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \|/gm)];
    const names = rows.flatMap(([, cell = ""]) => [...cell.matchAll(/`([a-z-]+)`/g)].map(([, name = ""]) => name));
    assert.ok(names.length > 20);
    // Their last word is what is measured.
    const inCode = (name: string) => code.includes(name.replace(/^(x-ratelimit-\w+)-(?:requests|tokens)$/, "$1-"));
    assert.deepEqual(
      names.filter((name) => !inCode(name)),
      [],
    );
  });
});
