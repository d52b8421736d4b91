import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import koffi from "koffi";
import { describeError } from "nexus/base";
import {
  bindFunctions,
  type Context,
  checkDefaults,
  type FullParams,
  listen,
  silence,
  type WhisperFunctions,
} from "./whisper-interface.ts";

/** A piece of what was said, with times in seconds. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly tokens: readonly Token[];
  /** Probability that nothing was said. */
  readonly noSpeech: number;
}

export interface Token {
  readonly id: number;
  readonly text: string;
  /** Natural logarithm of its probability. */
  readonly logProbability: number;
  readonly start: number;
  readonly end: number;
}

export interface TranscribeOptions {
  /** Two letters; undefined lets the model find out. */
  readonly language: string | undefined;
  readonly isTranslation: boolean;
  readonly prompt: string | undefined;
  readonly temperature: number;
  readonly threads: number;
  readonly hasWordTimes: boolean;
  /** Segments as they are found. */
  onSegments(segments: readonly Segment[]): void;
}

/** A model in memory. */
export interface WhisperModel {
  readonly isMultilingual: boolean;
  /** Resolves to the name of the language, such as `english`. One call at a time. */
  transcribe(samples: Float32Array, options: TranscribeOptions): Promise<string>;
}

export interface WhisperLibrary {
  readonly version: string;
  /** Two letters of a language by its name or letters, or undefined when Whisper does not know it. */
  languageCode(name: string): string | undefined;
  /** Throws when the file is no model. */
  load(path: string): WhisperModel;
}

/** What carries whisper.cpp, by platform: prebuilt files, of which only the C interface is used. */
const packages: Readonly<Record<string, { readonly name: string; readonly path: string }>> = {
  "linux-x64": { name: "@spader/node-whisper-cpp-x64-linux-cpu-gnu", path: "../bins/libwhisper.so" },
  "linux-arm64": { name: "@fugood/node-whisper-linux-arm64", path: "index.node" },
};

/** Opens whisper.cpp. Throws with what is missing and what to do. */
export function openWhisper(path: string | undefined): WhisperLibrary {
  const place = path ?? installedLibrary();
  try {
    loadBackends(dirname(place));
    const functions = bindFunctions(koffi.load(place));
    silence(functions);
    checkDefaults(functions);
    return describeLibrary(functions);
  } catch (error) {
    throw new Error(`whisper.cpp cannot be opened: ${describeError(error)}`, { cause: error });
  }
}

function installedLibrary(): string {
  const key = `${process.platform}-${process.arch}`;
  const found = packages[key];
  const advice = "set NEXUS_WHISPER_LIBRARY to a libwhisper of version 1.8 or 1.9";
  if (found === undefined) throw new Error(`No whisper.cpp comes with this service for ${key}: ${advice}.`);
  try {
    return join(dirname(createRequire(import.meta.url).resolve(found.name)), found.path);
  } catch (error) {
    throw new Error(`${found.name} is not installed: run npm install, or ${advice}.`, { cause: error });
  }
}

/** Libraries that come in parts choose the one that knows most of this processor; others are one file. */
function loadBackends(directory: string): void {
  const loader = join(directory, "libggml.so");
  if (!existsSync(loader)) return;
  koffi.load(loader).func("void ggml_backend_load_all_from_path(const char *)")(directory);
}

function describeLibrary(functions: WhisperFunctions): WhisperLibrary {
  return {
    version: functions.version(),
    languageCode(name) {
      const id = functions.languageId(name.toLowerCase());
      return id < 0 ? undefined : (functions.languageCode(id) ?? undefined);
    },
    load(path) {
      const params = functions.contextParams();
      params.use_gpu = false;
      const context = functions.load(path, params);
      if (context === null) throw new Error("whisper.cpp cannot read the model");
      return createModel(functions, context);
    },
  };
}

function createModel(functions: WhisperFunctions, context: Context): WhisperModel {
  const isMultilingual = functions.isMultilingual(context) !== 0;
  return {
    isMultilingual,
    async transcribe(samples, options) {
      const listener = listen((count) => options.onSegments(readNewSegments(functions, context, count)));
      try {
        const params = fullParams(functions, options, isMultilingual);
        params.new_segment_callback = listener.pointer;
        const code = await new Promise<number>((resolve, reject) => {
          functions.full.async(context, params, samples, samples.length, (error, result) =>
            error === null ? resolve(result) : reject(error),
          );
        });
        if (code !== 0) throw new Error(`whisper.cpp failed with ${code}`);
        return functions.languageName(functions.languageOf(context)) ?? "unknown";
      } finally {
        listener.free();
      }
    },
  };
}

function fullParams(functions: WhisperFunctions, options: TranscribeOptions, isMultilingual: boolean): FullParams {
  const params = functions.fullParams(0);
  params.n_threads = options.threads;
  params.print_progress = false;
  params.print_timestamps = false;
  params.translate = options.isTranslation;
  params.token_timestamps = options.hasWordTimes;
  params.language = isMultilingual ? (options.language ?? "auto") : "en";
  params.initial_prompt = options.prompt ?? null;
  params.temperature = options.temperature;
  // As OpenAI's API has it: 0 may be raised where the model repeats itself, what a client asks for is held.
  if (options.temperature > 0) params.temperature_inc = 0;
  // "[music]" and the like are no text.
  params.suppress_nst = true;
  return params;
}

function readNewSegments(functions: WhisperFunctions, context: Context, count: number): Segment[] {
  const total = functions.segments(context);
  return Array.from({ length: count }, (_, at) => readSegment(functions, context, total - count + at));
}

/** whisper.cpp counts in hundredths of a second. */
const ticksPerSecond = 100;

function readSegment(functions: WhisperFunctions, context: Context, segment: number): Segment {
  const endOfText = functions.endOfText(context);
  const tokens = Array.from({ length: functions.tokens(context, segment) }, (_, token): Token => {
    const { id, plog, t0, t1 } = functions.tokenData(context, segment, token);
    const text = functions.tokenText(context, segment, token);
    return { id, text, logProbability: plog, start: t0 / ticksPerSecond, end: t1 / ticksPerSecond };
  });
  return {
    start: functions.segmentStart(context, segment) / ticksPerSecond,
    end: functions.segmentEnd(context, segment) / ticksPerSecond,
    text: functions.segmentText(context, segment),
    // Signs, such as those of time, are no text.
    tokens: tokens.filter(({ id }) => id < endOfText),
    noSpeech: functions.segmentNoSpeech(context, segment),
  };
}
