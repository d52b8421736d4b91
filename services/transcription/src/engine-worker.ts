import { describeError, NexusError } from "nexus/base";
import { decodeAudio, whisperRate } from "./decode-audio.ts";
import type { EngineJob, EngineMessage } from "./engine-messages.ts";
import { openWhisper, type WhisperLibrary, type WhisperModel } from "./whisper-library.ts";

/**
 * The entry of the engine: a process of its own, because what whisper.cpp does in the middle of a window can be ended by
 * nothing else, and so that a broken model or file takes nobody along.
 */

let library: WhisperLibrary | undefined;
let model: WhisperModel | undefined;

const say = (message: EngineMessage): void => void process.send?.(message);

process.on("message", (job: EngineJob) => {
  const run = job.kind === "load" ? load(job) : transcribe(job);
  run.then(say, (error: unknown) => say(toFailure(error)));
});
// The service is gone: so is its engine.
process.on("disconnect", () => process.exit(0));

async function load({ path, library: file }: EngineJob & { kind: "load" }): Promise<EngineMessage> {
  library ??= openWhisper(file ?? undefined);
  model = library.load(path);
  return { kind: "loaded", version: library.version, isMultilingual: model.isMultilingual };
}

async function transcribe(job: EngineJob & { kind: "transcribe" }): Promise<EngineMessage> {
  if (library === undefined || model === undefined) throw new RangeError("a file came before a model");
  const language = job.language === null ? undefined : library.languageCode(job.language);
  if (job.language !== null && language === undefined) {
    throw new NexusError("invalid_request", "`language` is none that Whisper knows: give two letters, such as en.", {
      param: "language",
    });
  }
  // English into English is what it is already.
  const isTranslation = job.isTranslation && model.isMultilingual;
  if (!model.isMultilingual && language !== undefined && language !== "en") {
    throw new NexusError("unsupported_feature", "This model knows English only: take another, such as whisper-base.", {
      param: "model",
    });
  }
  const samples = await decodeAudio(Buffer.from(job.file.buffer, job.file.byteOffset, job.file.length), job.secondsMax);
  say({ kind: "decoded", seconds: samples.length / whisperRate });
  const found = await model.transcribe(samples, {
    language,
    isTranslation,
    prompt: job.prompt ?? undefined,
    temperature: job.temperature,
    threads: job.threads,
    hasWordTimes: job.hasWordTimes,
    onSegments: (segments) => say({ kind: "segments", segments }),
  });
  return { kind: "done", language: found };
}

function toFailure(error: unknown): EngineMessage {
  if (error instanceof NexusError) {
    return { kind: "failed", code: error.code, message: error.message, param: error.param ?? null };
  }
  return { kind: "failed", code: "backend_error", message: describeError(error), param: null };
}
