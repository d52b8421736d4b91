import { NexusError } from "../../src/base/errors.ts";
import {
  bytes,
  defineService,
  eventStream,
  type Handler,
  json,
  type Service,
  type ServiceDefinition,
  type ServiceRequest,
} from "../../src/service-kit/index.ts";
import { tones, wavFile, wavHeader } from "./fake-audio.ts";

/** Awaited before each piece of sound, so that a test can hold it back. */
export type SoundPace = (piece: number, signal: AbortSignal) => Promise<void>;

const atOnce: SoundPace = () => new Promise((resolve) => setImmediate(resolve));

/** A service that speaks, writes down what it hears and makes films, without a model. */
export function mediaService(overrides: Partial<ServiceDefinition> = {}, pace: SoundPace = atOnce): Service {
  return defineService({
    name: "media",
    version: "1.0.0",
    backend: { name: "fake" },
    capabilities: { domains: ["speech", "transcription", "video"], streaming: true, max_concurrency: 2 },
    models: () => [
      { id: "fake-voice", domains: ["speech"], state: "loaded" },
      { id: "fake-ear", domains: ["transcription"], state: "loaded" },
      { id: "fake-film", domains: ["video"], state: "loaded" },
    ],
    handlers: { "audio.speech.create": speech(pace), "audio.transcriptions.create": transcribe, ...videoHandlers() },
    ...overrides,
  });
}

function wrong(param: string, must: string): NexusError {
  return new NexusError("invalid_request", `\`${param}\` must be ${must}.`, { param });
}

function speech(pace: SoundPace): Handler {
  return (request) => {
    const { input, response_format: format = "wav", stream_format: streamFormat } = request.body;
    if (typeof input !== "string" || input === "") throw wrong("input", "a text");
    if (format !== "wav" && format !== "pcm") throw wrong("response_format", "wav or pcm");
    if (streamFormat === "sse") return eventStream(soundEvents(request, pace), { typed: true });
    return bytes(format === "wav" ? wav(request, pace) : sounds(request, pace), `audio/${format}`);
  };
}

async function* sounds({ body, signal }: ServiceRequest, pace: SoundPace): AsyncIterable<Buffer> {
  for (const [index, piece] of tones(String(body.input).split(" ")).entries()) {
    await pace(index, signal);
    yield piece;
  }
}

async function* wav(request: ServiceRequest, pace: SoundPace): AsyncIterable<Buffer> {
  yield wavHeader();
  yield* sounds(request, pace);
}

async function* soundEvents(request: ServiceRequest, pace: SoundPace): AsyncIterable<object> {
  for await (const piece of sounds(request, pace)) {
    yield { type: "speech.audio.delta", audio: piece.toString("base64") };
  }
  yield { type: "speech.audio.done", usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 } };
}

const transcribe: Handler = ({ body, files }) => {
  const file = files.find(({ name }) => name === "file");
  if (file === undefined) throw wrong("file", "a sound file");
  const text = `${file.bytes.length} bytes`;
  if (body.stream === true) {
    return eventStream(transcript(text.split(/(?= )/)), { typed: true });
  }
  if (body.response_format === "text") return bytes(Buffer.from(`${text}\n`), "text/plain; charset=utf-8");
  return json({ text });
};

async function* transcript(words: readonly string[]): AsyncIterable<object> {
  for (const delta of words) yield { type: "transcript.text.delta", delta };
  yield { type: "transcript.text.done", text: words.join("") };
}

/** Films are done when somebody asks for the second time. */
function videoHandlers(): ServiceDefinition["handlers"] {
  const looks = new Map<string, number>();
  const film = (id: string) => {
    const seen = looks.get(id);
    if (seen === undefined) throw new NexusError("not_found", "There is no such video.");
    const status = seen > 1 ? "completed" : seen > 0 ? "in_progress" : "queued";
    return { id, object: "video", model: "fake-film", status, progress: seen > 1 ? 100 : 0, created_at: 1_767_225_600 };
  };
  return {
    "videos.create": ({ body }) => {
      if (typeof body.prompt !== "string" || body.prompt === "") throw wrong("prompt", "a text");
      const id = `video_${looks.size + 1}`;
      looks.set(id, 0);
      return json(film(id));
    },
    "videos.list": () => json({ object: "list", data: [...looks.keys()].map(film), has_more: false }),
    "videos.retrieve": ({ id }) => {
      looks.set(id, (looks.get(film(id).id) ?? 0) + 1);
      return json(film(id));
    },
    "videos.delete": ({ id }) => json({ id: film(id).id, object: "video.deleted", deleted: looks.delete(id) }),
    "videos.download_content": ({ id, query }) => {
      if (film(id).status !== "completed") throw new NexusError("conflict", "The video is not ready.");
      return bytes(wavFile([query.get("variant") ?? "video"]), "video/mp4");
    },
  };
}
