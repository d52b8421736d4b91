import { toFloat, wavHeader } from "nexus/audio";
import { NexusError } from "nexus/base";
import { createFlacEncoder } from "./flac-encoder.ts";

/** Samples a second of all that leaves this service: what OpenAI's `pcm` has, and what every format can hold. */
export const outputRate = 24_000;

/** Turns sound into the bytes of a file, piece by piece. */
export interface SoundEncoder {
  /** What stands before the first sound. */
  begin(): Uint8Array;
  push(samples: Int16Array): Uint8Array;
  /** What is left. */
  end(): Uint8Array;
}

interface SoundFormat {
  readonly contentType: string;
  create(): Promise<SoundEncoder>;
}

const nothing = new Uint8Array(0);

const raw: SoundEncoder = { begin: () => nothing, push: toBytes, end: () => nothing };

/** The formats that can be asked for. */
export const soundFormats = {
  mp3: { contentType: "audio/mpeg", create: createMp3Encoder },
  wav: { contentType: "audio/wav", create: async () => ({ ...raw, begin: () => wavHeader(outputRate) }) },
  flac: { contentType: "audio/flac", create: async () => createFlacEncoder(outputRate) },
  pcm: { contentType: "audio/pcm", create: async () => raw },
} as const satisfies Readonly<Record<string, SoundFormat>>;

export type SoundFormatName = keyof typeof soundFormats;

/** 16 bits, low byte first. */
function toBytes(samples: Int16Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(samples.length * 2);
  for (const [at, sample] of samples.entries()) bytes.writeInt16LE(sample, at * 2);
  return bytes;
}

/** Enough that speech at 24 kHz sounds as it was made. */
const mp3BitsPerSecond = 64;

/** LAME, which is not part of Nexus and may have been left out. */
async function createMp3Encoder(): Promise<SoundEncoder> {
  const { createMp3Encoder: create } = await import("wasm-media-encoders").catch((error: unknown) => {
    throw new NexusError(
      "unsupported_feature",
      "MP3 cannot be made here: wasm-media-encoders is not installed. Ask for wav, flac or pcm.",
      { param: "response_format", cause: error },
    );
  });
  const encoder = await create();
  encoder.configure({ channels: 1, sampleRate: outputRate, bitrate: mp3BitsPerSecond });
  return {
    begin: () => nothing,
    // What it gives is a view of memory that it writes to again.
    push: (samples) => Uint8Array.from(encoder.encode([toFloat(Int16Array.from(samples))])),
    end: () => Uint8Array.from(encoder.finalize()),
  };
}
