import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";
import { goodService } from "../fakes/good-service.ts";
import { mediaService, type SoundPace } from "../fakes/media-service.ts";
import { runInTest } from "../support/run-in-test.ts";

const options = { timeout: 60_000 };
const clientOf = (url: string) => new OpenAI({ apiKey: "k", baseURL: `${url}/v1`, maxRetries: 0 });
const speak = (url: string, fields: object, init: RequestInit = {}) =>
  fetch(`${url}/v1/audio/speech`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "fake-voice", voice: "x", input: "a b c", ...fields }),
    ...init,
  });

test("sound goes out as it is made, and stops when nobody listens", options, async (t) => {
  const { promise: left, resolve: leave } = Promise.withResolvers<void>();
  const pace: SoundPace = (piece, signal) =>
    piece === 0
      ? Promise.resolve()
      : new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            leave();
            reject(signal.reason);
          });
        });
  const { url } = await runInTest(t, mediaService({}, pace));
  const answer = await speak(url, {});
  assert.equal(answer.headers.get("content-type"), "audio/wav");
  assert.equal(answer.headers.get("content-length"), null);
  const reader = answer.body?.getReader();
  const first = Buffer.from((await reader?.read())?.value ?? []);
  assert.equal(first.toString("latin1", 0, 4), "RIFF");
  await reader?.cancel();
  await left;
});

test("sound as events names each of them and ends without [DONE]", options, async (t) => {
  const { url } = await runInTest(t, mediaService());
  const text = await (await speak(url, { stream_format: "sse" })).text();
  assert.equal(text.match(/^event: speech\.audio\.delta\ndata: \{"type":"speech\.audio\.delta"/gm)?.length, 3);
  assert.match(text, /event: speech\.audio\.done\ndata: .*\n\n$/);
});

test("a transcription takes a form from the official client, whole and streamed", options, async (t) => {
  const { url } = await runInTest(t, mediaService());
  const { audio } = clientOf(url);
  const model = "fake-ear";
  const file = await toFile(Buffer.from("RIFF?"), "größe.wav");
  assert.equal((await audio.transcriptions.create({ model, file })).text, "5 bytes");
  assert.equal(await audio.transcriptions.create({ model, file, response_format: "text" }), "5 bytes\n");
  const events = [];
  for await (const event of await audio.transcriptions.create({ model, file, stream: true })) events.push(event.type);
  assert.deepEqual(events, ["transcript.text.delta", "transcript.text.delta", "transcript.text.done"]);
});

test("a form's fields and files reach the handler, and lists stay lists", options, async (t) => {
  let seen: unknown;
  const handler = ({ body, files }: { body: unknown; files: readonly { name: string; filename: string }[] }) => {
    seen = { body, files: files.map(({ name, filename }) => [name, filename]) };
    return { kind: "json" as const, status: 200, headers: {}, value: { text: "" } };
  };
  const { url } = await runInTest(t, mediaService({ handlers: { "audio.transcriptions.create": handler } }));
  const form = new FormData();
  form.append("model", "fake-ear");
  form.append("timestamp_granularities[]", "word");
  form.append("timestamp_granularities[]", "segment");
  form.append("__proto__", "x");
  form.append("file", new Blob(["a"]), "a.wav");
  form.append("stream", "false");
  const answer = await fetch(`${url}/v1/audio/transcriptions`, { method: "POST", body: form });
  assert.equal(answer.status, 200);
  const body = { model: "fake-ear", timestamp_granularities: ["word", "segment"], ["__proto__"]: "x", stream: false };
  assert.deepEqual(seen, { body, files: [["file", "a.wav"]] });
});

const withFields = (...fields: readonly (readonly [string, string | Blob])[]) => {
  const form = new FormData();
  for (const [name, value] of fields) form.append(name, value);
  return form;
};
const sound = new Blob(["RIFF"]);
const fine = [["model", "fake-ear"] as const, ["file", sound] as const];

const refusals: readonly (readonly [what: string, init: RequestInit, status: number, code: string])[] = [
  ["JSON where a form is asked for", { body: "{}", headers: { "content-type": "application/json" } }, 415, ""],
  ["a form without a boundary", { body: "x", headers: { "content-type": "multipart/form-data" } }, 400, ""],
  ["half a form", { body: "--X\r\n", headers: { "content-type": "multipart/form-data; boundary=X" } }, 400, ""],
  ["a form without a model", { body: withFields(["file", sound]) }, 400, "missing_model"],
  ["two models", { body: withFields(...fine, ["model", "other"]) }, 400, "invalid_request"],
  ["a model beside a list of models", { body: withFields(...fine, ["model[]", "other"]) }, 400, "invalid_request"],
  ["a model of no model", { body: withFields(["model", "none"], ["file", sound]) }, 404, "model_not_found"],
  ["a stream of both minds", { body: withFields(...fine, ["stream", "1"]) }, 400, "invalid_request"],
  ["a form without its file", { body: withFields(["model", "fake-ear"]) }, 400, "invalid_request"],
  ["a form of a page in a browser", { body: withFields(...fine), headers: { origin: "https://a.example" } }, 403, ""],
  ["too large a file", { body: withFields(["file", new Blob(["x".repeat(5_000)])]) }, 413, "request_too_large"],
];

test("what is no good form is refused before any work", options, async (t) => {
  const { url } = await runInTest(t, mediaService({ limits: { bodyBytesMax: 4_096 } }));
  for (const [what, init, status, code] of refusals) {
    const answer = await fetch(`${url}/v1/audio/transcriptions`, { method: "POST", ...init });
    const { error } = (await answer.json()) as { error: { code: string } };
    assert.equal(answer.status, status, what);
    if (code !== "") assert.equal(error.code, code, what);
  }
});

test("a job lives: made, looked at while every slot works, fetched, deleted", options, async (t) => {
  const stuck: SoundPace = (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const { url } = await runInTest(t, mediaService({}, stuck));
  const { videos } = clientOf(url);
  const { id, status } = await videos.create({ model: "fake-film" as "sora-2", prompt: "a cat" });
  assert.equal(status, "queued");
  const busy = [await speak(url, {}), await speak(url, {})];
  await assert.rejects(videos.downloadContent(id), OpenAI.ConflictError);
  await videos.retrieve(id);
  assert.equal((await videos.retrieve(id)).status, "completed");
  assert.deepEqual(
    (await videos.list()).data.map((video) => video.id),
    [id],
  );
  const content = await videos.downloadContent(id, { variant: "thumbnail" });
  assert.equal(content.headers.get("content-type"), "video/mp4");
  assert.equal((await videos.delete(id)).deleted, true);
  await assert.rejects(videos.retrieve(id), OpenAI.NotFoundError);
  await Promise.all(busy.map((answer) => answer.body?.cancel()));
});

test("the descriptor says which media each operation answers with", options, async (t) => {
  const { url } = await runInTest(t, mediaService());
  const { response_types: types } = (await (await fetch(`${url}/v1/descriptor`)).json()) as {
    response_types: Record<string, readonly string[]>;
  };
  assert.ok(types["audio.speech.create"]?.includes("audio/wav"));
  assert.ok(types["audio.speech.create"]?.includes("text/event-stream"));
  assert.deepEqual(types["audio.transcriptions.create"], ["application/json", "text/plain", "text/event-stream"]);
  assert.deepEqual(types["videos.download_content"], ["video/mp4", "image/webp", "image/jpeg"]);
});

test("what the gateway answers itself is not for handlers", () => {
  assert.throws(() => goodService({ handlers: { "files.create": () => ({}) } as object }), /files\.create is not for/);
});
