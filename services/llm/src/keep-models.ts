import { type Clock, describeError, NexusError, pause } from "nexus/base";
import { type PullProgress, pullModel } from "nexus/blobs";
import type { ServiceContext } from "nexus/service-kit";
import type { ModelLibrary } from "./model-library.ts";
import type { LlmSettings } from "./settings.ts";

export interface KeepModelsOptions {
  readonly settings: Pick<LlmSettings, "modelId" | "modelsDirectory">;
  readonly library: ModelLibrary;
  /** Loads a model and lets it go again; reports 0 to 1. */
  readonly load: (id: string, onProgress: (fraction: number) => void, signal: AbortSignal) => Promise<void>;
  /** For pip. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly context: Pick<ServiceContext, "check" | "progress" | "changed" | "signal" | "log">;
  readonly clock: Clock;
}

/** Between two tries to get a model that no source had. */
const retryMs = 60_000;
/** Between two looks at the disk for models that were added or fetched by another process. */
const lookMs = 2_000;

/** The check of `/readyz` that stands for the model. */
const check = "model";

/**
 * Sees to it that the model of the settings is here and loaded, for as long as the service lives: tries again every
 * minute and whenever the catalogue or the files change, and keeps the list of models true. Never throws.
 */
export async function keepModels(options: KeepModelsOptions): Promise<void> {
  const { context, library, settings } = options;
  const { signal } = context;
  let isReady = false;
  while (!signal.aborted) {
    const stamp = await library.stamp();
    if (await library.refresh()) context.changed();
    try {
      if (!isReady) await bringUp(options);
      isReady = true;
    } catch (error) {
      if (signal.aborted) return;
      reportMissing(options, error);
    }
    if (isReady && library.get(settings.modelId) === undefined) {
      context.log.warn({ model: settings.modelId }, "the model's file is gone");
      isReady = false;
      continue;
    }
    await untilChanged(options, stamp, isReady ? Number.POSITIVE_INFINITY : retryMs);
  }
}

async function bringUp(options: KeepModelsOptions): Promise<void> {
  const { settings, context, library } = options;
  const { modelId } = settings;
  const eta = createEstimate(options.clock);
  const pending = (reason: string, fraction: number): void => {
    context.check(check, { status: "pending", reason, progress: fraction });
    context.progress(fraction, eta(fraction));
  };
  await pullModel({
    id: modelId,
    directory: settings.modelsDirectory,
    environment: options.environment,
    signal: context.signal,
    log: context.log,
    onProgress: (progress) => pending(`${modelId}: ${describe(progress)}`, fractionOf(progress)),
  });
  if (await library.refresh()) context.changed();
  if (library.get(modelId) === undefined) {
    throw new NexusError(
      "model_source_unavailable",
      `The file of ${modelId} cannot be read; delete and fetch it again.`,
    );
  }
  pending(`${modelId}: loading`, loadFrom);
  await options.load(
    modelId,
    (done) => pending(`${modelId}: loading`, loadFrom + (1 - loadFrom) * done),
    context.signal,
  );
  context.check(check, { status: "ok", reason: `${modelId} is loaded` });
  context.progress(1, 0);
  context.changed();
}

/** Another model that is here makes the service useful: it is ready for that one, and says what is missing. */
function reportMissing({ settings, context, library }: KeepModelsOptions, error: unknown): void {
  const reason = error instanceof NexusError ? error.message : `${settings.modelId}: ${describeError(error)}`;
  context.log.warn({ model: settings.modelId, reason: describeError(error) }, "the model is not available");
  const others = library
    .models()
    .map(({ entry }) => entry.id)
    .filter((id) => id !== settings.modelId);
  if (others.length > 0) context.check(check, { status: "ok", reason: `Serving ${others.join(", ")}. ${reason}` });
  else context.check(check, { status: "failed", reason: `${reason} Tried again every minute.` });
}

/** Resolves after `timeoutMs`, when the files have changed since `stamp`, or when the service shuts down. */
async function untilChanged({ library, clock, context }: KeepModelsOptions, stamp: string, timeoutMs: number) {
  const end = clock.monotonic() + timeoutMs;
  while (!context.signal.aborted && clock.monotonic() < end) {
    await pause(clock, Math.min(lookMs, end - clock.monotonic()), context.signal);
    if ((await library.stamp()) !== stamp) return;
  }
}

/** Shares of the whole way, by what the stages take on a home connection. */
const unpackFrom = 0.8;
const verifyFrom = 0.9;
const loadFrom = 0.93;

function fractionOf({ stage, bytesDone, bytesTotal }: PullProgress): number {
  const done = bytesTotal === null || bytesTotal === 0 ? 0 : Math.min(1, bytesDone / bytesTotal);
  if (stage === "verify") return verifyFrom + (loadFrom - verifyFrom) * done;
  if (stage === "unpack") return unpackFrom + (verifyFrom - unpackFrom) * done;
  return unpackFrom * done;
}

function describe({ stage, source, bytesDone, bytesTotal }: PullProgress): string {
  const mebibytes = (bytes: number) => Math.round(bytes / 1024 / 1024);
  const amount = bytesTotal === null ? "" : `, ${mebibytes(bytesDone)} of ${mebibytes(bytesTotal)} MiB`;
  return `${stage} (${source}${amount})`;
}

/** Seconds left if all goes on as it did; null while too little has happened to say. */
function createEstimate(clock: Clock): (fraction: number) => number | null {
  const startedAt = clock.monotonic();
  return (fraction) => {
    if (fraction < 0.05) return null;
    const elapsedSeconds = (clock.monotonic() - startedAt) / 1000;
    return Math.round((elapsedSeconds * (1 - fraction)) / fraction);
  };
}
