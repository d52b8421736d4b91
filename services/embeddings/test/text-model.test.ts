import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "nexus/base";
import { defaultEmbeddingModelId, pullModel } from "nexus/blobs";
import { GgufInsights } from "node-llama-cpp";
import { missingModel, sharedModelsDirectory } from "../../../test/support/running-service.ts";
import { trialMethod } from "../src/load-without-trial.ts";
import { openTextModel } from "../src/text-model.ts";

const MiB = 1024 ** 2;

test("the runtime still asks the method that is replaced to load a model once, not three times", () => {
  assert.equal(typeof Reflect.get(GgufInsights.prototype, trialMethod), "function");
});

test("a loaded model, and hundreds of readings, take no more memory than they need", {
  timeout: 100_000,
  skip: await missingModel(),
}, async (t) => {
  const { path } = await pullModel({
    id: defaultEmbeddingModelId,
    directory: sharedModelsDirectory(),
    environment: {},
    signal: t.signal,
    log: silentLogger,
  });
  const before = process.memoryUsage.rss();
  const model = await openTextModel({ path, threads: 1, tokensMax: 512 }, t.signal);
  t.after(() => model.close());
  const loaded = process.memoryUsage.rss();
  // Some 300 MB; 450 when it is loaded on trial too.
  assert.ok(loaded - before < 380 * MiB, `loading took ${Math.round((loaded - before) / MiB)} MiB`);
  assert.match(model.facts.runtime, /^llama\.cpp \S/);
  const first = await model.read("query: The cat sleeps.");
  for (let count = 0; count < 200; count++) await model.read("query: The cat sleeps.");
  assert.deepEqual(await model.read("query: The cat sleeps."), first);
  const grown = process.memoryUsage.rss() - loaded;
  // Each leaves 3 MB to the garbage collector: 600 MB in all.
  assert.ok(grown < 200 * MiB, `200 readings took ${Math.round(grown / MiB)} MiB`);
});
