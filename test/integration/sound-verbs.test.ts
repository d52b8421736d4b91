import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import type { Handler, ServiceRequest } from "../../src/service-kit/index.ts";
import { tones, wavFile } from "../fakes/fake-audio.ts";
import { goodEverything } from "../fakes/good-everything.ts";
import type { Pace } from "../fakes/good-service.ts";
import { main, makeDirectory, nexus } from "../support/command-line.ts";
import { replaceFile } from "../support/config-file.ts";
import { recordOf, startTestGateway } from "../support/gateway.ts";
import { needsTerminal, onTerminal } from "../support/on-terminal.ts";
import { runInTest } from "../support/run-in-test.ts";
import { missingModel, sharedModelsDirectory } from "../support/running-service.ts";
import { makeData, startPlatformFor } from "../support/started-platform.ts";
import { waitFor } from "../support/wait-for.ts";

const atOnce: Pace = () => new Promise((resolve) => setImmediate(resolve));

/** A gateway and one service behind it that speaks a tone a word, and hears the same words in any sound. */
async function startSound(t: TestContext, pace: Pace = atOnce) {
  const asked: ServiceRequest[] = [];
  const good = goodEverything({}, pace);
  const handlers = Object.entries(good.handlers).map(([id, handle]): [string, unknown] => {
    if (!id.startsWith("audio.")) return [id, handle];
    const keeping: Handler = async (request) => {
      asked.push(request);
      if (String(id).startsWith("audio.tran")) await pace(0, request.signal);
      return await (handle as Handler)(request);
    };
    return [id, keeping];
  });
  const service = await runInTest(t, goodEverything({ handlers: Object.fromEntries(handlers) }, pace));
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([recordOf(service, { models: [{ id: "fake-all", domains: ["speech", "transcription"] }] })]);
  const directory = await makeDirectory(t);
  const env = { NEXUS_URL: gateway.url, NEXUS_API_KEY: gateway.key };
  return { asked, options: { env, cwd: directory }, place: (name: string) => join(directory, name) };
}

/** Runs a line of a shell in which `nexus` is the program: what people pipe is bytes. */
async function shell(line: string, { env, cwd }: { env: Record<string, string>; cwd: string }): Promise<string> {
  const script = `nexus() { '${process.execPath}' '${main}' "$@"; }\n${line}`;
  const { stdout } = await promisify(execFile)("sh", ["-ec", script], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...env },
    timeout: 60_000,
  });
  return stdout;
}

const words = ["Mind", "the", "gap"];
const samples = Buffer.concat(tones(words));

// proves: cli.sounds
test("speak writes sound into a file, in the format of its name, or into a pipe", async (t) => {
  const { asked, options, place } = await startSound(t);
  const spoken = await nexus(["speak", ...words, "-o", "gap.wav"], options);
  assert.deepEqual(spoken, { code: 0, stdout: "2.4 kB by fake-all, in gap.wav.\n", stderr: "" });
  // The header of a stream says no length.
  assert.deepEqual((await readFile(place("gap.wav"))).subarray(44), samples);
  const flags = ["--voice", "nova", "--speed", "1.5", "-m", "fake-all", "-o", "gap.pcm", "--json"];
  const told = await nexus(["speak", ...flags], { ...options, stdin: `${words.join(" ")}\n` });
  const bytes = samples.length;
  assert.deepEqual(JSON.parse(told.stdout), { model: "fake-all", format: "pcm", output: place("gap.pcm"), bytes });
  assert.deepEqual(await readFile(place("gap.pcm")), samples);
  await shell("nexus speak Mind the gap -f pcm > piped.pcm", options);
  assert.deepEqual(await readFile(place("piped.pcm")), samples);
  const said = { model: "fake-all", input: "Mind the gap" };
  assert.deepEqual(
    asked.map(({ body }) => body),
    [
      { ...said, voice: "alloy", response_format: "wav", speed: 1 },
      { ...said, voice: "nova", response_format: "pcm", speed: 1.5 },
      { ...said, voice: "alloy", response_format: "pcm", speed: 1 },
    ],
  );
  assert.deepEqual((await readdir(options.cwd)).sort(), ["gap.pcm", "gap.wav", "piped.pcm"]);
});

