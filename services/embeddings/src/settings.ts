import { availableParallelism, homedir } from "node:os";
import { join } from "node:path";
import { NexusError } from "nexus/base";
import { defaultEmbeddingModelId } from "nexus/blobs";

/** How a service that reads texts with models of the catalogue is set up. */
export interface TextModelSettings {
  /** Ids of the catalogue; all are fetched and kept in memory. */
  readonly modelIds: readonly string[];
  readonly modelsDirectory: string;
  readonly threads: number;
  /** Requests at once. They take turns, a text each, so that a short one does not wait for a long one. */
  readonly parallel: number;
  /** The longest text in tokens; a model that was trained on less has less. Memory grows with its square. */
  readonly tokensMax: number;
}

const modelsMax = 4;

/**
 * Reads `PREFIX_MODEL` (ids with commas between them), `NEXUS_MODELS_DIR`, `PREFIX_THREADS`, `PREFIX_PARALLEL` and
 * `PREFIX_TOKENS`; empty means unset. Defaults: `fallback`, `models` in the data directory, all processors but one as in
 * the model service, 4 requests, 2048 tokens.
 * @throws NexusError `invalid_request` that names the variable at fault.
 */
export function readTextModelSettings(
  variables: Readonly<Record<string, string | undefined>>,
  prefix: string,
  dataDirectory: string | undefined,
): TextModelSettings {
  const integer = (name: string, fallback: number, max: number): number => {
    const value = Number(variables[name] || fallback);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new NexusError("invalid_request", `${name} must be a whole number from 1 to ${max}.`);
  };
  const ids = (variables[`${prefix}_MODEL`] || defaultEmbeddingModelId).split(",").map((id) => id.trim());
  const modelIds = [...new Set(ids.filter((id) => id !== ""))];
  if (modelIds.length < 1 || modelIds.length > modelsMax) {
    throw new NexusError("invalid_request", `${prefix}_MODEL must name 1 to ${modelsMax} models.`);
  }
  const processors = availableParallelism();
  return {
    modelIds,
    modelsDirectory: variables.NEXUS_MODELS_DIR || join(dataDirectory ?? join(homedir(), ".nexus"), "models"),
    // More threads than processors wait for each other in busy loops.
    threads: Math.min(processors, integer(`${prefix}_THREADS`, Math.max(1, processors - 1), 1024)),
    parallel: integer(`${prefix}_PARALLEL`, 4, 64),
    tokensMax: integer(`${prefix}_TOKENS`, 2048, 8192),
  };
}
