import { NexusError } from "nexus/base";
import type {
  Llama,
  LlamaContext,
  LlamaContextSequence,
  LlamaEmbeddingContext,
  LlamaModel,
  Token,
} from "node-llama-cpp";
import type { ModelFacts } from "./model-facts.ts";

/** A model in memory. */
export interface OpenModel {
  readonly id: string;
  readonly facts: ModelFacts;
  readonly llama: Llama;
  readonly model: LlamaModel;
  /** Tokens of prompt and answer together. */
  readonly contextTokens: number;
  /** Tokens of one text to embed. */
  readonly embeddingTokens: number;
  /**
   * A free sequence, that with the longest common beginning: a conversation's next turn finds its last one there.
   * Give it back with `release`.
   */
  takeSequence(prompt: readonly Token[]): { readonly sequence: LlamaContextSequence; release(): void };
  /** Made at the first call. */
  embeddingContext(): Promise<LlamaEmbeddingContext>;
  dispose(): Promise<void>;
}

export interface OpenModelOptions {
  readonly llama: Llama;
  readonly id: string;
  readonly path: string;
  readonly facts: ModelFacts;
  readonly contextTokens: number;
  readonly parallel: number;
  readonly threads: number;
  /** 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/** Texts to embed are short, and the memory for them grows with the longest: about 25 KiB a token for SmolLM2. */
const embeddingTokensMax = 2048;

/** GGUF's `pooling_type` for the mean of all tokens. */
const meanPooling = 1;

/**
 * Loads a model and evaluates one token, so that the first request does not wait for pages of the file.
 * @throws NexusError `no_instance_available` when the machine has not enough memory.
 */
export async function openModel(options: OpenModelOptions): Promise<OpenModel> {
  const { llama, facts, parallel, threads } = options;
  const contextTokens = Math.min(options.contextTokens, facts.trainedContext ?? options.contextTokens);
  const model = await loadModel(options);
  try {
    const context = facts.isEmbedder
      ? undefined
      : await model.createContext({ contextSize: contextTokens, sequences: parallel, threads });
    const free = context === undefined ? [] : Array.from({ length: parallel }, () => context.getSequence());
    await warmUp(free[0], model);
    const embeddingTokens = Math.min(contextTokens, embeddingTokensMax);
    let embedding: Promise<LlamaEmbeddingContext> | undefined;
    return {
      id: options.id,
      facts,
      llama,
      model,
      contextTokens,
      embeddingTokens,
      takeSequence: (prompt) => takeSequence(free, prompt),
      embeddingContext() {
        // The whole text must be in one batch: pooling looks at no other.
        embedding ??= model.createEmbeddingContext({
          contextSize: embeddingTokens,
          batchSize: embeddingTokens,
          threads,
        });
        return embedding;
      },
      dispose: () => dispose(model, context, embedding),
    };
  } catch (error) {
    await model.dispose();
    throw tooLittleMemory(options.id, error) ?? error;
  }
}

async function loadModel({ llama, id, path, facts, onProgress }: OpenModelOptions): Promise<LlamaModel> {
  try {
    return await llama.loadModel({
      modelPath: path,
      gpuLayers: 0,
      ...(onProgress === undefined ? {} : { onLoadProgress: onProgress }),
      // A chat model's vectors are the mean over its tokens: with the last token alone, unrelated texts were as near to
      // each other as related ones. An embedding model's own way stands in its file.
      ...(facts.isEmbedder ? {} : { metadataOverrides: { [facts.architecture]: { pooling_type: meanPooling } } }),
    });
  } catch (error) {
    throw tooLittleMemory(id, error) ?? error;
  }
}

function tooLittleMemory(id: string, error: unknown): NexusError | undefined {
  if (!(error instanceof Error) || error.constructor.name !== "InsufficientMemoryError") return undefined;
  return new NexusError("no_instance_available", `${id} does not fit in this machine's memory.`, { cause: error });
}

async function warmUp(sequence: LlamaContextSequence | undefined, model: LlamaModel): Promise<void> {
  const token = model.tokens.bos ?? model.tokenize("a")[0];
  if (sequence === undefined || token === undefined) return;
  await sequence.evaluateWithoutGeneratingNewTokens([token]);
  await sequence.clearHistory();
}

function takeSequence(free: LlamaContextSequence[], prompt: readonly Token[]) {
  const tokens = [...prompt];
  const common = free.map((sequence) => sequence.compareContextTokens(tokens).firstDifferentIndex);
  const best = common.indexOf(Math.max(...common));
  const [sequence] = free.splice(best, 1);
  if (sequence === undefined) throw new RangeError("more requests at once than sequences");
  // Taken from where the prefix is longest, given back at the end: among equals, the one that rested longest is taken.
  return { sequence, release: () => void free.push(sequence) };
}

async function dispose(
  model: LlamaModel,
  context: LlamaContext | undefined,
  embedding: Promise<LlamaEmbeddingContext> | undefined,
): Promise<void> {
  await embedding?.then(
    (created) => created.dispose(),
    () => {},
  );
  await context?.dispose();
  await model.dispose();
}
