import type { ModelInput } from "nexus/service-kit";
import type { LibraryModel } from "./model-library.ts";

/**
 * What `/v1/models` and the metadata say about a model. Beyond the contract's features: `chat` (has a chat template),
 * `tools_native` (its template shows tools to the model; otherwise they are described in the system message, and only a
 * forced `tool_choice` is sure to end in a call), `embeddings_trained` (made for embeddings; otherwise its vectors are
 * the mean of its hidden states: near texts are near, but a model made for it does better).
 */
export function publishedModel(
  { entry, blob, facts }: LibraryModel,
  state: "loaded" | "loading" | "available",
  contextTokens: number,
): ModelInput {
  const isChat = facts.chatTemplate !== null;
  const features = facts.isEmbedder
    ? {}
    : { chat: isChat, tools: isChat, tools_native: facts.hasTools, json_schema: isChat, vision: false };
  return {
    id: entry.id,
    domains: facts.isEmbedder ? ["embedding"] : ["chat", "embedding"],
    context_window: Math.min(contextTokens, facts.trainedContext ?? contextTokens),
    features: {
      ...features,
      ...(facts.vectorLength === null
        ? {}
        : { embeddings_dim: facts.vectorLength, embeddings_trained: facts.isEmbedder }),
    },
    state,
    size_bytes: blob.bytes,
    vram_bytes: 0,
    title: entry.title,
    description: entry.description,
    license: entry.license,
  };
}
