import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { builtinModels, defaultModelId } from "./builtin-models.ts";
import { addModel, cataloguePath, findEntry, loadCatalogue } from "./catalogue.ts";
import { modelsConfigSchema } from "./config.ts";
import { redirectTarget } from "./fetch-url.ts";
import { listModels } from "./list-models.ts";
import { describeSource, modelSourceSchema, parseModelSource } from "./model-source.ts";

const digest = "a".repeat(64);

describe("the catalogue", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-catalogue-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it("pins every built-in source, by digest and size", () => {
    for (const source of builtinModels.flatMap((entry) => entry.sources)) {
      assert.ok(modelSourceSchema.safeParse(source).success);
      assert.ok(source.sha256 !== undefined && source.bytes !== undefined, describeSource(source));
    }
    assert.ok(builtinModels.some(({ id }) => id === defaultModelId));
    assert.equal(modelsConfigSchema.parse({}).default, defaultModelId);
  });

  it("keeps additions, several sources of one model in their order", async () => {
    await addModel({ directory, id: "mine", from: "https://example.org/a.gguf", sha256: `sha256:${digest}` });
    await addModel({ directory, id: "mine", from: "pypi:mine==1.2.3" });
    await addModel({ directory, id: "mine", from: "https://example.org/a.gguf", sha256: digest });
    const entry = await findEntry(directory, "mine");
    assert.deepEqual(entry.sources.map(describeSource), ["pip mine==1.2.3", "example.org"]);
    const listed = (await listModels(directory)).models.find(({ id }) => id === "mine");
    assert.equal(listed?.installed, null);
    assert.equal(listed?.origin, "added");
  });

  it("hides nothing behind a broken entry, and never writes over what it cannot read", async () => {
    await addModel({ directory, id: "good", from: "/models/good.gguf" });
    const file = JSON.parse(await readFile(cataloguePath(directory), "utf8"));
    file.models.push({ id: "BAD" }, { ...file.models[0], id: defaultModelId });
    await writeFile(cataloguePath(directory), JSON.stringify(file));
    const { entries, problems } = await loadCatalogue(directory);
    assert.equal(entries.length, builtinModels.length + 1);
    assert.match(problems.join("\n"), /model 2: id: lower-case.*\n.*model 3: the name smollm2-135m-instruct is taken/);
    await assert.rejects(addModel({ directory, id: "new", from: "/x.gguf" }), /Mend the file/);
  });

  it("names close models when there is none of a name", async () => {
    await assert.rejects(findEntry(directory, "smollm2-135m-instrukt"), /Did you mean smollm2-135m-instruct\?/);
  });

  it("refuses the name of a built-in model", async () => {
    await assert.rejects(addModel({ directory, id: defaultModelId, from: "/x.gguf" }), { code: "conflict" });
    await assert.rejects(addModel({ directory, id: "../x", from: "/x.gguf" }), { code: "invalid_request" });
  });
});

describe("sources", () => {
  for (const [text, reason] of [
    ["model.gguf", /absolute path/],
    ["ftp://example.org/m.gguf", /https URL/],
    ["pypi:mine", /with its version/],
    ["pypi:--index-url==1", /with its version/],
    ["pypi:a==1 --pre", /with its version/],
    ["https://user:secret@example.org/m.gguf", /user or password/],
    ["http://example.org/m.gguf", /plain http URL needs a sha256/],
  ] as const) {
    it(`refuses ${text}`, () => assert.throws(() => parseModelSource(text), reason));
  }

  it("follows a redirect to https, and to http only from http", () => {
    assert.equal(redirectTarget(new URL("https://a.example/x"), "/y").href, "https://a.example/y");
    assert.equal(redirectTarget(new URL("http://a.example/x"), "https://b.example/y").protocol, "https:");
    assert.throws(() => redirectTarget(new URL("https://a.example/x"), "http://a.example/y"), /without encryption/);
    assert.throws(() => redirectTarget(new URL("http://a.example/x"), "file:///etc/passwd"), /without encryption/);
  });
});
