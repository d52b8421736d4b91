import { isAbsolute } from "node:path";
import { type Clock, describeError, NexusError, pause } from "nexus/base";
import { type PullProgress, pullModel } from "nexus/blobs";
import type { ServiceContext } from "nexus/service-kit";
import type { Engine } from "./engine-process.ts";
import { idOf, lookAtShelf, type ShelfModel } from "./model-shelf.ts";
import type { TranscriptionSettings } from "./settings.ts";

export interface KeepModelOptions {
  readonly settings: TranscriptionSettings;
  readonly engine: Engine;
  /** Called with what is here, whenever it was looked at. */
  readonly onShelf: (models: readonly ShelfModel[]) => void;
  /** For pip. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly context: Pick<ServiceContext, "check" | "progress" | "changed" | "signal" | "log">;
  readonly clock: Clock;
}

/** Between two tries to get a model that no source had, or two looks at what is here. */
const retryMs = 60_000;

const check = "model";

/** Gets the model of the settings and loads it; tries again every minute until that is done. Never throws. */
export async function keepModel(options: KeepModelOptions): Promise<void> {
  const { context, settings, clock } = options;
  let isLoaded = false;
  while (!context.signal.aborted) {
    try {
      if (!isLoaded) await bringUp(options);
      else await look(options);
      isLoaded = true;
    } catch (error) {
      if (context.signal.aborted) return;
      const reason = error instanceof NexusError ? error.message : describeError(error);
      context.log.warn({ model: settings.model, reason }, "the model is not available");
      context.check(check, { status: "failed", reason: `${reason} ${advice(settings.model)}` });
    }
    await pause(clock, retryMs, context.signal);
  }
}

function advice(model: string): string {
  const fetch = isAbsolute(model) ? "" : `nexus models pull ${model} shows what is tried; `;
  return `To mend it: ${fetch}NEXUS_TRANSCRIPTION_MODEL takes another model or the path of a ggml file. Tried again every minute.`;
}

async function bringUp(options: KeepModelOptions): Promise<void> {
  const { settings, context, engine } = options;
  const id = idOf(settings.model);
  const pending = (reason: string, fraction: number): void => {
    context.check(check, { status: "pending", reason: `${id}: ${reason}`, progress: fraction });
    context.progress(fraction, null);
  };
  pending("looking for it", 0);
  if (!isAbsolute(settings.model)) {
    await pullModel({
      id,
      directory: settings.modelsDirectory,
      environment: options.environment,
      signal: context.signal,
      log: context.log,
      onProgress: (progress) => pending(`${progress.stage} (${progress.source})`, fractionOf(progress)),
    });
  }
  const found = (await look(options)).find((model) => model.id === id);
  if (found === undefined) throw new Error(`${settings.model} is not there.`);
  pending("loading", loadFrom);
  const { version } = await engine.load(found.path, context.signal);
  context.check(check, { status: "ok", reason: `${id} is loaded by whisper.cpp ${version}` });
  context.progress(1, 0);
  context.changed();
}

async function look({ settings, onShelf, context }: KeepModelOptions): Promise<readonly ShelfModel[]> {
  const models = await lookAtShelf(settings.modelsDirectory, settings.model);
  onShelf(models);
  context.changed();
  return models;
}

/** What is left for loading, which takes a second where the download took a minute. */
const loadFrom = 0.95;

function fractionOf({ stage, bytesDone, bytesTotal }: PullProgress): number {
  if (stage === "unpack" || stage === "verify") return 0.9;
  return bytesTotal === null || bytesTotal === 0 ? 0 : 0.9 * Math.min(1, bytesDone / bytesTotal);
}
