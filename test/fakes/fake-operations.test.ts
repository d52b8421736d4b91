import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { toFile } from "openai";
import { WebSocket } from "ws";
import { routedOperations } from "../../src/contract/operations.ts";
import { wavFile } from "./fake-audio.ts";
import { type FakeBackend, startFakeBackend } from "./fake-backend.ts";
import { operationAt } from "./fake-operations.ts";

const options = { timeout: 60_000 };
const backend = await startFakeBackend("nexus", { models: [{ id: "m" }] });
after(() => backend.close());
const openai = new OpenAI({ apiKey: "k", baseURL: `${backend.url}/v1`, maxRetries: 0 });
const anthropic = new Anthropic({ apiKey: "k", baseURL: backend.url, maxRetries: 0 });
const model = "m";
const text = "Hello from Zürich, 你好 🌍👩‍🚀 done.";
const sound = () => toFile(wavFile(["one"]), "one.wav", { type: "audio/wav" });

async function typesOf(events: AsyncIterable<{ type: string }>): Promise<readonly string[]> {
  const types: string[] = [];
  for await (const { type } of events) if (types.at(-1) !== type) types.push(type);
  return types;
}

/** Asks without a client library. */
async function ask(path: string, body: object): Promise<Record<string, unknown>> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${backend.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  return (await answer.json()) as Record<string, unknown>;
}