// proves: cli.sounds
test("transcribe prints what is said in a file or a pipe, as text, subtitles or all that is known", async (t) => {
  const { asked, options, place } = await startSound(t);
  const sound = wavFile(words);
  await writeFile(place("gap.wav"), sound);
  const plain = await nexus(["transcribe", "gap.wav"], options);
  assert.deepEqual(plain, { code: 0, stdout: "green and so on\n", stderr: "" });
  assert.equal(await shell("cat gap.wav | nexus transcribe", options), "green and so on\n");
  assert.equal(await shell("nexus transcribe - < gap.wav", options), "green and so on\n");
  const subtitles = await nexus(["transcribe", "gap.wav", "-f", "srt"], options);
  assert.equal(subtitles.stdout, "1\n00:00:00,000 --> 00:00:02,000\ngreen and so on\n");
  const flags = ["--language", "de", "--prompt", "Names: Nexus.", "-m", "fake-all"];
  const written = await nexus(["transcribe", "gap.wav", "-f", "vtt", "-o", "gap.vtt", ...flags], options);
  assert.equal(written.stdout, "Written to gap.vtt by fake-all.\n");
  assert.match(await readFile(place("gap.vtt"), "utf8"), /^WEBVTT\n\n00:00:00\.000 --> .*\ngreen and so on\n$/);
  const english = JSON.parse((await nexus(["transcribe", "gap.wav", "--translate", "--json"], options)).stdout);
  assert.deepEqual([english.task, english.text, english.segments.length], ["translate", "green and so on", 4]);
  const shown = JSON.parse((await nexus(["transcribe", "gap.wav", "--format", "json"], options)).stdout);
  assert.deepEqual([shown.task, shown.duration], ["transcribe", 2]);
  for (const { files } of asked) {
    assert.deepEqual(
      files.map(({ name, bytes }) => [name, Buffer.from(bytes).equals(sound)]),
      [["file", true]],
    );
  }
  const fields = asked.map(({ body }) => [body.response_format, body.language, body.prompt]);
  assert.deepEqual(fields[3], ["srt", undefined, undefined]);
  assert.deepEqual(fields[4], ["vtt", "de", "Names: Nexus."]);
});

// proves: cli.sounds
test("what cannot be done is said in a line, before anybody works on it where that can be known", async (t) => {
  const { asked, options, place } = await startSound(t);
  await writeFile(place("empty.wav"), "");
  await writeFile(place("gap.wav"), wavFile(words));
  type Case = readonly [args: readonly string[], code: number, said: RegExp, stdin?: string];
  const early: readonly Case[] = [
    [["speak", "hello", "--json"], 2, /Say where the sound goes/],
    [["speak", "-o", "a.wav"], 2, /There is no text/, " \n"],
    [["speak", "hello", "-o", "a.wav", "--speed", "9"], 2, /0\.25 to 4/],
    [["speak", "hello", "-o", "nowhere/a.wav"], 2, /nowhere\/a\.wav cannot be written/],
    [["speak", "hello", "-o", "."], 2, /\. cannot be written/],
    [["transcribe", "nowhere.wav"], 2, /nowhere\.wav cannot be read/],
    [["transcribe", "."], 2, /\. cannot be read/],
    [["transcribe", "empty.wav"], 2, /empty\.wav is empty/],
    [["transcribe"], 2, /stdin is empty/],
    [["transcribe", "gap.wav", "--format", "doc"], 2, /text[\s\S]*srt/],
    [["transcribe", "gap.wav", "-o", "nowhere/a.txt"], 2, /nowhere\/a\.txt cannot be written/],
  ];
  const late: readonly Case[] = [
    [["speak", "hello", "-o", "a.mp3"], 1, /only wav and pcm/],
    [["speak", "hello", "-o", "a.wav", "-m", "nobody"], 1, /nobody/],
    [["transcribe", "gap.wav", "-m", "nobody"], 1, /nobody/],
  ];
  for (const [args, code, said, stdin = ""] of [...early, ...late]) {
    const ended = await nexus(args, { ...options, stdin });
    const output = args.includes("--json") ? ended.stdout : ended.stderr;
    assert.equal(ended.code, code, `${args.join(" ")}: ${output}`);
    assert.match(output, said);
    assert.doesNotMatch(output, /\n {4}at /);
  }
  assert.equal(asked.length, 1);
  assert.deepEqual((await readdir(options.cwd)).sort(), ["empty.wav", "gap.wav"]);
});

