import { type KeptModel, type KeptModels, keepTextModels } from "@nexus/embeddings/text-models";
import { type Clock, NexusError, systemClock } from "nexus/base";
import { defineService, json, type ModelInput, type Service } from "nexus/service-kit";
import { answerModeration } from "./answer-moderation.ts";
import { examples } from "./examples.ts";
import { type Judge, judgedCategories, openJudge } from "./judge.ts";
import type { ModerationSettings } from "./settings.ts";

export interface ModerationServiceOptions {
  readonly settings: ModerationSettings;
  readonly version: string;
  /** For pip, which fetches models. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

const bodyBytesMax = 4 * 1024 * 1024;

/** Judges texts by what they mean. Ready when a model is loaded and the judge has learned. */
export function createModerationService(options: ModerationServiceOptions): Service {
  const { settings } = options;
  const judges = new Map<string, Judge>();
  let models: KeptModels | undefined;
  return defineService({
    name: "moderation",
    version: options.version,
    description:
      "Flags texts that hurt, on this machine's processor: a small classifier over the vectors of an embedding model, which " +
      "learned from some two hundred examples. A first sieve in many languages, and no replacement for people. Text only; " +
      "sexual/minors is not judged.",
    backend: { name: "llama.cpp", vendor: "ggml.ai" },
    capabilities: {
      domains: ["moderation"],
      modalities: { input: ["text"], output: ["text"] },
      max_concurrency: settings.parallel,
      features: ["embedding_classifier", "cancel"],
    },
    requires: {
      runtimes: ["python3", "pip"],
      cpu: settings.threads,
      memory: 1024 ** 3,
      disk: 256 * 1024 ** 2,
      warmup_seconds: 15,
    },
    navigation: { title: "Moderation", icon: "shield" },
    limits: { bodyBytesMax },
    models: () => models?.loaded().map(publishedModel) ?? [],
    handlers: {
      "moderations.create": async ({ body, signal }) => {
        const id = String(body.model);
        const judge = judges.get(embedderOf(id));
        if (judge === undefined) throw new NexusError("model_not_found", `${id} is not loaded.`, { param: "model" });
        return json(await answerModeration({ modelId: id, judge, threshold: settings.threshold, signal }, body));
      },
    },
    start(context) {
      const prepare = async (kept: KeptModel): Promise<void> => {
        const judge = await openJudge(kept, { examples, directory: settings.workDirectory, log: context.log });
        judges.set(kept.entry.id, judge);
      };
      models = keepTextModels({ ...options, context, clock: options.clock ?? systemClock, prepare });
    },
    stop: async () => await models?.close(),
  });
}

/** The judge is another model than the embedder that it reads with. */
const suffix = "-moderation";

function embedderOf(modelId: string): string {
  return modelId.endsWith(suffix) ? modelId.slice(0, -suffix.length) : modelId;
}

function publishedModel({ entry, bytes }: KeptModel): ModelInput {
  return {
    id: `${entry.id}${suffix}`,
    domains: ["moderation"],
    features: { images: false, categories: [...judgedCategories].sort() },
    state: "loaded",
    size_bytes: bytes,
    vram_bytes: 0,
    title: `Moderation with ${entry.title}`,
    license: entry.license,
  };
}
