import assert from "node:assert/strict";
import { test } from "node:test";
import { createResampler, readWav, toFloat, toInt16, wavHeader } from "./index.ts";

function tone(hz: number, sampleRate: number, seconds: number): Float32Array {
  return Float32Array.from(
    { length: sampleRate * seconds },
    (_, at) => 0.5 * Math.sin((2 * Math.PI * hz * at) / sampleRate),
  );
}

function resample(samples: Float32Array, from: number, to: number, pieceLength = samples.length): Float32Array {
  const resampler = createResampler(from, to);
  const out: number[] = [];
  for (let at = 0; at < samples.length; at += pieceLength) {
    out.push(...resampler.push(samples.subarray(at, at + pieceLength)));
  }
  return Float32Array.from([...out, ...resampler.end()]);
}

for (const [from, to] of [
  [44_100, 16_000],
  [48_000, 16_000],
  [22_050, 24_000],
  [8_000, 16_000],
  [16_000, 16_000],
] as const) {
  test(`a tone of 440 Hz is the same tone at ${to} as at ${from} samples a second`, () => {
    const made = resample(tone(440, from, 1), from, to);
    const wanted = tone(440, to, 1);
    assert.equal(made.length, wanted.length);
    // The edges, where the kernel reaches into silence, are left out.
    for (let at = 100; at < made.length - 100; at++) {
      assert.ok(Math.abs((made[at] ?? 0) - (wanted[at] ?? 0)) < 0.005, `sample ${at}`);
    }
  });
}

test("a tone that the lower rate cannot hold is gone, not another tone", () => {
  const made = resample(tone(11_000, 44_100, 1), 44_100, 16_000);
  assert.ok(made.subarray(200, -200).every((sample) => Math.abs(sample) < 0.005));
});

test("pieces of any size give what the whole gives", () => {
  const sound = tone(333, 22_050, 0.5);
  const whole = resample(sound, 22_050, 24_000);
  for (const length of [1, 7, 1000]) assert.deepEqual(resample(sound, 22_050, 24_000, length), whole);
});

test("a WAV file is read as it was written, also when its length was not known", () => {
  const samples = toInt16(tone(440, 16_000, 0.1));
  const data = Buffer.from(samples.buffer);
  for (const header of [wavHeader(16_000, data.length), wavHeader(16_000)]) {
    const sound = readWav(Buffer.concat([header, data]));
    assert.equal(sound.sampleRate, 16_000);
    assert.deepEqual(sound.samples, toFloat(samples));
  }
});

/** A WAV file of two channels, +half and -quarter, in any format. */
function stereo(format: number, bits: number, write: (buffer: Buffer, value: number, at: number) => void): Buffer {
  const header = wavHeader(8000, (2 * bits) / 8);
  header.writeUInt16LE(format, 20);
  header.writeUInt16LE(2, 22);
  header.writeUInt16LE(bits, 34);
  const data = Buffer.alloc((2 * bits) / 8);
  write(data, 0.5, 0);
  write(data, -0.25, bits / 8);
  return Buffer.concat([header, data]);
}

test("samples of all kinds are read, channels as their mean", () => {
  const integer = (bits: number) => (buffer: Buffer, value: number, at: number) =>
    void buffer.writeIntLE(value * 2 ** (bits - 1), at, bits / 8);
  const files = [
    stereo(1, 8, (buffer, value, at) => void buffer.writeUInt8(128 + value * 128, at)),
    ...[16, 24, 32].map((bits) => stereo(1, bits, integer(bits))),
    stereo(3, 32, (buffer, value, at) => void buffer.writeFloatLE(value, at)),
    stereo(3, 64, (buffer, value, at) => void buffer.writeDoubleLE(value, at)),
  ];
  for (const file of files) assert.deepEqual([...readWav(file).samples], [0.125]);
});

test("what is no WAV file, or of another kind, is refused", () => {
  assert.throws(() => readWav(Buffer.from("ID3 and more bytes than a head")), /no WAV file/);
  assert.throws(() => readWav(wavHeader(16_000).subarray(0, 30)), /cut off|no sound/);
  assert.throws(() => readWav(stereo(2, 4, () => {})), /not read here/);
  assert.throws(() => readWav(wavHeader(10)), /samples a second/);
});
