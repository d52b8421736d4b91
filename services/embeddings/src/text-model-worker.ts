import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "nexus/base";
import { getLlama, type Llama, LlamaLogLevel, type LlamaModel } from "node-llama-cpp";
import { loadWithoutTrial } from "./load-without-trial.ts";
import { openRenewedContext } from "./renewed-context.ts";
import type { Question, Reply, TextInput, TextModelFacts, WorkerStart } from "./worker-messages.ts";

/** GGUF's `pooling_type`: how the vectors of tokens become one. From none (0) on: mean, first, last, score of a pair. */
const noPooling = 0;
const pairPooling = 4;

/** A model in memory, for one input at a time. */
interface Reader {
  readonly facts: TextModelFacts;
  count(input: TextInput): number;
  read(input: TextInput): Promise<Float32Array>;
}

async function openReader({ path, threads, tokensMax }: WorkerStart, llama: Llama): Promise<Reader> {
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const { architecture } = model.fileInfo.metadata.general;
  const own = (model.fileInfo.metadata as unknown as Record<string, Record<string, unknown> | undefined>)[architecture];
  const pooling = Number(own?.pooling_type ?? noPooling);
  if (pooling === noPooling) throw new Error("is no model for comparing texts: it makes no vectors and no scores");
  const longest = Math.min(tokensMax, model.trainContextSize);
  // One more than fits: the runtime wants room for a token to come. The whole input must be in one batch.
  // Estimates leave out most of what a context takes (see openRenewedContext), and make much of the rest.
  const size = { contextSize: longest + 1, batchSize: longest + 1, threads, ignoreMemorySafetyChecks: true };
  const { release } = llama.llamaCppRelease;
  const facts = { dimensions: model.embeddingVectorSize, tokensMax: longest, runtime: `llama.cpp ${release}` };
  return pooling === pairPooling ? openPairReader(model, size, facts) : openVectorReader(model, size, facts);
}

type ContextSize = Parameters<LlamaModel["createEmbeddingContext"]>[0];
type Facts = Omit<TextModelFacts, "kind">;

async function openVectorReader(model: LlamaModel, size: ContextSize, facts: Facts): Promise<Reader> {
  const context = await openRenewedContext(() => model.createEmbeddingContext(size), systemClock);
  const tokens = (input: TextInput) => model.tokenize(typeof input === "string" ? input : input.join("\n"), false);
  return {
    facts: { ...facts, kind: "vectors" },
    count: (input) => context.current().calculateInputLength(tokens(input)),
    async read(input) {
      const own = tokens(input);
      return Float32Array.from((await context.use(own.length, (one) => one.getEmbeddingFor(own))).vector);
    },
  };
}

async function openPairReader(model: LlamaModel, size: ContextSize, facts: Facts): Promise<Reader> {
  const context = await openRenewedContext(() => model.createRankingContext(size), systemClock);
  const pair = (input: TextInput) => (typeof input === "string" ? (["", input] as const) : input);
  return {
    facts: { ...facts, kind: "pairs" },
    count: (input) => context.current().calculateInputLength(...pair(input)),
    async read(input) {
      const own = pair(input);
      const length = context.current().calculateInputLength(...own);
      return Float32Array.of(await context.use(length, (one) => one.rank(...own)));
    },
  };
}

function serve(port: NonNullable<typeof parentPort>, reader: Reader, llama: Llama): void {
  const answer = async (question: Question): Promise<Reply> => {
    const { id } = question;
    if (question.kind === "count") return { kind: "counts", id, counts: question.inputs.map(reader.count) };
    if (question.kind === "read") return { kind: "numbers", id, numbers: await reader.read(question.input) };
    // Takes its models and contexts with it.
    await llama.dispose();
    return { kind: "closed", id };
  };
  port.on("message", (question: Question) => {
    answer(question)
      .catch((error: unknown): Reply => {
        return { kind: "failed", id: question.id, reason: error instanceof Error ? error.message : String(error) };
      })
      .then((reply) => {
        port.postMessage(reply);
        if (reply.kind === "closed") port.close();
      })
      .catch((error: unknown) => {
        throw error;
      });
  });
  port.postMessage({ kind: "opened", facts: reader.facts } satisfies Reply);
}

if (parentPort !== null) {
  const start = workerData as WorkerStart;
  loadWithoutTrial();
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    maxThreads: start.threads,
    logLevel: LlamaLogLevel.error,
  });
  serve(parentPort, await openReader(start, llama), llama);
}
