import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { silentLogger } from "nexus/base";
import type { Llama } from "node-llama-cpp";
import { writeTinyGguf } from "../../../test/support/tiny-gguf.ts";
import { type GenerationRequest, generate } from "../src/generate.ts";
import { startLlama } from "../src/llama-runtime.ts";
import { readModelFacts } from "../src/model-facts.ts";
import { type OpenModel, openModel } from "../src/open-model.ts";
import { startLlm } from "./support/running-service.ts";
import { tinyId, tinyModels } from "./support/test-models.ts";

const sampling = { temperature: 1, topP: 1, topK: 0, minP: 0, seed: 1, frequencyPenalty: 0, presencePenalty: 0 };

describe("cancelling", { timeout: 60_000 }, () => {
  let directory: string;
  let llama: Llama;
  let model: OpenModel;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-cancel-"));
    const path = await writeTinyGguf(join(directory, "tiny.gguf"));
    llama = await startLlama(1, silentLogger);
    const facts = await readModelFacts(path);
    model = await openModel({ llama, id: "tiny", path, facts, contextTokens: 1024, parallel: 2, threads: 1 });
  });
  after(async () => {
    await model.dispose();
    await llama.dispose();
    await rm(directory, { recursive: true, force: true });
  });

  const request = (prompt: string, signal: AbortSignal): GenerationRequest => ({
    prompt: model.model.tokenize(prompt),
    maxTokens: 500,
    sampling,
    stops: [],
    grammar: undefined,
    topLogprobs: undefined,
    signal,
  });
  /** Tokens that the sequence which would serve this prompt has evaluated. */
  const evaluated = (prompt: string): number => {
    const { sequence, release } = model.takeSequence(model.model.tokenize(prompt));
    const count = sequence.nextTokenIndex;
    release();
    return count;
  };

  // proves: llm.cancel
  it("stops within one token, for good, and frees the sequence", async () => {
    const prompt = "one two three";
    const controller = new AbortController();
    let pieces = 0;
    const run = async (): Promise<void> => {
      for await (const { text } of generate(model, request(prompt, controller.signal))) {
        pieces += text === "" ? 0 : 1;
        if (pieces === 5) controller.abort(new Error("gone"));
      }
    };
    await assert.rejects(run(), /gone/);
    assert.equal(pieces, 5);
    const atEnd = evaluated(prompt);
    const promptTokens = model.model.tokenize(prompt).length;
    assert.ok(atEnd <= promptTokens + 6, `${atEnd} tokens evaluated after ${promptTokens} of prompt and 5 pieces`);
    // Another request keeps llama.cpp at work: what was cancelled does not take part in it.
    for await (const _ of generate(model, { ...request("zzz", new AbortController().signal), maxTokens: 50 }));
    assert.equal(evaluated(prompt), atEnd);
  });

  it("stops between two pieces of a long prompt", async () => {
    const prompt = "abcdefgh ".repeat(100);
    const signal = AbortSignal.abort(new Error("gone"));
    await assert.rejects(generate(model, request(prompt, signal)).next(), /gone/);
    assert.ok(evaluated(prompt) < 128);
  });

  it("frees the sequence when the reader leaves", async () => {
    for (let round = 0; round < 6; round++) {
      const pieces = generate(model, request(`round ${round}`, new AbortController().signal));
      await pieces.next();
      await pieces.return(undefined);
    }
  });
});

describe("a client that leaves", { timeout: 60_000 }, () => {
  // proves: llm.cancel
  it("gives its place to the next at once", async () => {
    const directory = await tinyModels(await mkdtemp(join(tmpdir(), "nexus-leave-")));
    const llm = await startLlm({ modelId: tinyId, modelsDirectory: directory, parallel: 1, contextTokens: 2048 });
    try {
      await llm.ready();
      const body = { model: tinyId, messages: [{ role: "user", content: "go on" }], temperature: 1 };
      const controller = new AbortController();
      const first = await llm.post("chat/completions", { ...body, stream: true, max_tokens: 1900 }, controller.signal);
      await first.body?.getReader().read();
      controller.abort();
      const { status } = await llm.ask("chat/completions", { ...body, max_tokens: 1 });
      assert.equal(status, 200);
    } finally {
      await llm.close();
      await rm(directory, { recursive: true, force: true });
    }
  });
});
