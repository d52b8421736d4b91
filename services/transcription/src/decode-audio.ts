import { createResampler, readWav } from "nexus/audio";
import { describeError, NexusError } from "nexus/base";
import type { OpusSound } from "./opus-sound.ts";
import { readOggOpus } from "./read-ogg.ts";
import { readWebm } from "./read-webm.ts";

/** What Whisper hears: samples of one channel, 16,000 a second. */
export const whisperRate = 16_000;

/** What a decoder gives: its channels side by side. */
interface Decoded {
  readonly channelData: readonly Float32Array[];
  readonly sampleRate: number;
}

interface Format {
  readonly name: string;
  /** Whether a file begins as this format does. */
  is(file: Buffer): boolean;
  decode(file: Buffer): Promise<Decoded>;
}

const startsWith =
  (text: string, at = 0) =>
  (file: Buffer) =>
    file.toString("latin1", at, at + text.length) === text;

/** Ogg carries sound of many kinds; the first packet says which. */
const isOggOf = (head: string) => (file: Buffer) =>
  startsWith("OggS")(file) && file.subarray(0, 512).includes(head, 0, "latin1");

/** By what they are, whatever the client calls them. The last one has no sure beginning. */
const formats: readonly Format[] = [
  { name: "WAV", is: startsWith("RIFF"), decode: async (file) => decodeWav(file) },
  { name: "FLAC", is: startsWith("fLaC"), decode: decodeFlac },
  { name: "Ogg Opus", is: isOggOf("OpusHead"), decode: async (file) => await decodeOpus(readOggOpus(file)) },
  { name: "Ogg Vorbis", is: isOggOf("\x01vorbis"), decode: decodeVorbis },
  {
    name: "WebM",
    is: (file) => file.length > 4 && file.readUInt32BE(0) === 0x1a45dfa3,
    decode: async (file) => await decodeOpus(readWebm(file)),
  },
  { name: "MP3", is: (file) => startsWith("ID3")(file) || isMpegFrame(file), decode: decodeMp3 },
];

function isMpegFrame(file: Buffer): boolean {
  // Eleven bits that mark a frame, then a layer that is not the reserved one.
  return file.length > 2 && file[0] === 0xff && ((file[1] ?? 0) & 0xe0) === 0xe0 && ((file[1] ?? 0) & 0x06) !== 0;
}

/**
 * A sound file as Whisper hears it.
 * @throws NexusError `invalid_request` for a file that is broken, of another format, or longer than `secondsMax`.
 */
export async function decodeAudio(file: Buffer, secondsMax: number): Promise<Float32Array> {
  const format = formats.find(({ is }) => is(file));
  if (format === undefined) {
    throw refuse(`The file is of no format that is read here: ${formats.map(({ name }) => name).join(", ")}.`);
  }
  const decoded = await format.decode(file).catch((error: unknown) => {
    if (error instanceof NexusError) throw error;
    throw refuse(`The ${format.name} file cannot be read: ${describeError(error).slice(0, 200)}.`);
  });
  const seconds = (decoded.channelData[0]?.length ?? 0) / decoded.sampleRate;
  if (!(seconds > 0)) throw refuse(`The ${format.name} file has no sound in it.`);
  if (seconds > secondsMax) {
    throw refuse(`The sound is ${Math.round(seconds)} s long; this service takes up to ${secondsMax} s.`);
  }
  return toWhisperRate(mix(decoded.channelData), decoded.sampleRate);
}

function refuse(message: string): NexusError {
  return new NexusError("invalid_request", message, { param: "file" });
}

/** The mean of the channels. */
function mix(channels: readonly Float32Array[]): Float32Array {
  const [first = new Float32Array(0), ...others] = channels;
  if (others.length === 0) return first;
  return first.map((sample, at) => others.reduce((sum, channel) => sum + (channel[at] ?? 0), sample) / channels.length);
}

function toWhisperRate(samples: Float32Array, sampleRate: number): Float32Array {
  const resampler = createResampler(sampleRate, whisperRate);
  const parts = [resampler.push(samples), resampler.end()];
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => {
    whole.set(part, at);
    return at + part.length;
  }, 0);
  return whole;
}

function decodeWav(file: Buffer): Decoded {
  const { samples, sampleRate } = readWav(file);
  return { channelData: [samples], sampleRate };
}

/** A decoder of the packages: made, awaited, used, freed. */
interface Decoder {
  readonly ready: Promise<void>;
  free(): void;
}

async function using<D extends Decoder>(
  decoder: D,
  decode: (decoder: D) => Decoded | Promise<Decoded>,
): Promise<Decoded> {
  await decoder.ready;
  try {
    return await decode(decoder);
  } finally {
    decoder.free();
  }
}

// Each is loaded when its format is met: a decoder is a hundred kilobytes or more of WebAssembly.

async function decodeFlac(file: Buffer): Promise<Decoded> {
  const { FLACDecoder } = await import("@wasm-audio-decoders/flac");
  return await using(new FLACDecoder(), (decoder) => decoder.decodeFile(file));
}

async function decodeVorbis(file: Buffer): Promise<Decoded> {
  const { OggVorbisDecoder } = await import("@wasm-audio-decoders/ogg-vorbis");
  return await using(new OggVorbisDecoder(), (decoder) => decoder.decodeFile(file));
}

async function decodeOpus({ frames, channels, preSkip }: OpusSound): Promise<Decoded> {
  const { OpusDecoder } = await import("opus-decoder");
  return await using(new OpusDecoder({ channels, preSkip }), (decoder) => decoder.decodeFrames([...frames]));
}

async function decodeMp3(file: Buffer): Promise<Decoded> {
  const { MPEGDecoder } = await import("mpg123-decoder").catch((error: unknown) => {
    throw new NexusError("invalid_request", "MP3 is not read here: mpg123-decoder is not installed. Send WAV.", {
      param: "file",
      cause: error,
    });
  });
  return await using(new MPEGDecoder(), (decoder) => decoder.decode(file));
}
