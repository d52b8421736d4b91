import koffi, { type LibraryHandle, type TypeObject } from "koffi";

/**
 * The part of whisper.cpp's C interface that is used, as `whisper.h` of its versions 1.8 and 1.9 declares it. Structures
 * are passed by value: a library in which they lie otherwise is refused by `checkDefaults`.
 */

const pointer = "void *";

const newSegments = koffi.proto("void NewSegments(void *context, void *state, int count, void *data)");
const logLine = koffi.proto("void LogLine(int level, const char *text, void *data)");

const contextParams = koffi.struct({
  use_gpu: "bool",
  flash_attn: "bool",
  gpu_device: "int",
  dtw_token_timestamps: "bool",
  dtw_aheads_preset: "int",
  dtw_n_top: "int",
  dtw_aheads: koffi.struct({ n_heads: "size_t", heads: pointer }),
  dtw_mem_size: "size_t",
});

const fullParams = koffi.struct({
  strategy: "int",
  n_threads: "int",
  n_max_text_ctx: "int",
  offset_ms: "int",
  duration_ms: "int",
  translate: "bool",
  no_context: "bool",
  no_timestamps: "bool",
  single_segment: "bool",
  print_special: "bool",
  print_progress: "bool",
  print_realtime: "bool",
  print_timestamps: "bool",
  token_timestamps: "bool",
  thold_pt: "float",
  thold_ptsum: "float",
  max_len: "int",
  split_on_word: "bool",
  max_tokens: "int",
  debug_mode: "bool",
  audio_ctx: "int",
  tdrz_enable: "bool",
  suppress_regex: "const char *",
  initial_prompt: "const char *",
  carry_initial_prompt: "bool",
  prompt_tokens: pointer,
  prompt_n_tokens: "int",
  language: "const char *",
  detect_language: "bool",
  suppress_blank: "bool",
  suppress_nst: "bool",
  temperature: "float",
  max_initial_ts: "float",
  length_penalty: "float",
  temperature_inc: "float",
  entropy_thold: "float",
  logprob_thold: "float",
  no_speech_thold: "float",
  greedy: koffi.struct({ best_of: "int" }),
  beam_search: koffi.struct({ beam_size: "int", patience: "float" }),
  new_segment_callback: koffi.pointer(newSegments),
  new_segment_callback_user_data: pointer,
  progress_callback: pointer,
  progress_callback_user_data: pointer,
  encoder_begin_callback: pointer,
  encoder_begin_callback_user_data: pointer,
  abort_callback: pointer,
  abort_callback_user_data: pointer,
  logits_filter_callback: pointer,
  logits_filter_callback_user_data: pointer,
  grammar_rules: pointer,
  n_grammar_rules: "size_t",
  i_start_rule: "size_t",
  grammar_penalty: "float",
  vad: "bool",
  vad_model_path: "const char *",
  vad_params: koffi.struct({
    threshold: "float",
    min_speech_duration_ms: "int",
    min_silence_duration_ms: "int",
    max_speech_duration_s: "float",
    speech_pad_ms: "int",
    samples_overlap: "float",
  }),
});

const tokenData = koffi.struct({
  id: "int",
  tid: "int",
  p: "float",
  plog: "float",
  pt: "float",
  ptsum: "float",
  t0: "int64_t",
  t1: "int64_t",
  t_dtw: "int64_t",
  vlen: "float",
});

/** A model in whisper.cpp's memory; null when there is none. */
export type Context = bigint | null;

/** `whisper_full_params`, as far as it is set or looked at here. */
export interface FullParams {
  n_threads: number;
  translate: boolean;
  token_timestamps: boolean;
  print_progress: boolean;
  print_timestamps: boolean;
  initial_prompt: string | null;
  language: string | null;
  suppress_nst: boolean;
  temperature: number;
  temperature_inc: number;
  entropy_thold: number;
  logprob_thold: number;
  no_speech_thold: number;
  greedy: { best_of: number };
  new_segment_callback: bigint | null;
  grammar_penalty: number;
  vad_params: { threshold: number; samples_overlap: number };
}

export interface TokenData {
  readonly id: number;
  readonly plog: number;
  /** Hundredths of a second. */
  readonly t0: number;
  readonly t1: number;
}

