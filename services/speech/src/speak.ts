import { createResampler, toInt16 } from "nexus/audio";
import { bytes, eventStream, type ServiceRequest, type ServiceResponse } from "nexus/service-kit";
import { outputRate, type SoundFormatName, soundFormats } from "./encoders.ts";
import type { Engine } from "./engine-process.ts";
import { parseSpeechRequest, type SpeechRequest } from "./speech-request.ts";
import { splitText } from "./split-text.ts";

/** A model as a request is answered with it. */
export interface Voice {
  readonly engine: Engine;
  /** What the engine calls the voice that a client names. @throws NexusError `invalid_request` */
  nameOf(voice: string): string;
}

/** Answers with sound as it is made, piece by piece of the text. */
export async function speak(voiceOf: (model: string) => Voice, request: ServiceRequest): Promise<ServiceResponse> {
  const wanted = parseSpeechRequest(request.body);
  const voice = voiceOf(wanted.model);
  const name = voice.nameOf(wanted.voice);
  const sound = encode(make(voice.engine, { ...wanted, voice: name }, request.signal), wanted.format);
  // Made before the answer begins: what is wrong with it is an error with its own status.
  const first = await sound.next();
  const chunks = continueWith(first, sound);
  if (wanted.isEvents) return eventStream(events(chunks, wanted.input), { typed: true });
  return bytes(chunks, soundFormats[wanted.format].contentType);
}

/** Between sentences: without it a listener takes the last word of one and the first of the next for one word. */
const pauseSeconds = 0.25;

/** Samples at the rate of all that leaves this service. */
async function* make(engine: Engine, { input, voice, speed }: SpeechRequest, signal: AbortSignal) {
  const resampler = createResampler(await engine.open(signal), outputRate);
  for (const [index, text] of splitText(input).entries()) {
    if (index > 0) yield new Int16Array(Math.round((pauseSeconds * outputRate) / speed));
    yield toInt16(resampler.push(await engine.speak({ text, voice, speed }, signal)));
  }
  yield toInt16(resampler.end());
}

async function* encode(sound: AsyncIterable<Int16Array>, format: SoundFormatName): AsyncGenerator<Uint8Array> {
  const encoder = await soundFormats[format].create();
  let head: Uint8Array | undefined = encoder.begin();
  for await (const samples of sound) {
    const chunk = Buffer.concat([head ?? Buffer.alloc(0), encoder.push(samples)]);
    head = undefined;
    if (chunk.length > 0) yield chunk;
  }
  const last = encoder.end();
  if (last.length > 0) yield last;
}

async function* continueWith<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

async function* events(chunks: AsyncIterable<Uint8Array>, input: string): AsyncGenerator<object> {
  for await (const chunk of chunks) {
    yield { type: "speech.audio.delta", audio: Buffer.from(chunk).toString("base64") };
  }
  // No tokens are spent here: characters are what the work is.
  const usage = { input_tokens: 0, output_tokens: 0, total_tokens: 0, input_characters: input.length };
  yield { type: "speech.audio.done", usage };
}