describe("the fake backend speaks every operation as its clients know it", options, () => {
  it("knows each row of the table by its path", () => {
    for (const { id, method, path } of routedOperations) {
      const expected = id === "realtime.connect" ? undefined : id;
      assert.equal(operationAt(method, path.replace("{id}", "video_1")), expected);
    }
  });

  it("responses", async () => {
    const whole = await openai.responses.create({ model, input: "say hello" });
    assert.equal(whole.output_text, text);
    assert.equal(whole.usage?.total_tokens, 11);
    const cut = await openai.responses.create({ model, input: "say hello", max_output_tokens: 1 });
    assert.deepEqual([cut.status, cut.incomplete_details?.reason], ["incomplete", "max_output_tokens"]);
    const stream = await openai.responses.create({ model, input: "say hello", stream: true });
    assert.deepEqual(await typesOf(stream), [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const tools = [{ type: "function" as const, name: "weather", parameters: {}, strict: false }];
    const called = openai.responses.stream({ model, input: "say hello", tools });
    const [call] = (await called.finalResponse()).output;
    assert.ok(call?.type === "function_call");
    assert.deepEqual([call.name, call.arguments], ["weather", '{"city": "Zürich"}']);
  });

  it("messages", async () => {
    const body = { model, max_tokens: 64, messages: [{ role: "user" as const, content: "say hello" }] };
    const whole = await anthropic.messages.create(body);
    assert.deepEqual(whole.content, [{ type: "text", text }]);
    assert.equal((await anthropic.messages.stream(body).finalMessage()).usage.output_tokens, 9);
    const tools = [{ name: "weather", input_schema: { type: "object" as const } }];
    const called = await anthropic.messages.stream({ ...body, tools }).finalMessage();
    const [use] = called.content;
    assert.ok(use?.type === "tool_use");
    assert.deepEqual([use.name, use.input, called.stop_reason], ["weather", { city: "Zürich" }, "tool_use"]);
    assert.equal((await anthropic.messages.countTokens({ model, messages: body.messages })).input_tokens, 3);
    await assert.rejects(anthropic.messages.create({ ...body, model: "none" }), Anthropic.NotFoundError);
  });

  it("images", async () => {
    const { data = [] } = await openai.images.generate({ model, prompt: "a cat", n: 2 });
    assert.equal(data.length, 2);
    assert.match(Buffer.from(data[0]?.b64_json ?? "", "base64").toString("latin1"), /^\x89PNG/);
    const [linked] = (await openai.images.generate({ model, prompt: "a cat", response_format: "url" })).data ?? [];
    const picture = await fetch(linked?.url ?? "");
    assert.equal(picture.headers.get("content-type"), "image/png");
    const image = await toFile(Buffer.from(await picture.arrayBuffer()), "cat.png", { type: "image/png" });
    const stream = await openai.images.generate({ model, prompt: "a cat", stream: true, partial_images: 2 });
    assert.deepEqual(await typesOf(stream), ["image_generation.partial_image", "image_generation.completed"]);
    const edits = await openai.images.edit({ model, prompt: "a dog", image: [image, image], stream: true });
    assert.deepEqual(await typesOf(edits), ["image_edit.partial_image", "image_edit.completed"]);
    assert.equal((await openai.images.createVariation({ model, image })).data?.length, 1);
    const { form } = backend.requests.at(-1) ?? {};
    assert.deepEqual(
      form?.files.map(({ name, filename, bytes }) => [name, filename, bytes.length > 50]),
      [["image", "cat.png", true]],
    );
    assert.deepEqual(form?.fields, [{ name: "model", value: "m" }]);
  });

  it("speech", async () => {
    const spoken = await openai.audio.speech.create({ model, voice: "alloy", input: "a b c", response_format: "wav" });
    assert.equal(spoken.headers.get("content-type"), "audio/wav");
    const bytes = Buffer.from(await spoken.arrayBuffer());
    assert.equal(bytes.toString("latin1", 0, 4), "RIFF");
    assert.equal(bytes.length, 44 + 3 * 800);
    const events = await fetch(`${backend.url}/v1/audio/speech`, {
      method: "POST",
      body: JSON.stringify({ model, input: "a b", response_format: "pcm", stream_format: "sse" }),
    });
    assert.match(await events.text(), /speech\.audio\.delta[\s\S]*speech\.audio\.done.*"output_tokens":2/);
  });

  it("transcriptions and translations", async () => {
    const file = await sound();
    assert.equal((await openai.audio.transcriptions.create({ model, file })).text, text);
    for (const [format, start] of [
      ["text", /^Hello/],
      ["srt", /^1\n00:00:00,000 --> /],
      ["vtt", /^WEBVTT\n/],
    ] as const) {
      assert.match(await openai.audio.transcriptions.create({ model, file, response_format: format }), start);
    }
    const rich = await openai.audio.transcriptions.create({ model, file, response_format: "verbose_json" });
    assert.equal(rich.segments?.length, 9);
    const stream = await openai.audio.transcriptions.create({ model, file, stream: true });
    assert.deepEqual(await typesOf(stream), ["transcript.text.delta", "transcript.text.done"]);
    const translated = await openai.audio.translations.create({ model, file });
    assert.equal(translated.text, text);
  });

  it("moderations, reranking and reading of documents", async () => {
    const judged = await openai.moderations.create({ model, input: ["good", "harmful"] });
    assert.deepEqual(
      judged.results.map(({ flagged }) => flagged),
      [false, true],
    );
    const documents = ["a dog", { text: "the grey cat" }, "cat"];
    const ranked = (await ask("/v1/rerank", { model, query: "grey cat", documents, top_n: 2 })).results;
    assert.deepEqual(
      (ranked as { index: number }[]).map(({ index }) => index),
      [1, 2],
    );
    const document = { type: "document_url", document_url: "data:application/pdf;base64,AA==" };
    const read = await ask("/v1/ocr", { model, document, pages: [0] });
    assert.deepEqual(read.usage_info, { pages_processed: 1, doc_size_bytes: 34 });
  });

  it("videos", async () => {
    const made = await openai.videos.create({ model: model as "sora-2", prompt: "a cat" });
    assert.equal(made.status, "queued");
    await assert.rejects(openai.videos.downloadContent(made.id), OpenAI.BadRequestError);
    const looks = [await openai.videos.retrieve(made.id), await openai.videos.retrieve(made.id)];
    assert.deepEqual(
      looks.map(({ status, progress }) => [status, progress]),
      [
        ["in_progress", 50],
        ["completed", 100],
      ],
    );
    assert.deepEqual(
      (await openai.videos.list()).data.map(({ id }) => id),
      [made.id],
    );
    const film = await openai.videos.downloadContent(made.id);
    assert.equal(film.headers.get("content-type"), "video/mp4");
    assert.match(Buffer.from(await film.arrayBuffer()).toString("latin1"), new RegExp(`ftypmp42[\\s\\S]*${made.id}`));
    assert.equal((await openai.videos.delete(made.id)).deleted, true);
    await assert.rejects(openai.videos.retrieve(made.id), OpenAI.NotFoundError);
  });

  it("music", async () => {
    const { id } = await ask("/v1/music", { model, prompt: "a quiet waltz" });
    const look = () => fetch(`${backend.url}/v1/music/${String(id)}`).then((answer) => answer.json());
    await look();
    assert.equal(((await look()) as { status: string }).status, "completed");
    const piece = await fetch(`${backend.url}/v1/music/${String(id)}/content`);
    assert.equal(Buffer.from(await piece.arrayBuffer()).toString("latin1", 8, 12), "WAVE");
  });
});

interface Said {
  readonly type: string;
  readonly delta?: string;
}

/** A WebSocket and what it has heard. */
async function connect(to: FakeBackend, query = "model=m") {
  const socket = new WebSocket(`${to.url.replace("http", "ws")}/v1/realtime?${query}`);
  const heard: Said[] = [];
  let look = () => {};
  socket.on("message", (data) => {
    heard.push(JSON.parse(String(data)));
    look();
  });
  const until = (type: string) =>
    new Promise<void>((resolve) => {
      look = () => {
        if (heard.some((event) => event.type === type)) resolve();
      };
      look();
    });
  await once(socket, "open");
  const send = (event: object) => socket.send(JSON.stringify(event));
  return { socket, heard, until, send };
}

describe("the fake backend talks over WebSockets", options, () => {
  it("answers with words, then with sound", async () => {
    const { socket, heard, until, send } = await connect(backend);
    await until("session.created");
    send({ type: "response.create" });
    await until("response.done");
    const words = heard.filter(({ type }) => type === "response.output_text.delta").map(({ delta }) => delta);
    assert.equal(words.join(""), text);
    send({ type: "session.update", session: { output_modalities: ["audio"] } });
    send({ type: "response.create" });
    await until("response.output_audio.done");
    socket.close();
    await backend.until(({ requests }) => requests.at(-1)?.finished === true);
    assert.deepEqual(
      backend.messages.map(({ type }) => type),
      ["response.create", "session.update", "response.create"],
    );
  });

  it("fails as it is told, and notices that a client leaves", async (t) => {
    const broken = await startFakeBackend("nexus", { models: [{ id: "m" }], faults: { stallAfterChunks: 1 } });
    t.after(() => broken.close());
    const stalled = await connect(broken);
    stalled.send({ type: "response.create" });
    await stalled.until("response.output_text.delta");
    assert.equal(broken.inFlight, 1);
    stalled.socket.terminate();
    await broken.until(({ inFlight, aborted }) => inFlight === 0 && aborted === 1);
    broken.set({ faults: { truncateAfterChunks: 2 } });
    const cut = await connect(broken);
    cut.send({ type: "response.create" });
    const [code] = await once(cut.socket, "close");
    assert.equal(code, 1006);
    broken.set({ faults: { status: { status: 503 } } });
    await assert.rejects(connect(broken), /503/);
    broken.set({ faults: {} });
    await assert.rejects(connect(broken, "model=none"), /404/);
  });
});

describe("faults hit every operation", options, () => {
  it("cuts media by a reset, and says when its client leaves", async (t) => {
    const broken = await startFakeBackend("nexus", { models: [{ id: "m" }], faults: { truncateAfterChunks: 2 } });
    t.after(() => broken.close());
    const speak = (signal?: AbortSignal) =>
      fetch(`${broken.url}/v1/audio/speech`, {
        method: "POST",
        body: JSON.stringify({ model, input: "a b c d e", response_format: "pcm" }),
        ...(signal === undefined ? {} : { signal }),
      });
    await assert.rejects((await speak()).arrayBuffer());
    broken.set({ faults: { stallAfterChunks: 1 } });
    const leave = new AbortController();
    const stalled = await speak(leave.signal);
    leave.abort();
    await assert.rejects(stalled.arrayBuffer());
    await broken.until(({ aborted, inFlight }) => aborted === 1 && inFlight === 0);
    broken.set({ faults: { status: { status: 503 }, times: 1 } });
    assert.equal((await fetch(`${broken.url}/v1/videos`)).status, 503);
    assert.equal((await fetch(`${broken.url}/v1/videos`)).status, 200);
  });
});
