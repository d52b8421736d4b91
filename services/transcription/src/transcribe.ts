import { bytes, eventStream, json, type ServiceRequest, type ServiceResponse } from "nexus/service-kit";
import type { Engine } from "./engine-process.ts";
import { type Transcript, textOf, toJson, toSrt, toVerboseJson, toVtt } from "./transcript.ts";
import { parseTranscriptionRequest, type TranscriptionRequest } from "./transcription-request.ts";
import type { Segment } from "./whisper-library.ts";

export interface TranscribeContext {
  readonly engine: Engine;
  /** The file of a model. */
  readonly pathOf: (model: string) => string;
  readonly threads: number;
  readonly secondsMax: number;
}

/** Answers a transcription or a translation, whole or as events. */
export async function transcribe(
  context: TranscribeContext,
  request: ServiceRequest,
  task: Transcript["task"],
): Promise<ServiceResponse> {
  const wanted = parseTranscriptionRequest(request);
  const heard = hear(context, wanted, task, request.signal);
  if (wanted.isStream) return eventStream(events(heard), { typed: true });
  const segments: Segment[] = [];
  for (;;) {
    const next = await heard.next();
    if (next.done === true) return render({ ...next.value, task, segments, temperature: wanted.temperature }, wanted);
    segments.push(next.value);
  }
}

type Heard = AsyncGenerator<Segment, Pick<Transcript, "language" | "duration">>;

/** The segments as they are found; at the end what is known of the whole. */
async function* hear(
  { engine, pathOf, threads, secondsMax }: TranscribeContext,
  { model, file, language, prompt, temperature, granularities }: TranscriptionRequest,
  task: Transcript["task"],
  signal: AbortSignal,
): Heard {
  const job = {
    language: language ?? null,
    isTranslation: task === "translate",
    prompt: prompt ?? null,
    temperature,
    hasWordTimes: granularities.has("word"),
    threads,
    secondsMax,
  };
  let duration = 0;
  let found = "unknown";
  for await (const message of engine.transcribe({ path: pathOf(model), file, job }, signal)) {
    if (message.kind === "decoded") duration = message.seconds;
    if (message.kind === "segments") yield* message.segments;
    if (message.kind === "done") found = task === "translate" ? "english" : message.language;
  }
  return { duration, language: found };
}

async function* events(heard: Heard): AsyncGenerator<object> {
  let text = "";
  for (;;) {
    const next = await heard.next();
    if (next.done === true) {
      const usage = { type: "duration", seconds: Math.ceil(next.value.duration) };
      yield { type: "transcript.text.done", text, usage };
      return;
    }
    const delta = text === "" ? next.value.text.trimStart() : next.value.text;
    text += delta;
    if (delta !== "") yield { type: "transcript.text.delta", delta };
  }
}

function render(transcript: Transcript, { format, granularities }: TranscriptionRequest): ServiceResponse {
  switch (format) {
    case "json":
      return json(toJson(transcript));
    case "verbose_json":
      return json(toVerboseJson(transcript, granularities));
    case "text":
      return plain(`${textOf(transcript.segments)}\n`);
    case "srt":
      return plain(toSrt(transcript.segments));
    case "vtt":
      return plain(toVtt(transcript.segments));
  }
}

function plain(text: string): ServiceResponse {
  return bytes(Buffer.from(text), "text/plain; charset=utf-8");
}
