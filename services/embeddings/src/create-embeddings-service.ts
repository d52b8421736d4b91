import { type Clock, NexusError, systemClock } from "nexus/base";
import { defineService, json, type ModelInput, type Service } from "nexus/service-kit";
import { answerEmbeddings } from "./answer-embeddings.ts";
import { type KeptModel, type KeptModels, keepTextModels } from "./keep-text-models.ts";
import type { TextModelSettings } from "./settings.ts";
import { mannersOf } from "./text-manners.ts";

export interface EmbeddingsServiceOptions {
  readonly settings: TextModelSettings;
  readonly version: string;
  /** For pip, which fetches models. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** Bytes of one request: the most texts of the usual length, many times over. */
const bodyBytesMax = 16 * 1024 * 1024;

/** Vectors of texts. Ready as soon as one of its models is loaded. */
export function createEmbeddingsService(options: EmbeddingsServiceOptions): Service {
  const { settings } = options;
  let models: KeptModels | undefined;
  return defineService({
    name: "embeddings",
    version: options.version,
    description: "Vectors of texts on this machine's processor: texts that mean alike have vectors that are near.",
    backend: { name: "llama.cpp", vendor: "ggml.ai" },
    capabilities: {
      domains: ["embedding"],
      modalities: { input: ["text"], output: ["vector"] },
      max_concurrency: settings.parallel,
      features: ["batch", "base64", "input_type", "cancel"],
    },
    requires: {
      runtimes: ["python3", "pip"],
      cpu: settings.threads,
      memory: 1024 ** 3,
      disk: 256 * 1024 ** 2,
      warmup_seconds: 5,
    },
    navigation: { title: "Embeddings", icon: "vector" },
    limits: { bodyBytesMax },
    models: () => models?.loaded().map(publishedModel) ?? [],
    handlers: {
      "embeddings.create": async ({ body, signal }) => {
        if (models === undefined) throw new RangeError("a request came before start");
        return json(await answerEmbeddings(models.get(String(body.model)), body, signal));
      },
    },
    start(context) {
      models = keepTextModels({ ...options, context, clock: options.clock ?? systemClock, prepare: mustMakeVectors });
    },
    stop: async () => await models?.close(),
  });
}

function mustMakeVectors({ entry, model }: KeptModel): void {
  if (model.facts.kind === "vectors") return;
  throw new NexusError("unsupported_feature", `${entry.id} scores pairs of texts: it is for rerank.`);
}

function publishedModel({ entry, bytes, model }: KeptModel): ModelInput {
  const { dimensionsMin } = mannersOf(entry.id);
  return {
    id: entry.id,
    domains: ["embedding"],
    context_window: model.facts.tokensMax,
    features: {
      embeddings_dim: model.facts.dimensions,
      embeddings_trained: true,
      ...(dimensionsMin === undefined ? {} : { embeddings_dim_min: dimensionsMin }),
    },
    state: "loaded",
    size_bytes: bytes,
    vram_bytes: 0,
    title: entry.title,
    description: entry.description,
    license: entry.license,
  };
}
