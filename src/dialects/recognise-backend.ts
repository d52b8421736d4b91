import { anthropicDialect } from "./anthropic.ts";
import type { Dialect } from "./dialect.ts";
import { llamaCppDialect } from "./llama-cpp.ts";
import { lmStudioDialect } from "./lm-studio.ts";
import { localaiDialect } from "./localai.ts";
import { nexusDialect } from "./nexus.ts";
import { createOllamaDialect } from "./ollama.ts";
import { openaiCompatibleDialect } from "./openai-compatible.ts";
import type { Probe } from "./probe.ts";
import { vllmDialect } from "./vllm.ts";

/**
 * Every dialect in the order in which they are tried: imitators before what they imitate (LocalAI answers Ollama's
 * paths), and the one that fits nearly all last.
 */
export function createDialects(): readonly Dialect[] {
  return [
    nexusDialect,
    llamaCppDialect,
    localaiDialect,
    lmStudioDialect,
    createOllamaDialect(),
    vllmDialect,
    anthropicDialect,
    openaiCompatibleDialect,
  ];
}

/**
 * The first dialect that knows the server; undefined when none does.
 * @throws ProbeFailure when the server cannot be asked.
 */
export async function recogniseBackend(probe: Probe, dialects: readonly Dialect[]): Promise<Dialect | undefined> {
  for (const dialect of dialects) {
    if (await dialect.recognises(probe)) return dialect;
  }
  return undefined;
}
