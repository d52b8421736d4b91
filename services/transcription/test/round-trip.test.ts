import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { runConformance } from "nexus/contract";
import {
  missingModel,
  type RunningService,
  sharedModelsDirectory,
  startService,
} from "../../../test/support/running-service.ts";
import { waitFor } from "../../../test/support/wait-for.ts";
import { createSpeechService } from "../../speech/src/create-speech-service.ts";
import { createTranscriptionService } from "../src/create-transcription-service.ts";

const text = "The quick brown fox jumps over the lazy dog. Please send the report to the office before noon on Friday.";
const heard = "whisper-tiny.en";
const voice = "piper-en-us-joe";

/** Words that are missing, wrong or too many, of the words that were said: the word error rate. */
function wordErrors(said: string, written: string): number {
  const words = (from: string) => from.toLowerCase().match(/[a-z']+/g) ?? [];
  const [wanted, got] = [words(said), words(written)];
  let row = got.map((_, at) => at + 1);
  row.unshift(0);
  for (const [at, word] of wanted.entries()) {
    const next = [at + 1];
    for (const [place, other] of got.entries()) {
      const replaced = (row[place] ?? 0) + (word === other ? 0 : 1);
      next.push(Math.min(replaced, (row[place + 1] ?? 0) + 1, (next[place] ?? 0) + 1));
    }
    row = next;
  }
  return (row.at(-1) ?? 0) / wanted.length;
}

const skip = (await missingModel(heard)) || (await missingModel(voice));

describe("a text is spoken and written down again", { timeout: 170_000, skip }, () => {
  let directory: string;
  let speech: RunningService;
  let transcription: RunningService;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-round-trip-"));
    const modelsDirectory = sharedModelsDirectory();
    const environment = process.env;
    speech = await startService(
      createSpeechService({
        settings: { voiceModel: voice, modelsDirectory, workDirectory: directory, parallel: 2 },
        version: "0.0.0",
        environment,
      }),
    );
    transcription = await startService(
      createTranscriptionService({
        settings: { model: heard, modelsDirectory, threads: 1, secondsMax: 600, library: undefined },
        version: "0.0.0",
        environment,
      }),
    );
    assert.equal((await transcription.settled()).state, "ready");
    assert.equal((await speech.settled()).state, "ready");
  });
  after(async () => {
    await Promise.all([speech?.close(), transcription?.close()]);
    await rm(directory, { recursive: true, force: true });
  });

  const ask = (fields: object, signal?: AbortSignal) =>
    fetch(`${speech.url}/v1/audio/speech`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ input: text, voice: "alloy", ...fields }),
      ...(signal === undefined ? {} : { signal }),
    });
  const speak = async (fields: object): Promise<Blob> => {
    const answer = await ask(fields);
    assert.equal(answer.status, 200, answer.ok ? "" : await answer.text());
    return await answer.blob();
  };
  const write = async (sound: Blob, fields: Readonly<Record<string, string>> = {}, path = "transcriptions") => {
    const form = new FormData();
    form.set("model", heard);
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    form.set("file", sound, "sound");
    return await fetch(`${transcription.url}/v1/audio/${path}`, { method: "POST", body: form });
  };
  /** The neural voice loads in the background; eSpeak NG speaks at once. */
  const voiceLoaded = async (): Promise<void> => {
    const isListed = async () => JSON.stringify((await speech.get("/v1/models")).body).includes(voice);
    await waitFor("the voice", isListed, 90_000);
  };

  // proves: services.speech, services.transcription
  it("a neural voice is understood", async () => {
    await voiceLoaded();
    const sound = await speak({ model: voice, response_format: "flac" });
    const { text: written } = (await (await write(sound)).json()) as { text: string };
    // Measured in eight tries, as the voice varies: 0 of 20 words were wrong in five, 2 or 3 in three.
    assert.ok(wordErrors(text, written) <= 0.2, written);
    const german = await ask({ model: voice, voice: "de" });
    assert.equal(german.status, 400);
    assert.match(await german.text(), /English only. The model espeak-ng has the voice/);
  });

  it("a machine's voice is understood for the most part, in every format", async () => {
    for (const format of ["mp3", "wav"]) {
      const sound = await speak({ model: "espeak-ng", response_format: format });
      const { text: written } = (await (await write(sound)).json()) as { text: string };
      // Measured: 7 of 20 words were wrong, each time. The smallest model has hardly heard such a voice.
      assert.ok(wordErrors(text, written) <= 0.5, `${format}: ${written}`);
    }
  });

  // proves: service.conforms
  it("both keep the contract", async (t) => {
    for (const { url } of [speech, transcription]) {
      const results = await Array.fromAsync(runConformance({ baseUrl: url, signal: t.signal }));
      const failed = results.filter(({ status }) => status === "fail").map(({ id, reason }) => `${id}: ${reason}`);
      assert.deepEqual(failed, []);
      const errors = results.filter(({ id, status }) => id.startsWith("errors.") && status === "pass");
      assert.equal(errors.length, 7);
    }
  });

  it("a file that is not read here is a bad request, and says what is", async () => {
    const answer = await write(new Blob([await readFile(join(import.meta.dirname, "fixtures", "tone.m4a"))]));
    const { error } = (await answer.json()) as { error: { param: string; message: string } };
    assert.deepEqual([answer.status, error.param], [400, "file"]);
    assert.match(error.message, /WAV, FLAC, Ogg Opus, Ogg Vorbis, WebM, MP3/);
  });

  // proves: services.transcription
  it("subtitles and words have times that lie in the sound, in their order", async () => {
    const sound = await speak({ model: voice, response_format: "wav" });
    const form = { response_format: "verbose_json", "timestamp_granularities[]": "word" };
    const verbose = (await (await write(sound, form)).json()) as {
      duration: number;
      words: { word: string; start: number; end: number }[];
    };
    const times = verbose.words.flatMap(({ start, end }) => [start, end]);
    assert.ok(verbose.words.length >= 18, JSON.stringify(verbose.words));
    assert.ok(times.every((time, at) => time >= (times[at - 1] ?? 0) - 0.2 && time <= verbose.duration + 0.5));
    const srt = await (await write(sound, { response_format: "srt" })).text();
    assert.match(srt, /^1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\n.*fox/);
    const english = await write(sound, {}, "translations");
    assert.match(((await english.json()) as { text: string }).text, /fox/);
  });

  // proves: services.speech
  it("the first sound comes long before the last, and who leaves ends the work", async () => {
    const controller = new AbortController();
    const answer = await ask({ model: voice, input: `${text} `.repeat(40), response_format: "pcm" }, controller.signal);
    const reader = answer.body?.getReader();
    const first = await reader?.read();
    // A sentence of some 80 in all.
    assert.ok((first?.value?.length ?? 0) > 20_000);
    const leftAt = performance.now();
    controller.abort();
    await waitFor("its slot is free", async () =>
      /nexus_service_slots_active 0/.test(await (await fetch(`${speech.url}/metrics`)).text()),
    );
    assert.ok(performance.now() - leftAt < 5_000, "its slot was taken for long");
    assert.equal((await ask({ model: voice, input: "Again.", response_format: "wav" })).status, 200);
  });

  it("speaking faster takes less time, and what cannot be done is said", async () => {
    const [slow, fast] = [
      await speak({ model: "espeak-ng", response_format: "pcm", speed: 0.8 }),
      await speak({ model: "espeak-ng", response_format: "pcm", speed: 2 }),
    ];
    assert.ok(fast.size < slow.size * 0.6, `${fast.size} of ${slow.size}`);
    for (const [fields, param] of [
      [{ response_format: "aac" }, "response_format"],
      [{ voice: "nobody-at-all" }, "voice"],
      [{ voice: "../../etc" }, "voice"],
      [{ speed: 5 }, "speed"],
      [{ input: " " }, "input"],
    ] as const) {
      const answer = await ask({ model: "espeak-ng", ...fields });
      assert.equal(answer.status, 400);
      assert.equal(((await answer.json()) as { error: { param: string } }).error.param, param);
    }
  });
});

describe("transcription without a model", { timeout: 60_000 }, () => {
  it("is not ready, and says why and what to do", async () => {
    const service = await startService(
      createTranscriptionService({
        settings: {
          model: "/nowhere/ggml-none.bin",
          modelsDirectory: join(tmpdir(), "nexus-no-models"),
          threads: 1,
          secondsMax: 60,
          library: undefined,
        },
        version: "0.0.0",
        environment: {},
      }),
    );
    try {
      const { state, checks } = await service.settled();
      assert.equal(state, "failed");
      assert.match(checks.model.reason, /ggml-none\.bin is not there.*NEXUS_TRANSCRIPTION_MODEL/);
    } finally {
      await service.close();
    }
  });
});
