import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { KeptModel } from "@nexus/embeddings/text-models";
import { type Logger, silentLogger } from "nexus/base";
import type { Examples } from "./examples.ts";
import { learnOnce } from "./learn-once.ts";

const none = {
  threat: [],
  hate: [],
  hatefulThreat: [],
  crime: [],
  weapon: [],
  selfHarmWish: [],
  selfHarmMeans: [],
  sexual: [],
  gore: [],
};
const examples: Examples = { ...none, insult: ["you fool", "you swine"], harmless: ["good day", "see you", "thanks"] };

interface Start {
  readonly examples?: Examples;
  readonly sha256?: string;
  readonly runtime?: string;
  readonly mark?: (text: string) => string;
}

/** Starts again and again with one directory. The model's vectors say how long a text is and how it begins. */
async function createStarts(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "nexus-learned-"));
  t.after(() => rm(directory, { recursive: true }));
  const start = async ({ sha256 = "a1", runtime = "fake 1", mark = (text) => text, ...changes }: Start = {}) => {
    const read: string[] = [];
    const lines: string[] = [];
    const note = (fields: object, message?: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
    const log = { ...silentLogger, info: note, warn: note } as Logger;
    const model = {
      facts: { kind: "vectors", dimensions: 2, tokensMax: 16, runtime },
      read: async (text: string) => {
        read.push(text);
        return Float32Array.of(text.length, text.charCodeAt(0));
      },
    };
    const kept = { entry: { id: "fake" }, sha256, bytes: 1, model } as unknown as KeptModel;
    const learned = await learnOnce(kept, { examples, directory, log, mark, ...changes });
    return { learned, read, lines };
  };
  return { directory, path: join(directory, "fake.json"), start };
}

test("a second start reads no example, and has what the first one learned to the last bit", async (t) => {
  const { directory, start } = await createStarts(t);
  const first = await start();
  assert.deepEqual(first.read, ["you fool", "you swine", "good day", "see you", "thanks"]);
  assert.deepEqual(first.learned.classes, ["insult", "harmless"]);
  const second = await start();
  assert.deepEqual(second.read, []);
  assert.deepEqual(second.lines, []);
  assert.deepEqual(second.learned, first.learned);
  assert.deepEqual(await readdir(directory), ["fake.json"]);
});

const changes: Readonly<Record<string, Start>> = {
  "the examples": { examples: { ...examples, insult: ["you fool", "you pig"] } },
  "an example's group": { examples: { ...examples, insult: ["you fool"], harmless: ["you swine", "good day"] } },
  "the model's file": { sha256: "b2" },
  "the runtime": { runtime: "fake 2" },
  "the marks on its texts": { mark: (text) => `query: ${text}` },
};
for (const [what, change] of Object.entries(changes)) {
  test(`it learns anew, and says so, when ${what} changed`, async (t) => {
    const { start } = await createStarts(t);
    await start();
    const changed = await start(change);
    assert.equal(changed.read.length, Object.values(change.examples ?? examples).flat().length);
    assert.equal(changed.lines.filter((line) => line.includes("have changed")).length, 1);
    assert.deepEqual((await start(change)).read, [], "and keeps that");
  });
}

const damages: Readonly<Record<string, (text: string) => string>> = {
  "is empty": () => "",
  "ends early": (text) => text.slice(0, -40),
  "is of somebody else": () => JSON.stringify({ judge: "Dredd" }),
  "has another number in it": (text) => {
    const file = JSON.parse(text);
    return JSON.stringify({ ...file, weights: file.weights.map((row: string) => row.replace(/^./, "f")) });
  },
  "has become huge": (text) => text.padEnd(5 * 1024 * 1024),
};
for (const [what, damage] of Object.entries(damages)) {
  test(`a file that ${what} is learned anew, with one line about it`, async (t) => {
    const { path, start } = await createStarts(t);
    const first = await start();
    await writeFile(path, damage(await readFile(path, "utf8")));
    const again = await start();
    assert.equal(again.read.length, 5);
    assert.deepEqual(again.learned, first.learned);
    assert.equal(again.lines.filter((line) => line.startsWith("what was learned cannot be used")).length, 1);
    assert.deepEqual((await start()).read, [], "the file is whole again");
  });
}

test("where nothing can be kept it learns all the same", async (t) => {
  const { directory, start } = await createStarts(t);
  await rm(directory, { recursive: true });
  await writeFile(directory, "a file");
  const { learned, lines } = await start();
  assert.deepEqual(learned.classes, ["insult", "harmless"]);
  assert.ok(lines.some((line) => line.startsWith("what was learned cannot be kept")));
});
