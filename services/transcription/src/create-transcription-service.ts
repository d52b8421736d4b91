import { type Clock, NexusError, systemClock } from "nexus/base";
import { defineService, type ModelInput, type Service } from "nexus/service-kit";
import { Engine } from "./engine-process.ts";
import { keepModel } from "./keep-model.ts";
import type { ShelfModel } from "./model-shelf.ts";
import type { TranscriptionSettings } from "./settings.ts";
import { type TranscribeContext, transcribe } from "./transcribe.ts";
import { transcriptFormats } from "./transcription-request.ts";

export interface TranscriptionServiceOptions {
  readonly settings: TranscriptionSettings;
  readonly version: string;
  /** For pip, which downloads models. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** Bytes of one sound file: an hour of MP3 at 128 kbit/s, and more than the 25 MB of OpenAI's API. */
const bodyBytesMax = 64 * 1024 * 1024;

/** Text from sound, with whisper.cpp. */
export function createTranscriptionService(options: TranscriptionServiceOptions): Service {
  const { settings, version } = options;
  let engine: Engine | undefined;
  let shelf: readonly ShelfModel[] = [];
  let keeping: Promise<void> | undefined;
  const context = (): TranscribeContext => {
    if (engine === undefined) throw new RangeError("a request came before start");
    return { engine, pathOf, threads: settings.threads, secondsMax: settings.secondsMax };
  };
  const pathOf = (id: string): string => {
    const found = shelf.find((model) => model.id === id);
    if (found === undefined) throw new NexusError("model_not_found", `The file of ${id} is gone.`, { param: "model" });
    return found.path;
  };
  return defineService({
    name: "transcription",
    version,
    description: "Writes down what is said in sound files, with times, and translates it into English.",
    backend: { name: "whisper.cpp", vendor: "ggml.ai" },
    capabilities: {
      domains: ["transcription"],
      modalities: { input: ["audio"], output: ["text"] },
      streaming: true,
      max_concurrency: 1,
      features: ["timestamps", "word_timestamps", "subtitles", "translation", "prompt", "language_detection", "cancel"],
    },
    requires: { cpu: settings.threads, memory: 768 * 1024 ** 2, disk: 512 * 1024 ** 2, warmup_seconds: 5 },
    ui: { options: uiOptions },
    navigation: { section: "transcription", title: "Transcription", icon: "microphone", order: 50 },
    limits: { bodyBytesMax, queueMax: 8 },
    models: () => shelf.map((model) => published(model, engine?.loaded?.path === model.path)),
    handlers: {
      "audio.transcriptions.create": (request) => transcribe(context(), request, "transcribe"),
      "audio.translations.create": (request) => transcribe(context(), request, "translate"),
    },
    start(service) {
      engine = new Engine(settings.library, service.log);
      service.check("model", { status: "pending", reason: "starting" });
      const onShelf = (models: readonly ShelfModel[]): void => {
        shelf = models;
      };
      const { environment, clock = systemClock } = options;
      keeping = keepModel({ settings, engine, onShelf, environment, context: service, clock });
    },
    async stop() {
      engine?.close();
      await keeping;
    },
  });
}

function published({ id, bytes, entry }: ShelfModel, isLoaded: boolean): ModelInput {
  return {
    id,
    domains: ["transcription"],
    state: isLoaded ? "loaded" : "available",
    size_bytes: bytes,
    vram_bytes: 0,
    features: { translation: !id.includes(".en") },
    ...(entry === undefined ? {} : { title: entry.title, description: entry.description, license: entry.license }),
  };
}

const uiOptions = [
  { key: "file", label: "Sound", type: "file" as const, description: "WAV, MP3, FLAC, Ogg or WebM." },
  { key: "language", label: "Language", type: "string" as const, description: "Two letters; found out when left out." },
  { key: "prompt", label: "Words to expect", type: "text" as const, description: "Names and terms, in a sentence." },
  { key: "response_format", label: "Format", type: "enum" as const, default: "json", values: [...transcriptFormats] },
  { key: "temperature", label: "Temperature", type: "number" as const, min: 0, max: 1, default: 0 },
];
