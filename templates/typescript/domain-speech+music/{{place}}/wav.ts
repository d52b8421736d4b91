/** Samples a second. */
export const rate = 16_000;

/** The beginning of a WAV file of so many samples: one channel, 16 bits. */
export function wavHeader(samples: number): Buffer {
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + samples * 2, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(samples * 2, 40);
  return header;
}

/** A tone that fades, or silence for 0 Hz. */
export function tone(hertz: number, samples: number): Buffer {
  const bytes = Buffer.alloc(samples * 2);
  for (let at = 0; hertz > 0 && at < samples; at++) {
    const loudness = 8_000 * (1 - at / samples);
    bytes.writeInt16LE(Math.round(loudness * Math.sin((2 * Math.PI * hertz * at) / rate)), at * 2);
  }
  return bytes;
}
