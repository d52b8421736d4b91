import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { defaultEmbeddingModelId } from "nexus/blobs";
import { metadataSchema, readinessSchema } from "nexus/contract";
import {
  missingModel,
  type RunningService,
  sharedModelsDirectory,
  startService,
} from "../../../test/support/running-service.ts";
import { createEmbeddingsService } from "../src/create-embeddings-service.ts";
import type { TextModelSettings } from "../src/settings.ts";

const model = defaultEmbeddingModelId;

function start(settings: Partial<TextModelSettings> = {}): Promise<RunningService> {
  const defaults = { modelIds: [model], threads: 1, parallel: 4, tokensMax: 2048 };
  return startService(
    createEmbeddingsService({
      settings: { ...defaults, modelsDirectory: sharedModelsDirectory(), ...settings },
      version: "0.0.0",
      environment: process.env,
    }),
  );
}

function dot(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
}

describe(`embeddings with the real ${model}`, { timeout: 110_000, skip: await missingModel() }, () => {
  let service: RunningService;
  before(async () => {
    service = await start();
    assert.equal((await service.settled()).state, "ready");
  });
  after(() => service.close());

  const ask = (fields: object) => service.post("/v1/embeddings", { model, ...fields });
  const vectors = async (input: readonly string[], fields: object = {}): Promise<readonly number[][]> => {
    const { status, body } = await ask({ input, ...fields });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(
      body.data.map(({ index }: { index: number }) => index),
      input.map((_, index) => index),
    );
    return body.data.map(({ embedding }: { embedding: number[] }) => embedding);
  };

  it("says what it is", async () => {
    const metadata = metadataSchema.parse((await service.get("/v1/metadata")).body);
    assert.deepEqual(
      metadata.models.map(({ id, domains, context_window: window, state }) => ({ id, domains, window, state })),
      [{ id: model, domains: ["embedding"], window: 512, state: "loaded" }],
    );
    assert.equal(metadata.models[0]?.features.embeddings_dim, 384);
  });

  // proves: services.embeddings
  it("puts each text nearest to the one that means the same, across languages too", async () => {
    const pairs = [
      ["How do I reset my password?", "I forgot my login credentials and want new ones."],
      ["The cat is sleeping on the sofa.", "A kitten naps on the couch."],
      ["Interest rates were raised by the central bank.", "Monetary policy has been tightened."],
      ["Der Zug nach Berlin hat Verspätung.", "The train to Berlin is delayed."],
      ["Il pleut depuis trois jours.", "It has been raining for three days."],
      ["Preheat the oven to 180 degrees.", "Heat your stove before you bake."],
    ] as const;
    const left = await vectors(pairs.map(([text]) => text));
    const right = await vectors(pairs.map(([, text]) => text));
    for (const [index, vector] of left.entries()) {
      const nearness = right.map((other) => dot(vector, other));
      assert.equal(nearness.indexOf(Math.max(...nearness)), index, `${pairs[index]?.[0]}: ${nearness.join(" ")}`);
      assert.ok(Math.abs(dot(vector, vector) - 1) < 1e-5, "vectors have length 1");
    }
  });

  // proves: services.embeddings
  it("finds the passage that answers a question", async () => {
    const passages = [
      "Mount Everest is 8,849 metres high.",
      "The heart pumps blood through the body.",
      "Photosynthesis turns light, water and carbon dioxide into sugar.",
    ];
    const questions = ["What is the tallest mountain?", "Which organ moves blood?", "How do plants make food?"];
    const found = await vectors(passages, { input_type: "passage" });
    for (const [index, question] of (await vectors(questions, { input_type: "query" })).entries()) {
      const nearness = found.map((passage) => dot(question, passage));
      assert.equal(nearness.indexOf(Math.max(...nearness)), index, questions[index]);
    }
  });

  it("gives the same vector alone and in a batch, as numbers and as base64, with or without its client's own mark", async () => {
    const text = "The harbour froze in January.";
    const [inBatch = []] = await vectors([text, "Another text, which is longer than the first one."]);
    const alone = await ask({ input: text });
    assert.deepEqual(alone.body.data[0].embedding, inBatch);
    assert.ok(alone.body.usage.prompt_tokens >= 8 && alone.body.usage.total_tokens === alone.body.usage.prompt_tokens);
    const { body } = await ask({ input: text, encoding_format: "base64" });
    const bytes = Buffer.from(body.data[0].embedding, "base64");
    assert.deepEqual([...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)], inBatch);
    const [marked = []] = await vectors([`query: ${text}`]);
    assert.deepEqual(marked, inBatch);
    const [passage = []] = await vectors([text], { input_type: "document" });
    assert.notDeepEqual(passage, inBatch);
  });

  it("refuses what it cannot do, and cuts nothing", async () => {
    const long = "word ".repeat(600);
    const refusals = [
      [{ input: ["short", long] }, "context_length_exceeded", /Text 2 of 2 has 6\d\d tokens; at most 512/],
      [{ input: [1, 2, 3] }, "unsupported_feature", /must be text/],
      [{ input: [[1], [2]] }, "unsupported_feature", /must be text/],
      [{ input: "a", dimensions: 128 }, "unsupported_feature", /384 dimensions and cannot be shortened/],
      [{ input: "" }, "invalid_request", /input/],
      [{ input: ["a", ""] }, "invalid_request", /input/],
      [{ input: [] }, "invalid_request", /input/],
      [{ input: "a", encoding_format: "int8" }, "invalid_request", /encoding_format/],
    ] as const;
    for (const [fields, code, message] of refusals) {
      const { status, body } = await ask(fields);
      assert.equal(status, 400, JSON.stringify(body));
      assert.equal(body.error.code, code);
      assert.match(body.error.message, message);
    }
    const just = "word ".repeat(500);
    assert.equal((await ask({ input: just, dimensions: 384 })).status, 200);
  });

  it("serves several at once in turns", async () => {
    const batch = Array.from({ length: 24 }, (_, index) => `Sentence number ${index} of a longer batch of sentences.`);
    const ends: string[] = [];
    await Promise.all([
      vectors(batch).then(() => ends.push("batch")),
      vectors(["One short text."]).then(() => ends.push("one")),
    ]);
    assert.deepEqual(ends, ["one", "batch"]);
  });
});

test("a model that cannot be had is said to be missing, and what to do", { timeout: 60_000 }, async (t) => {
  const modelsDirectory = await mkdtemp(join(tmpdir(), "nexus-embeddings-"));
  t.after(() => rm(modelsDirectory, { recursive: true, force: true }));
  const service = await start({ modelsDirectory, modelIds: ["no-such-model"] });
  t.after(() => service.close());
  const readiness = readinessSchema.parse(await service.settled());
  assert.equal(readiness.state, "failed");
  assert.match(readiness.checks.model?.reason ?? "", /no model "no-such-model"/);
  const { status, body } = await service.post("/v1/embeddings", { model: "no-such-model", input: "a" });
  assert.equal(status, 503);
  assert.equal(body.error.code, "not_ready");
});
