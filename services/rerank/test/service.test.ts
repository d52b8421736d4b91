import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { addModel, defaultEmbeddingModelId } from "nexus/blobs";
import { metadataSchema } from "nexus/contract";
import {
  missingModel,
  type RunningService,
  sharedModelsDirectory,
  startService,
} from "../../../test/support/running-service.ts";
import { tinyEncoder } from "../../../test/support/tiny-encoder.ts";
import { createRerankService } from "../src/create-rerank-service.ts";

function start(modelId: string, modelsDirectory = sharedModelsDirectory()): Promise<RunningService> {
  const settings = { modelIds: [modelId], modelsDirectory, threads: 1, parallel: 4, tokensMax: 2048 };
  return startService(createRerankService({ settings, version: "0.0.0", environment: process.env }));
}

interface Result {
  readonly index: number;
  readonly relevance_score: number;
  readonly document?: { readonly text: string };
}

const embedder = defaultEmbeddingModelId;

describe(`rerank with the real ${embedder}`, { timeout: 110_000, skip: await missingModel() }, () => {
  let service: RunningService;
  before(async () => {
    service = await start(embedder);
    assert.equal((await service.settled()).state, "ready");
  });
  after(() => service.close());

  const ask = (fields: object) => service.post("/v1/rerank", { model: embedder, ...fields });

  // proves: services.rerank
  it("puts the document first that answers the query", async () => {
    const documents = [
      "The capital of Brazil is Brasília.",
      "Sourdough bread rises overnight with wild yeast.",
      "Paris has been the capital of France since the tenth century.",
      "To change a flat tyre, loosen the nuts before you lift the car.",
      "Vaccines train the immune system to recognise a virus.",
      "El Prado es un museo de arte en Madrid.",
    ];
    const queries: readonly (readonly [string, number])[] = [
      ["What is the capital of France?", 2],
      ["How is bread leavened without bought yeast?", 1],
      ["my wheel has a puncture, what now", 3],
      ["How do immunisations work?", 4],
      ["Where can I see paintings in Spain?", 5],
    ];
    for (const [query, best] of queries) {
      const { status, body } = await ask({ query, documents });
      assert.equal(status, 200, JSON.stringify(body));
      const results: Result[] = body.results;
      assert.equal(results[0]?.index, best, `${query}: ${JSON.stringify(results)}`);
      assert.deepEqual(results.map(({ index }) => index).sort(), [0, 1, 2, 3, 4, 5]);
      const scores = results.map(({ relevance_score: score }) => score);
      assert.deepEqual(
        scores,
        scores.toSorted((one, other) => other - one),
      );
      assert.ok(scores.every((score) => score >= 0 && score <= 1));
      assert.ok(body.usage.total_tokens > 50);
    }
  });

  it("answers with as many as were asked for, and with their text when that was asked for", async () => {
    const documents = ["a cat", { text: "a dog" }, "a boat"];
    const { body } = await ask({ query: "canine", documents, top_n: 2, return_documents: true });
    assert.equal(body.results.length, 2);
    assert.deepEqual(body.results[0].document, { text: "a dog" });
    assert.equal((await ask({ query: "canine", documents })).body.results[0].document, undefined);
  });

  it("says by what it ranks, and refuses what it cannot", async () => {
    const { models } = metadataSchema.parse((await service.get("/v1/metadata")).body);
    assert.equal(models[0]?.features.cross_encoder, false);
    assert.deepEqual(models[0]?.domains, ["rerank"]);
    const long = await ask({ query: "a", documents: ["b", "word ".repeat(700)] });
    assert.equal(long.body.error.code, "context_length_exceeded");
    for (const [fields, param] of [
      [{ documents: ["a"] }, "query"],
      [{ query: "a", documents: [] }, "documents"],
      [{ query: "a", documents: [1] }, "documents"],
      [{ query: "a", documents: ["b"], top_n: 0 }, "top_n"],
    ] as const) {
      const { status, body } = await ask(fields);
      assert.deepEqual([status, body.error.code, body.error.param], [400, "invalid_request", param]);
    }
  });
});

test("a model that reads pairs is used as such", { timeout: 60_000 }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "nexus-rerank-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, "tiny.gguf"), tinyEncoder("pairs"));
  await addModel({ directory, id: "tiny", from: join(directory, "tiny.gguf") });
  const service = await start("tiny", directory);
  t.after(() => service.close());
  assert.equal((await service.settled()).state, "ready");
  const { models } = metadataSchema.parse((await service.get("/v1/metadata")).body);
  assert.equal(models[0]?.features.cross_encoder, true);
  const body = { model: "tiny", query: "one two", documents: ["three", "two one", "one two three four"] };
  const { status, body: answer } = await service.post("/v1/rerank", body);
  assert.equal(status, 200, JSON.stringify(answer));
  const results: Result[] = answer.results;
  assert.equal(new Set(results.map(({ relevance_score: score }) => score)).size, 3, "each pair has a score of its own");
  const again = await service.post("/v1/rerank", { ...body, documents: body.documents.slice(1) });
  const scoreOf = (list: readonly Result[], index: number) =>
    list.find((each) => each.index === index)?.relevance_score;
  assert.equal(scoreOf(again.body.results, 0), scoreOf(results, 1), "whatever other documents there are");
});
