import assert from "node:assert/strict";
import { test } from "node:test";
import { toInt16, wavHeader } from "nexus/audio";
import { decodeAudio } from "./decode-audio.ts";
import { readWebm } from "./read-webm.ts";

function wav(seconds: number, sampleRate: number): Buffer {
  const tone = Float32Array.from({ length: seconds * sampleRate }, (_, at) => 0.5 * Math.sin(at / 9));
  return Buffer.concat([wavHeader(sampleRate), Buffer.from(toInt16(tone).buffer)]);
}

test("sound of any rate becomes what Whisper hears", async () => {
  for (const rate of [8_000, 16_000, 44_100]) assert.equal((await decodeAudio(wav(2, rate), 60)).length, 32_000);
});

test("what is too long, empty, broken or no sound is refused with a reason", async () => {
  const cases: readonly [Buffer, RegExp][] = [
    [wav(3, 8000), /3 s long.*up to 2 s/],
    [wavHeader(8000), /no sound/],
    [Buffer.from("RIFF0000WAVEjunk"), /WAV file cannot be read/],
    [Buffer.from("%PDF-1.7 and so on"), /no format that is read here: WAV/],
    [Buffer.alloc(0), /no format/],
    [Buffer.from("fLaC and nothing behind"), /FLAC file/],
    [Buffer.from([0x1a, 0x45, 0xdf, 0xa3, 0x80]), /no track of Opus/],
  ];
  for (const [file, reason] of cases) {
    await assert.rejects(decodeAudio(file, 2), { code: "invalid_request", param: "file", message: reason });
  }
});

/** An element of Matroska. */
function element(id: number, content: Buffer, size = content.length): Buffer {
  const name = Buffer.alloc(4);
  name.writeUInt32BE(id);
  return Buffer.concat([name.subarray(name.findIndex((byte) => byte !== 0)), Buffer.from([0x80 | size]), content]);
}

test("packets of Opus are found in a recording whose sizes nobody knew", () => {
  const head = Buffer.concat([Buffer.from("OpusHead"), Buffer.from([1, 2, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0, 0])]);
  const track = element(
    0xae,
    Buffer.concat([element(0xd7, Buffer.from([3])), element(0x86, Buffer.from("A_OPUS")), element(0x63a2, head)]),
  );
  const block = (number: number, bytes: readonly number[]) =>
    element(0xa3, Buffer.from([0x80 | number, 0, 0, 0x80, ...bytes]));
  const unknown = 0x7f;
  const file = Buffer.concat([
    element(0x1a45dfa3, Buffer.alloc(0)),
    element(0x18538067, Buffer.alloc(0), unknown),
    element(0x1654ae6b, track),
    element(0x1f43b675, Buffer.alloc(0), unknown),
    block(3, [1, 2, 3]),
    block(4, [9]),
    element(0x1f43b675, block(3, [4]), unknown),
  ]);
  const { frames, channels, preSkip } = readWebm(file);
  assert.deepEqual(
    frames.map((frame) => [...frame]),
    [[1, 2, 3], [4]],
  );
  assert.deepEqual({ channels, preSkip }, { channels: 2, preSkip: 312 });
});
