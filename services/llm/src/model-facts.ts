import { type GgufMetadata, readGgufFileInfo } from "node-llama-cpp";

/** What a model file says about itself. */
export interface ModelFacts {
  readonly architecture: string;
  /** Tokens that it was trained on; null when it does not say. */
  readonly trainedContext: number | null;
  /** Its Jinja template, or null: then it is no chat model. */
  readonly chatTemplate: string | null;
  /** Whether its template shows tools to the model and has the model call them in `<tool_call>`. */
  readonly hasTools: boolean;
  readonly vectorLength: number | null;
  /** Whether it was made for embeddings: then the file says how token vectors become one. */
  readonly isEmbedder: boolean;
}

/** Long lists that say nothing about what the model can do. */
const ignored = ["tokens", "merges", "scores", "token_type"].map((key) => `tokenizer.ggml.${key}`);

/** Reads the header of a GGUF file. Throws when it is broken. */
export async function readModelFacts(path: string): Promise<ModelFacts> {
  const { metadata } = await readGgufFileInfo(path, {
    sourceType: "filesystem",
    readTensorInfo: false,
    logWarnings: false,
    ignoreKeys: ignored,
  });
  return toModelFacts(metadata);
}

function toModelFacts(metadata: GgufMetadata): ModelFacts {
  const { architecture } = metadata.general;
  // The keys below the architecture's own name are the same for all of them.
  const own = (metadata as unknown as Record<string, Record<string, unknown> | undefined>)[architecture] ?? {};
  const chatTemplate = metadata.tokenizer?.chat_template;
  const pooling = numberOf(own.pooling_type);
  return {
    architecture,
    trainedContext: numberOf(own.context_length),
    chatTemplate: typeof chatTemplate === "string" ? chatTemplate : null,
    hasTools:
      typeof chatTemplate === "string" && /\btools\b/.test(chatTemplate) && chatTemplate.includes("<tool_call>"),
    vectorLength: numberOf(own.embedding_length),
    isEmbedder: pooling !== null && pooling > 0,
  };
}

function numberOf(value: unknown): number | null {
  const number = Number(value ?? Number.NaN);
  return Number.isFinite(number) ? number : null;
}
