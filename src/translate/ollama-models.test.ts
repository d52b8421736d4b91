import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type OllamaModelSource,
  ollamaPsAnswer,
  ollamaShowAnswer,
  ollamaTagsAnswer,
  ollamaVersionAnswer,
} from "./ollama-models.ts";

// biome-ignore lint/suspicious/noExplicitAny: documents of every shape are looked into
type Json = any;

const qwen: OllamaModelSource = {
  name: "qwen/qwen3-8b:latest",
  domains: ["chat"],
  contextWindow: 40_960,
  sizeBytes: 5_000_000_000,
  vramBytes: 6_000_000_000,
  isLoaded: true,
  features: { tools: true, vision: false, reasoning: true },
  createdSeconds: 1_767_225_600,
};
const minilm: OllamaModelSource = {
  ...qwen,
  name: "all-minilm",
  domains: ["embedding"],
  contextWindow: null,
  sizeBytes: null,
  vramBytes: null,
  isLoaded: false,
  features: { embeddings_dim: 384 },
};
const flux: OllamaModelSource = { ...qwen, name: "flux", domains: ["image"] };
const models = [qwen, minilm, flux];

describe("ollama: models", () => {
  it("are listed with names, sizes and digests that tell them apart", () => {
    const { models: listed } = ollamaTagsAnswer(models) as Json;
    assert.deepEqual(
      listed.map(({ name }: Json) => name),
      ["qwen/qwen3-8b:latest", "all-minilm"],
    );
    const { digest, ...first } = listed[0];
    assert.deepEqual(first, {
      name: "qwen/qwen3-8b:latest",
      model: "qwen/qwen3-8b:latest",
      modified_at: "2026-01-01T00:00:00.000Z",
      size: 5_000_000_000,
      details: {
        parent_model: "",
        format: "",
        family: "qwen3",
        families: ["qwen3"],
        parameter_size: "8B",
        quantization_level: "",
      },
    });
    assert.match(digest, /^[0-9a-f]{64}$/);
    assert.notEqual(digest.slice(0, 12), listed[1].digest.slice(0, 12));
    assert.equal(listed[1].details.parameter_size, "");
  });

  it("are shown with what they can do", () => {
    const shown = ollamaShowAnswer({ model: "qwen/qwen3-8b" }, models) as Json;
    assert.deepEqual(shown.capabilities, ["completion", "tools", "thinking"]);
    assert.deepEqual(shown.model_info, {
      "general.architecture": "qwen3",
      "general.basename": "qwen/qwen3-8b:latest",
      "qwen3.context_length": 40_960,
    });
    const embedding = ollamaShowAnswer({ name: "all-minilm:latest" }, models) as Json;
    assert.deepEqual(embedding.capabilities, ["embedding"]);
    assert.equal(embedding.model_info["all.embedding_length"], 384);
    assert.throws(() => ollamaShowAnswer({ model: "gone" }, models), { code: "model_not_found" });
    assert.throws(() => ollamaShowAnswer({}, models), { code: "missing_model" });
  });

  it("run where an instance holds them in memory", () => {
    const { models: running } = ollamaPsAnswer(models) as Json;
    assert.equal(running.length, 1);
    assert.deepEqual(
      [running[0].name, running[0].size_vram, running[0].context_length, running[0].expires_at],
      ["qwen/qwen3-8b:latest", 6_000_000_000, 40_960, "9999-12-31T23:59:59Z"],
    );
  });

  it("are served by a version of Ollama that clients can compare", () => {
    assert.match((ollamaVersionAnswer() as Json).version, /^\d+\.\d+\.\d+$/);
  });
});
