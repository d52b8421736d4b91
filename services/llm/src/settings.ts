import { homedir } from "node:os";
import { join } from "node:path";
import { NexusError } from "nexus/base";
import { defaultModelId } from "nexus/blobs";

/** How this service is set up, beyond what every service reads. */
export interface LlmSettings {
  /** The model that must be loaded for the service to be ready. */
  readonly modelId: string;
  readonly modelsDirectory: string;
  /** Tokens of prompt and answer that one request may have; a model that was trained on less has less. */
  readonly contextTokens: number;
  readonly threads: number;
  /** Requests at once; each holds memory for a whole context. */
  readonly parallel: number;
  /** Models in memory at once. */
  readonly loadedMax: number;
}

/**
 * Reads `NEXUS_LLM_MODEL`, `NEXUS_MODELS_DIR`, `NEXUS_LLM_CONTEXT`, `NEXUS_LLM_THREADS`, `NEXUS_LLM_PARALLEL` and
 * `NEXUS_LLM_LOADED`; empty means unset. Defaults: the catalogue's small model, `models` in the data directory, 4096
 * tokens, all cores but one, 2 requests, 2 models.
 *
 * One core is left to the gateway and to this process's own event loop: on two cores a second thread made SmolLM2 slower
 * (83 tokens/s with one, 48 with two, and 6 while other processes worked), because llama.cpp's threads wait for each
 * other in busy loops.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readLlmSettings(
  variables: Readonly<Record<string, string | undefined>>,
  cores: number,
  dataDirectory: string | undefined,
): LlmSettings {
  const integer = (name: string, fallback: number, min: number, max: number): number => {
    const text = variables[name] || undefined;
    const value = text === undefined ? fallback : Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new NexusError("invalid_request", `${name} must be a whole number from ${min} to ${max}.`);
  };
  const data = dataDirectory ?? join(homedir(), ".nexus");
  return {
    modelId: variables.NEXUS_LLM_MODEL || defaultModelId,
    modelsDirectory: variables.NEXUS_MODELS_DIR || join(data, "models"),
    contextTokens: integer("NEXUS_LLM_CONTEXT", 4096, 256, 1_048_576),
    // Never above the cores, whatever is asked for: four threads on two cores were 180 times slower than one.
    threads: Math.min(cores, integer("NEXUS_LLM_THREADS", Math.max(1, cores - 1), 1, 1024)),
    parallel: integer("NEXUS_LLM_PARALLEL", 2, 1, 64),
    loadedMax: integer("NEXUS_LLM_LOADED", 2, 1, 16),
  };
}
