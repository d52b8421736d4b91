import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { decodeAudio, whisperRate } from "../src/decode-audio.ts";

/** How each is made: fixtures/README.md. */
const fixture = (name: string) => readFile(join(import.meta.dirname, "fixtures", name));

/** Of a tone, by how often it rises through zero. */
function pitchOf(samples: Float32Array): number {
  const rises = samples.filter((sample, at) => sample >= 0 && (samples[at - 1] ?? 0) < 0).length;
  return (rises * whisperRate) / samples.length;
}

const taken = [
  "tone.mp3",
  "tone-without-id3.mp3",
  "tone.flac",
  "tone-vorbis.ogg",
  "tone-opus.ogg",
  "tone.webm",
] as const;

for (const name of taken) {
  // proves: services.transcription
  test(`${name} is heard as it sounds`, async () => {
    const samples = await decodeAudio(await fixture(name), 60);
    assert.ok(Math.abs(samples.length / whisperRate - 1) < 0.05, `${samples.length} samples`);
    assert.ok(Math.abs(pitchOf(samples) - 440) < 5, `${pitchOf(samples)} Hz`);
  });
}

for (const name of ["tone.m4a", "tone.aac", "tone-flac.ogg", "tone-speex.ogg"]) {
  test(`${name} is refused with what is taken instead`, async () => {
    const message = /^The file is of no format that is read here: WAV, FLAC, Ogg Opus, Ogg Vorbis, WebM, MP3\.$/;
    await assert.rejects(async () => await decodeAudio(await fixture(name), 60), {
      code: "invalid_request",
      status: 400,
      param: "file",
      message,
    });
  });
}
