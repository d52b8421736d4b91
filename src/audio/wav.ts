/** Sound of one channel; samples from -1 to 1. */
export interface Sound {
  readonly sampleRate: number;
  readonly samples: Float32Array;
}

/** The size that says "until the end", for sound that is sent as it is made. */
const unknownBytes = 0xffff_ffff;

/** The head of a WAV file of one channel of 16 bits; without `bytes` it says that nobody knows the length yet. */
export function wavHeader(sampleRate: number, bytes?: number): Buffer {
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(bytes === undefined ? unknownBytes : 36 + bytes, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(formats.integer, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(bytes ?? unknownBytes, 40);
  return header;
}

const formats = { integer: 1, float: 3, muLaw: 7, extensible: 0xfffe } as const;

interface Format {
  readonly format: number;
  readonly channels: number;
  readonly sampleRate: number;
  readonly bits: number;
}

/**
 * Reads a WAV file of integers (8 to 32 bits) or floats (32 or 64), the mean of its channels. A length that reaches beyond
 * the file's end, as in files that were streamed, means the end. Throws with what is wrong.
 */
export function readWav(file: Buffer): Sound {
  if (file.toString("latin1", 0, 4) !== "RIFF" || file.toString("latin1", 8, 12) !== "WAVE") {
    throw new Error("is no WAV file");
  }
  let format: Format | undefined;
  for (let at = 12; at + 8 <= file.length; ) {
    const id = file.toString("latin1", at, at + 4);
    const start = at + 8;
    const end = Math.min(file.length, start + file.readUInt32LE(at + 4));
    if (id === "fmt ") format = readFormat(file.subarray(start, end));
    if (id === "data" && format !== undefined) {
      return { sampleRate: format.sampleRate, samples: readSamples(file.subarray(start, end), format) };
    }
    // Chunks begin at even places.
    at = end + (end % 2);
  }
  throw new Error("has no sound in it");
}

function readFormat(chunk: Buffer): Format {
  if (chunk.length < 16) throw new Error("its format is cut off");
  const tag = chunk.readUInt16LE(0);
  const format = tag === formats.extensible && chunk.length >= 26 ? chunk.readUInt16LE(24) : tag;
  const read = {
    format,
    channels: chunk.readUInt16LE(2),
    sampleRate: chunk.readUInt32LE(4),
    bits: chunk.readUInt16LE(14),
  };
  if (read.channels < 1 || read.channels > 32) throw new Error(`has ${read.channels} channels`);
  if (read.sampleRate < 1000 || read.sampleRate > 768_000) throw new Error(`has ${read.sampleRate} samples a second`);
  return read;
}

function readSamples(data: Buffer, { format, channels, bits }: Format): Float32Array {
  const read = sampleReader(data, format, bits);
  const bytes = bits / 8;
  const samples = new Float32Array(Math.floor(data.length / (bytes * channels)));
  for (let index = 0; index < samples.length; index++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) sum += read((index * channels + channel) * bytes);
    samples[index] = sum / channels;
  }
  return samples;
}

function sampleReader(data: Buffer, format: number, bits: number): (at: number) => number {
  if (format === formats.float && bits === 32) return (at) => data.readFloatLE(at);
  if (format === formats.float && bits === 64) return (at) => data.readDoubleLE(at);
  if (format === formats.integer && bits === 8) return (at) => (data.readUInt8(at) - 128) / 128;
  if (format === formats.integer && [16, 24, 32].includes(bits)) {
    const scale = 2 ** (bits - 1);
    return (at) => data.readIntLE(at, bits / 8) / scale;
  }
  if (format === formats.muLaw && bits === 8) return (at) => muLaw(data.readUInt8(at));
  throw new Error(`its samples (format ${format}, ${bits} bits) are of a kind that is not read here`);
}

/** ITU-T G.711, the telephone's. */
function muLaw(byte: number): number {
  const bits = ~byte & 0xff;
  const magnitude = (((bits & 15) << 3) + 132) << ((bits >> 4) & 7);
  return ((bits & 0x80) === 0 ? magnitude - 132 : 132 - magnitude) / 32_768;
}
