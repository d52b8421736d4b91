import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "./start.ts";

const rate = 8_000;

/** Two seconds of silence, as WAV. */
function silence(): Blob {
  const bytes = Buffer.alloc(44 + rate * 4);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(rate * 2, 28);
  return new Blob([bytes], { type: "audio/wav" });
}

test("sound becomes text, and subtitles", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const hear = async (format: string): Promise<string> => {
    const form = new FormData();
    form.append("model", "{{name}}");
    form.append("response_format", format);
    form.append("file", silence(), "silence.wav");
    const answer = await fetch(`${url}/v1/audio/transcriptions`, { method: "POST", body: form });
    assert.equal(answer.status, 200);
    return await answer.text();
  };
  assert.deepEqual(JSON.parse(await hear("json")), { text: "2.0 seconds of silence." });
  assert.match(await hear("srt"), /^1\n00:00:00,000 --> 00:00:02,000\n2\.0 seconds of silence\.\n/);
});