// proves: cli.sounds
test("speak sends no sound to a terminal", { skip: needsTerminal, timeout: 60_000 }, async (t) => {
  const { asked, options } = await startSound(t);
  const screen = onTerminal(t, ["speak", "hello"], options.env, options.cwd);
  await screen.until(/Say where the sound goes\.[\s\S]*-o speech\.wav/);
  assert.equal(await screen.ended, 2);
  assert.equal(asked.length, 0);
});

/** A verb whose end the test brings about. */
function begin(t: TestContext, args: readonly string[], { env, cwd }: { env: Record<string, string>; cwd: string }) {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  const ended = Promise.all([once(child, "close"), text(child.stderr)]).then(([[code], said]) => ({ code, said }));
  child.stdout.resume();
  return { child, ended };
}

const interrupted = { code: 130, said: "nexus: Interrupted.\n" };

// proves: cli.sounds
test("Ctrl-C ends the work and leaves no half file", { timeout: 60_000 }, async (t) => {
  const left: string[] = [];
  const { asked, options, place } = await startSound(t, async (piece, signal) => {
    if (piece === 0 && left.length === 0) return;
    await once(signal, "abort").finally(() => left.push("abort"));
  });
  await writeFile(place("old.wav"), "what was here before");
  const speaking = begin(t, ["speak", "one", "two", "three", "-o", "old.wav"], options);
  await waitFor("a half file", async () => (await readdir(options.cwd)).some((name) => name.endsWith(".part")));
  speaking.child.kill("SIGINT");
  assert.deepEqual(await speaking.ended, interrupted);
  assert.deepEqual(await readdir(options.cwd), ["old.wav"]);
  assert.equal(await readFile(place("old.wav"), "utf8"), "what was here before");
  await waitFor("the end of speaking", () => left.length === 1);

  const hearing = begin(t, ["transcribe", "old.wav", "-o", "text.txt"], options);
  await waitFor("a second request", () => asked.length === 2);
  hearing.child.kill("SIGINT");
  assert.deepEqual(await hearing.ended, interrupted);
  await waitFor("the end of hearing", () => left.length === 2);
  assert.deepEqual(await readdir(options.cwd), ["old.wav"]);
});

// proves: cli.sounds
test("Ctrl-C ends the wait for what is piped in", { timeout: 60_000 }, async (t) => {
  const { asked, options } = await startSound(t);
  for (const args of [["transcribe"], ["speak", "-o", "a.wav"]]) {
    const { child, ended } = begin(t, args, options);
    // Taken off the pipe, so the verb runs and waits for more.
    await new Promise((resolve) => child.stdin.write(Buffer.alloc(1 << 20), resolve));
    child.kill("SIGINT");
    assert.deepEqual(await ended, interrupted);
  }
  assert.equal(asked.length, 0);
});

const heard = "whisper-tiny.en";

// proves: cli.sounds, services.builtin
test("a text is spoken and written down again by the services that come with Nexus", {
  timeout: 170_000,
  skip: await missingModel(heard),
}, async (t) => {
  const data = await makeData(t);
  const models = sharedModelsDirectory();
  const speech = { env: { NEXUS_SPEECH_MODEL: "espeak-ng", NEXUS_MODELS_DIR: models } };
  const transcription = {
    env: { NEXUS_TRANSCRIPTION_MODEL: heard, NEXUS_MODELS_DIR: models, NEXUS_TRANSCRIPTION_THREADS: "1" },
  };
  await mkdir(dirname(data), { recursive: true });
  const file = join(dirname(data), "nexus.yaml");
  replaceFile(file, { discovery: { enabled: false }, builtin: { services: { speech, transcription } } });
  await startPlatformFor(t, { data, args: ["--config", file] });
  const options = { env: { NEXUS_DATA: data }, cwd: dirname(data) };
  const sentence = "The quick brown fox jumps over the lazy dog.";
  for (const format of ["wav", "mp3", "flac"]) {
    const spoken = await waitFor("sound", async () => {
      const { code } = await nexus(["speak", sentence, "-o", `fox.${format}`], options);
      return code === 0;
    });
    assert.ok(spoken);
    const written = await waitFor("a text", async () => {
      const { code, stdout } = await nexus(["transcribe", `fox.${format}`], options);
      return code === 0 && stdout;
    });
    assert.match(written, /quick|brown|fox|lazy|dog/i);
  }
  const piped = await shell(`nexus speak '${sentence}' | nexus transcribe -f srt`, options);
  assert.match(piped, /^1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\n/);
});
