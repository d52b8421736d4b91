import { type KeptModel, type KeptModels, keepTextModels, type TextModelSettings } from "@nexus/embeddings/text-models";
import { type Clock, systemClock } from "nexus/base";
import { defineService, json, type ModelInput, type Service } from "nexus/service-kit";
import { answerRerank } from "./answer-rerank.ts";

export interface RerankServiceOptions {
  readonly settings: TextModelSettings;
  readonly version: string;
  /** For pip, which fetches models. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** Bytes of one request: a thousand documents of the longest that models read. */
const bodyBytesMax = 16 * 1024 * 1024;

/**
 * Documents in the order of their relevance to a query. With a model that reads pairs the scores are its own; with one
 * for embeddings they are cosines. Each model says which in its features: `cross_encoder`.
 */
export function createRerankService(options: RerankServiceOptions): Service {
  const { settings } = options;
  let models: KeptModels | undefined;
  return defineService({
    name: "rerank",
    version: options.version,
    description:
      "Orders documents by their relevance to a query, on this machine's processor: by a model that reads both together " +
      "(`cross_encoder`), or by how near the vectors of an embedding model are.",
    backend: { name: "llama.cpp", vendor: "ggml.ai" },
    capabilities: {
      domains: ["rerank"],
      modalities: { input: ["text"], output: ["text"] },
      max_concurrency: settings.parallel,
      features: ["top_n", "return_documents", "cancel"],
    },
    requires: {
      runtimes: ["python3", "pip"],
      cpu: settings.threads,
      memory: 1024 ** 3,
      disk: 256 * 1024 ** 2,
      warmup_seconds: 5,
    },
    navigation: { title: "Rerank", icon: "sort" },
    limits: { bodyBytesMax },
    models: () => models?.loaded().map(publishedModel) ?? [],
    handlers: {
      rerank: async ({ body, signal }) => {
        if (models === undefined) throw new RangeError("a request came before start");
        return json(await answerRerank(models.get(String(body.model)), body, signal));
      },
    },
    start(context) {
      models = keepTextModels({ ...options, context, clock: options.clock ?? systemClock });
    },
    stop: async () => await models?.close(),
  });
}

function publishedModel({ entry, bytes, model }: KeptModel): ModelInput {
  return {
    id: entry.id,
    domains: ["rerank"],
    context_window: model.facts.tokensMax,
    features: { cross_encoder: model.facts.kind === "pairs" },
    state: "loaded",
    size_bytes: bytes,
    vram_bytes: 0,
    title: entry.title,
    description: entry.description,
    license: entry.license,
  };
}
