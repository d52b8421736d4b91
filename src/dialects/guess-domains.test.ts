import assert from "node:assert/strict";
import { test } from "node:test";
import { guessDomains } from "./guess-domains.ts";

const names = {
  embedding: [
    "text-embedding-3-small",
    "nomic-embed-text:latest",
    "BAAI/bge-m3",
    "intfloat/e5-large-v2",
    "all-minilm:l6",
  ],
  rerank: ["BAAI/bge-reranker-v2-m3"],
  transcription: ["whisper-1", "openai/whisper-large-v3"],
  speech: ["tts-1-hd", "kokoro"],
  image: ["dall-e-3", "gpt-image-1", "stable-diffusion-3.5", "flux.1-dev"],
  moderation: ["omni-moderation-latest", "meta-llama/Llama-Guard-4-12B"],
  chat: ["llama3.2:3b", "gpt-4o", "Qwen/Qwen2.5-VL-7B-Instruct", "smollm2-135m-instruct", "influx", "gemma-3-270m", ""],
} as const;

test("names give away what is no chat model", () => {
  for (const [domain, ids] of Object.entries(names)) {
    for (const id of ids) assert.deepEqual(guessDomains(id), [domain], id);
  }
});
