import assert from "node:assert/strict";
import { test } from "node:test";
import { FLACDecoder } from "@wasm-audio-decoders/flac";
import fc from "fast-check";
import { createFlacEncoder } from "../../speech/src/flac-encoder.ts";

/** What another program's decoder makes of it. */
async function decode(file: Uint8Array): Promise<Int16Array> {
  const decoder = new FLACDecoder();
  await decoder.ready;
  const { channelData, sampleRate, errors } = await decoder.decodeFile(file);
  decoder.free();
  assert.deepEqual(errors, []);
  assert.equal(sampleRate, 24_000);
  // It takes 32,767, not 32,768, for the loudest.
  return Int16Array.from(channelData[0] ?? [], (sample) => Math.round(sample * 32_767));
}

function encode(pieces: readonly Int16Array[]): Buffer {
  const encoder = createFlacEncoder(24_000);
  return Buffer.concat([encoder.begin(), ...pieces.map((piece) => encoder.push(piece)), encoder.end()]);
}

test("speech comes back as it was, to the last bit, and takes less room", async () => {
  const sound = Int16Array.from({ length: 50_000 }, (_, at) =>
    Math.round(9000 * Math.sin(at / 19) * Math.sin(at / 4000)),
  );
  const file = encode([sound.subarray(0, 3000), sound.subarray(3000, 3001), sound.subarray(3001)]);
  assert.deepEqual(await decode(file), sound);
  assert.ok(file.length < sound.byteLength * 0.6, `${file.length} of ${sound.byteLength} bytes`);
});

test("silence, the loudest noise and a last sample alone come back too", async () => {
  const noise = Int16Array.from({ length: 9000 }, (_, at) => ((at * 40_503) % 65_536) - 32_768);
  for (const sound of [
    new Int16Array(5000),
    noise,
    Int16Array.from({ length: 4097 }, (_, at) => (at % 2 === 0 ? 32_767 : -32_768)),
  ]) {
    assert.deepEqual(await decode(encode([sound])), sound);
  }
});

test("any samples come back", async () => {
  const samples = fc.int16Array({ minLength: 20, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(samples, async (sound) => assert.deepEqual(await decode(encode([sound])), Int16Array.from(sound))),
    { numRuns: 25 },
  );
});
