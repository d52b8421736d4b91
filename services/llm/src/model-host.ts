import { type Clock, NexusError } from "nexus/base";
import type { ModelInput, ServiceContext } from "nexus/service-kit";
import { keepModels } from "./keep-models.ts";
import { createModelLibrary, type ModelLibrary } from "./model-library.ts";
import { type Lease, ModelPool } from "./model-pool.ts";
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

/** Hears how far the load of a model is, 0 to 1, by the model's id. */
type LoadListeners = Map<string, (fraction: number) => void>;

/** Returns as soon as the models on disk are known; the model of the settings comes up in the background. */
export async function createModelHost(options: ModelHostOptions): Promise<ModelHost> {
  const { settings, context } = options;
  context.check("model", { status: "pending", reason: "starting" });
  // Imported here and not above: loading llama.cpp takes half a second, and the server answers meanwhile.
  const { startLlama } = await import("./llama-runtime.ts");
  const llama = await startLlama(settings.threads, context.log);
  const library = createModelLibrary(settings.modelsDirectory, context.log);
  await library.refresh();
  const listeners: LoadListeners = new Map();
  const { openModel } = await import("./open-model.ts");
  const pool = new ModelPool<OpenModel>({
    loadedMax: settings.loadedMax,
    onChange: () => context.changed(),
    open: (sha256) =>
      openTimed(options, library, sha256, ({ id, path, facts }) => {
        const onProgress = (fraction: number): void => listeners.get(id)?.(fraction);
        return openModel({ ...settings, llama, id, path, facts, onProgress });
      }),
  });
  const acquire = (id: string, signal: AbortSignal) => acquireByName(library, pool, id, signal);
  const load = async (id: string, onProgress: (fraction: number) => void, signal: AbortSignal): Promise<void> => {
    listeners.set(id, onProgress);
    await acquire(id, signal)
      .then(({ release }) => release())
      .finally(() => listeners.delete(id));
  };
  const keeping = keepModels({ ...options, library, load });
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

/** The pool goes by content, so that a name which now means another file gets that file. */
async function acquireByName(
  library: ModelLibrary,
  pool: ModelPool<OpenModel>,
  id: string,
  signal: AbortSignal,
): Promise<Lease<OpenModel>> {
  const found = library.get(id);
  if (found === undefined) throw new NexusError("model_not_found", `The file of ${id} is gone.`, { param: "model" });
  return await pool.acquire(found.blob.sha256, signal);
}

type FoundModel = Pick<OpenModel, "id" | "facts"> & { readonly path: string };

async function openTimed(
  { context, clock }: ModelHostOptions,
  library: ModelLibrary,
  sha256: string,
  open: (found: FoundModel) => Promise<OpenModel>,
): Promise<OpenModel> {
  const found = library.models().find(({ blob }) => blob.sha256 === sha256);
  if (found === undefined) throw new RangeError(`${sha256} is not in the library`);
  const { id } = found.entry;
  const startedAt = clock.monotonic();
  const model = await open({ id, path: found.blob.path, facts: found.facts });
  context.log.info({ model: id, load_ms: Math.round(clock.monotonic() - startedAt) }, "model loaded");
  return model;
}