/** The functions, with the types that their signatures give them. */
export interface WhisperFunctions {
  version(): string;
  logTo(listener: bigint, data: null): void;
  contextParams(): { use_gpu: boolean };
  load(path: string, params: object): Context;
  isMultilingual(context: Context): number;
  fullParams(strategy: number): FullParams;
  full: {
    async(
      context: Context,
      params: FullParams,
      samples: Float32Array,
      count: number,
      done: (error: Error | null, code: number) => void,
    ): void;
  };
  segments(context: Context): number;
  segmentStart(context: Context, segment: number): number;
  segmentEnd(context: Context, segment: number): number;
  segmentText(context: Context, segment: number): string;
  segmentNoSpeech(context: Context, segment: number): number;
  tokens(context: Context, segment: number): number;
  tokenData(context: Context, segment: number, token: number): TokenData;
  tokenText(context: Context, segment: number, token: number): string;
  endOfText(context: Context): number;
  languageOf(context: Context): number;
  languageId(name: string): number;
  languageCode(id: number): string | null;
  languageName(id: number): string | null;
}

export function bindFunctions(library: LibraryHandle): WhisperFunctions {
  const bind = (name: string, result: TypeObject | string, ...args: (TypeObject | string)[]) =>
    library.func(`whisper_${name}`, result, args);
  // Koffi cannot know what a name stands for in TypeScript; the interface above says it, and the first use checks it.
  return {
    version: bind("version", "const char *"),
    logTo: bind("log_set", "void", koffi.pointer(logLine), pointer),
    contextParams: bind("context_default_params", contextParams),
    load: bind("init_from_file_with_params", pointer, "const char *", contextParams),
    isMultilingual: bind("is_multilingual", "int", pointer),
    fullParams: bind("full_default_params", fullParams, "int"),
    full: bind("full", "int", pointer, fullParams, "const float *", "int"),
    segments: bind("full_n_segments", "int", pointer),
    segmentStart: bind("full_get_segment_t0", "int64_t", pointer, "int"),
    segmentEnd: bind("full_get_segment_t1", "int64_t", pointer, "int"),
    segmentText: bind("full_get_segment_text", "const char *", pointer, "int"),
    segmentNoSpeech: bind("full_get_segment_no_speech_prob", "float", pointer, "int"),
    tokens: bind("full_n_tokens", "int", pointer, "int"),
    tokenData: bind("full_get_token_data", tokenData, pointer, "int", "int"),
    tokenText: bind("full_get_token_text", "const char *", pointer, "int", "int"),
    endOfText: bind("token_eot", "int", pointer),
    languageOf: bind("full_lang_id", "int", pointer),
    languageId: bind("lang_id", "int", "const char *"),
    languageCode: bind("lang_str", "const char *", "int"),
    languageName: bind("lang_str_full", "const char *", "int"),
  } as unknown as WhisperFunctions;
}

/** Keeps whisper.cpp's own lines off stderr. The listener is never given back: the library may log until its end. */
export function silence(functions: WhisperFunctions): void {
  functions.logTo(
    koffi.register(() => {}, koffi.pointer(logLine)),
    null,
  );
}

/** A listener for new segments, to be given back with `free`. */
export function listen(onSegments: (count: number) => void): { readonly pointer: bigint; free(): void } {
  const listener = koffi.register(
    (_context: unknown, _state: unknown, count: number) => onSegments(count),
    koffi.pointer(newSegments),
  );
  return { pointer: listener, free: () => koffi.unregister(listener) };
}

/** Throws unless the defaults stand where this declaration has them, from the first field to the last. */
export function checkDefaults(functions: WhisperFunctions): void {
  const params = functions.fullParams(0);
  const isNear = (value: number, wanted: number): boolean => Math.abs(value - wanted) < 1e-6;
  const isRight =
    isNear(params.temperature_inc, 0.2) &&
    isNear(params.entropy_thold, 2.4) &&
    isNear(params.logprob_thold, -1) &&
    isNear(params.no_speech_thold, 0.6) &&
    params.greedy.best_of === 5 &&
    isNear(params.grammar_penalty, 100) &&
    isNear(params.vad_params.threshold, 0.5) &&
    isNear(params.vad_params.samples_overlap, 0.1);
  if (!isRight) throw new Error(`its version ${functions.version()} has another interface than this service knows`);
}
