import { describeError, NexusError } from "nexus/base";
import { type CatalogueEntry, findEntry, type PulledModel, pullModel } from "nexus/blobs";
import { defineService, type ModelInput, type Service, type ServiceContext } from "nexus/service-kit";
import { soundFormats } from "./encoders.ts";
import { Engine } from "./engine-process.ts";
import { preparePiper } from "./piper-files.ts";
import { espeakModelId, type SpeechSettings } from "./settings.ts";
import { speak, type Voice } from "./speak.ts";
import { checkEnglish, espeakVoice, openAiVoices, shownLanguages } from "./voices.ts";

export interface SpeechServiceOptions {
  readonly settings: SpeechSettings;
  readonly version: string;
  /** For pip, which downloads voices. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A model that this service speaks with. */
interface Model extends Voice {
  readonly published: ModelInput;
}

/** Sound from text, with eSpeak NG and a Piper voice. */
export function createSpeechService(options: SpeechServiceOptions): Service {
  const { settings, version } = options;
  const models = new Map<string, Model>();
  let fetching: Promise<void> | undefined;
  const voiceOf = (id: string): Voice => {
    const found = models.get(id);
    if (found === undefined) throw new NexusError("model_not_found", `There is no ${id} here.`, { param: "model" });
    return found;
  };
  return defineService({
    name: "speech",
    version,
    description: "Reads texts aloud: at once in a hundred languages with eSpeak NG, like a person with a Piper voice.",
    backend: { name: "espeak-ng, piper" },
    capabilities: {
      domains: ["speech"],
      modalities: { input: ["text"], output: ["audio"] },
      streaming: true,
      max_concurrency: settings.parallel,
      features: ["voices", "speed", "first_bytes_early", "cancel", ...Object.keys(soundFormats)],
    },
    requires: { cpu: 1, memory: 768 * 1024 ** 2, disk: 256 * 1024 ** 2, warmup_seconds: 2 },
    ui: { options: uiOptions },
    navigation: { section: "speech", title: "Speech", icon: "volume", order: 40 },
    limits: { bodyBytesMax: 1024 * 1024 },
    models: () => [...models.values()].map(({ published }) => published),
    handlers: { "audio.speech.create": (request) => speak(voiceOf, request) },
    async start(context) {
      await openEspeakModel(models, context);
      fetching = fetchVoice(options, models, context);
    },
    async stop() {
      for (const { engine } of models.values()) engine.close();
      await fetching;
    },
  });
}

/** The floor: without it the service is not ready. */
async function openEspeakModel(models: Map<string, Model>, { log, signal }: ServiceContext): Promise<void> {
  const engine = new Engine(async () => null, log);
  try {
    await engine.open(signal);
  } catch (error) {
    engine.close();
    throw new Error(
      "eSpeak NG cannot be started; it comes with @echogarden/espeak-ng-emscripten, an optional package: run npm install.",
      { cause: error },
    );
  }
  const published: ModelInput = {
    id: espeakModelId,
    domains: ["speech"],
    state: "loaded",
    title: "eSpeak NG",
    description: "A hundred languages, at once, and plainly a machine.",
    license: "GPL-3.0-or-later",
  };
  models.set(espeakModelId, { engine, nameOf: espeakVoice, published });
}

/** The check of `/readyz` that stands for the neural voice, which is not needed to be ready. */
const check = "voice";

async function fetchVoice(options: SpeechServiceOptions, models: Map<string, Model>, context: ServiceContext) {
  const { settings, environment } = options;
  const id = settings.voiceModel;
  if (id === undefined) return;
  const meanwhile = `Speaking with ${espeakModelId}.`;
  const tell = (reason: string): void =>
    context.check(check, { status: "ok", reason: `${meanwhile} ${id}: ${reason}` });
  tell("looking for it");
  try {
    const entry = await findEntry(settings.modelsDirectory, id);
    const pulled = await pullModel({
      id,
      directory: settings.modelsDirectory,
      environment,
      signal: context.signal,
      log: context.log,
      onProgress: ({ stage, source }) => tell(`${stage} (${source})`),
    });
    tell("loading");
    const model = piperModel(entry, pulled, settings, context);
    await model.engine.open(context.signal);
    // Listed first: it is what a listener would rather hear.
    const others = [...models];
    models.clear();
    for (const [name, one] of [[id, model] as const, ...others]) models.set(name, one);
    context.check(check, { status: "ok", reason: `${id} is loaded` });
    context.changed();
  } catch (error) {
    if (context.signal.aborted) return;
    const reason = error instanceof NexusError ? error.message : describeError(error);
    context.log.warn({ model: id, reason }, "the voice is not available");
    tell(reason);
  }
}

function piperModel(
  entry: CatalogueEntry,
  { path, sha256, bytes }: PulledModel,
  { workDirectory }: SpeechSettings,
  { log }: ServiceContext,
): Model {
  const engine = new Engine(() => preparePiper({ path, sha256 }, workDirectory), log);
  const published: ModelInput = {
    id: entry.id,
    domains: ["speech"],
    state: "loaded",
    size_bytes: bytes,
    vram_bytes: 0,
    title: entry.title,
    description: entry.description,
    license: entry.license,
  };
  const nameOf = (wanted: string) => {
    checkEnglish(wanted, entry.id);
    return "";
  };
  return { engine, nameOf, published };
}

const uiOptions = [
  { key: "input", label: "Text", type: "text" as const },
  {
    key: "voice",
    label: "Voice",
    type: "enum" as const,
    default: "alloy",
    values: [...Object.keys(openAiVoices), ...shownLanguages],
    description: "Of espeak-ng, with `+f2` or `+m3` for others of a language. A Piper voice is one, and English.",
  },
  { key: "speed", label: "Speed", type: "number" as const, default: 1, min: 0.25, max: 4 },
  { key: "response_format", label: "Format", type: "enum" as const, default: "mp3", values: Object.keys(soundFormats) },
];
