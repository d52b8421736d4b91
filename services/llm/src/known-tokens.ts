import { NexusError } from "nexus/base";
import type { Token } from "node-llama-cpp";
import type { OpenModel } from "./open-model.ts";

/**
 * Token ids of a client as tokens of the model; llama.cpp fails as a whole on one that it does not have.
 * @throws NexusError `invalid_request` that names the stranger.
 */
export function toKnownTokens(ids: readonly number[], { model }: OpenModel, param: string): Token[] {
  const vocabulary = model.fileInfo.metadata.tokenizer?.ggml.tokens.length ?? 0;
  const stranger = ids.find((id) => id >= vocabulary);
  if (stranger !== undefined) throw new NexusError("invalid_request", `The model has no token ${stranger}.`, { param });
  return [...ids] as Token[];
}
