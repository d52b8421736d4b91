import { type Clock, NexusError } from "nexus/base";
import type { ModelInput, ServiceContext } from "nexus/service-kit";
import { keepModels } from "./keep-models.ts";
import { createModelLibrary } from "./model-library.ts";
import { createModelPool } from "./model-pool.ts";
import type { OpenModel } from "./open-model.ts";
import { publishedModel } from "./published-model.ts";
import type { SamplingDefaults } from "./sampling.ts";
import type { LlmSettings } from "./settings.ts";

/** A model in use, and what its makers recommend. */
export interface ModelInUse {
  readonly model: OpenModel;
  readonly defaults: SamplingDefaults | undefined;
}

/** The models of one service: on disk, in memory, and in the metadata. */
export interface ModelHost {
  published(): readonly ModelInput[];
  /** Runs `work` while the model is loaded and cannot be unloaded. Loads it at the first step. */
  withModel<T>(
    id: string,
    signal: AbortSignal,
    work: (inUse: ModelInUse) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined>;
  /** Ends what is in memory; the requests have ended before. */
  close(): Promise<void>;
}

export interface ModelHostOptions {
  readonly settings: LlmSettings;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly context: ServiceContext;
  readonly clock: Clock;
}

/** Returns as soon as the models on disk are known; the model of the settings comes up in the background. */
export async function createModelHost({ settings, environment, context, clock }: ModelHostOptions): Promise<ModelHost> {
  context.check("model", { status: "pending", reason: "starting" });
  // Imported here and not above: loading llama.cpp takes half a second, and the server answers meanwhile.
  const [{ startLlama }, { openModel }] = await Promise.all([import("./llama-runtime.ts"), import("./open-model.ts")]);
  const llama = await startLlama(settings.threads, context.log);
  const library = createModelLibrary(settings.modelsDirectory, context.log);
  await library.refresh();
  /** By content, so that a name that now means another file gets that file. */
  const acquire = (id: string, signal: AbortSignal) => {
    const found = library.get(id);
    if (found === undefined) throw new NexusError("model_not_found", `The file of ${id} is gone.`, { param: "model" });
    return pool.acquire(found.blob.sha256, signal);
  };
  const loadProgress = new Map<string, (fraction: number) => void>();
  const pool = createModelPool<OpenModel>({
    loadedMax: settings.loadedMax,
    onChange: () => context.changed(),
    async open(sha256) {
      const found = library.models().find(({ blob }) => blob.sha256 === sha256);
      if (found === undefined) throw new RangeError(`${sha256} is not in the library`);
      const { id } = found.entry;
      const startedAt = clock.monotonic();
      const model = await openModel({
        ...settings,
        llama,
        id,
        path: found.blob.path,
        facts: found.facts,
        onProgress: (fraction) => loadProgress.get(id)?.(fraction),
      });
      context.log.info({ model: id, load_ms: Math.round(clock.monotonic() - startedAt) }, "model loaded");
      return model;
    },
  });
  const keeping = keepModels({
    settings,
    library,
    environment,
    context,
    clock,
    async load(id, onProgress, signal) {
      loadProgress.set(id, onProgress);
      try {
        (await acquire(id, signal)).release();
      } finally {
        loadProgress.delete(id);
      }
    },
  });
  return {
    published: () =>
      library.models().map((model) => publishedModel(model, pool.state(model.blob.sha256), settings.contextTokens)),
    async *withModel(id, signal, work) {
      const { model, release } = await acquire(id, signal);
      try {
        yield* work({ model, defaults: library.get(id)?.entry.sampling });
      } finally {
        release();
      }
    },
    async close() {
      await keeping;
      await pool.close();
      await llama.dispose();
    },
  };
}
