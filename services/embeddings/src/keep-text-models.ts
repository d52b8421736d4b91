import { type Clock, describeError, NexusError, pause } from "nexus/base";
import { type CatalogueEntry, findEntry, type PullProgress, pullModel } from "nexus/blobs";
import type { ServiceContext } from "nexus/service-kit";
import type { TextModelSettings } from "./settings.ts";
import { openTextModel, type TextModel } from "./text-model.ts";

/** A model in memory, and what the catalogue says about it. */
export interface KeptModel {
  readonly entry: CatalogueEntry;
  /** Of its file, in hex. */
  readonly sha256: string;
  readonly bytes: number;
  readonly model: TextModel;
}

/** The models of one service, kept in memory for as long as it lives. */
export interface KeptModels {
  /** Those that are in memory, in the order of the settings. */
  loaded(): readonly KeptModel[];
  /** @throws NexusError `model_not_found` when it is not in memory. */
  get(id: string): KeptModel;
  close(): Promise<void>;
}

export interface KeepTextModelsOptions {
  readonly settings: TextModelSettings;
  readonly context: ServiceContext;
  readonly clock: Clock;
  /** For pip, which fetches models. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Makes ready what works with a model, before anybody is served. Throws when the model is not for this service. */
  readonly prepare?: (kept: KeptModel) => Promise<void> | void;
}

/** Between two tries to get a model that could not be had. */
const retryMs = 60_000;

/**
 * Fetches and loads the models of the settings in the background, again every minute while one cannot be had, and
 * whenever one breaks. The check `model` of `/readyz` says how far it is: it is `ok` as soon as one can be used.
 */
export function keepTextModels(options: KeepTextModelsOptions): KeptModels {
  const { settings, context } = options;
  const kept = new Map<string, KeptModel>();
  const problems = new Map<string, string>();
  const report = (pending?: { readonly reason: string; readonly fraction: number }): void => {
    const missing = [...problems.values()].join(" ");
    if (kept.size > 0) {
      context.check("model", {
        status: "ok",
        reason: [`${[...kept.keys()].join(", ")} loaded.`, missing].join(" ").trim(),
      });
    } else if (problems.size === settings.modelIds.length) {
      context.check("model", { status: "failed", reason: `${missing} Tried again every minute.` });
    } else {
      context.check("model", {
        status: "pending",
        reason: pending?.reason ?? "starting",
        progress: pending?.fraction ?? 0,
      });
      context.progress(pending?.fraction ?? 0, null);
    }
  };
  report();
  const keep = async (id: string): Promise<void> => {
    while (!context.signal.aborted) {
      try {
        const found = await openModel(id, options, (reason, fraction) => report({ reason, fraction }));
        problems.delete(id);
        kept.set(id, found);
        report();
        context.changed();
        const reason = await Promise.race([found.model.ended, aborted(context.signal)]);
        if (reason === undefined) return;
        context.log.error({ model: id, reason }, "the model stopped working");
        kept.delete(id);
        context.changed();
      } catch (error) {
        if (context.signal.aborted) return;
        context.log.warn({ model: id, reason: describeError(error) }, "the model cannot be had");
        problems.set(id, error instanceof NexusError ? error.message : `${id}: ${describeError(error)}.`);
      }
      report();
      await pause(options.clock, retryMs, context.signal);
    }
  };
  const keeping = Promise.all(settings.modelIds.map(keep));
  return {
    loaded: () => settings.modelIds.flatMap((id) => kept.get(id) ?? []),
    get(id) {
      const found = kept.get(id);
      if (found === undefined) throw new NexusError("model_not_found", `${id} is not loaded.`, { param: "model" });
      return found;
    },
    async close() {
      await keeping;
      await Promise.all([...kept.values()].map(({ model }) => model.close()));
    },
  };
}

async function openModel(
  id: string,
  { settings, context, environment, clock, prepare }: KeepTextModelsOptions,
  report: (reason: string, fraction: number) => void,
): Promise<KeptModel> {
  const entry = await findEntry(settings.modelsDirectory, id);
  const { path, sha256, bytes } = await pullModel({
    id,
    directory: settings.modelsDirectory,
    environment,
    signal: context.signal,
    log: context.log,
    onProgress: (progress) => report(`${id}: ${progress.stage} (${progress.source})`, fractionOf(progress)),
  });
  report(`${id}: loading`, pullShare);
  const startedAt = clock.monotonic();
  const { threads, tokensMax } = settings;
  const model = await openTextModel({ path, threads, tokensMax }, context.signal);
  const kept = { entry, sha256, bytes, model };
  try {
    await prepare?.(kept);
  } catch (error) {
    await model.close();
    throw error;
  }
  context.log.info({ model: id, load_ms: Math.round(clock.monotonic() - startedAt) }, "model loaded");
  return kept;
}

/** The share of fetching in the whole way; the rest is loading. */
const pullShare = 0.9;

function fractionOf({ bytesDone, bytesTotal }: PullProgress): number {
  return bytesTotal === null || bytesTotal === 0 ? 0 : pullShare * Math.min(1, bytesDone / bytesTotal);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
