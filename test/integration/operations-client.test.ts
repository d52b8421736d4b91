import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI, { toFile } from "openai";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { defaultWords } from "../fakes/fake-generation.ts";
import { png } from "../fakes/fake-images.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";

const domains = {
  painter: "image",
  speaker: "speech",
  listener: "transcription",
  judge: "moderation",
  sorter: "rerank",
  reader: "ocr",
} as const;
const models = Object.entries(domains).map(([id, domain]) => ({ id, domain }));
const said = defaultWords.join("");
const picture = () => toFile(png(7), "in.png", { type: "image/png" });
const sound = () => toFile(Buffer.from("RIFFsound"), "in.wav", { type: "audio/wav" });

describe("OpenAI's Node client, operations beside chat", () => {
  let backend: FakeBackend;
  let gateway: TestGateway;
  let client: OpenAI;
  before(async () => {
    backend = await startFakeBackend("nexus", { models: models.map(({ id, domain }) => ({ id, kind: domain })) });
    gateway = await startTestGateway({ aliases: { "gpt-image-1": "painter", "whisper-1": "listener" } });
    gateway.view.set([recordOf(backend, { models: models.map(({ id, domain }) => ({ id, domains: [domain] })) })]);
    client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
  });
  after(async () => {
    await gateway?.close();
    await backend?.close();
  });
  const askedLast = () => {
    const { form, body } = backend.requests.at(-1) ?? {};
    return form === undefined ? body : Object.fromEntries(form.fields.map(({ name, value }) => [name, value]));
  };

  // proves: operations.images
  it("makes pictures, as bytes and as links", async () => {
    const bytes = await client.images.generate({ model: "gpt-image-1", prompt: "a fox", n: 2 });
    assert.deepEqual(
      bytes.data?.map(({ b64_json: data }) => data),
      [png(0), png(1)].map((made) => made.toString("base64")),
    );
    assert.equal(askedLast()?.model, "painter");
    const links = await client.images.generate({ model: "painter", prompt: "a fox", response_format: "url" });
    assert.match(links.data?.[0]?.url ?? "", /^http:.*\.png$/);
  });

  // proves: operations.images
  it("shows previews of a picture that is made", async () => {
    const stream = await client.images.generate({ model: "painter", prompt: "a fox", stream: true, partial_images: 2 });
    const events = await Array.fromAsync(stream);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["image_generation.partial_image", "image_generation.partial_image", "image_generation.completed"],
    );
  });

  // proves: operations.images
  it("changes and varies pictures that come in forms, under an alias too", async () => {
    const edited = await client.images.edit({ model: "gpt-image-1", prompt: "a hat", image: await picture() });
    assert.equal(edited.data?.length, 1);
    const { form } = backend.requests.at(-1) ?? {};
    assert.deepEqual(form?.files[0]?.bytes, png(7), "the picture arrives as it was sent");
    assert.equal(askedLast()?.model, "painter");
    const several = await client.images.edit({
      model: "painter",
      prompt: "a hat",
      image: [await picture(), await picture()],
      stream: true,
    });
    assert.equal((await Array.fromAsync(several)).at(-1)?.type, "image_edit.completed");
    const varied = await client.images.createVariation({ model: "gpt-image-1", image: await picture(), n: 2 });
    assert.equal(varied.data?.length, 2);
    assert.equal(askedLast()?.model, "painter");
  });

  // proves: operations.speech
  it("speaks, and passes sound on while the rest is made", async () => {
    const request = { model: "speaker", voice: "alloy", input: "one two three", response_format: "pcm" } as const;
    const whole = Buffer.from(await (await client.audio.speech.create(request)).arrayBuffer());
    assert.equal(whole.length, 3 * 800);
    // The fake makes no second piece within this test: what arrives has not waited for it.
    backend.set({ faults: { chunkDelayMs: 600_000 } });
    const answer = await client.audio.speech.create(request);
    assert.equal(answer.headers.get("content-type"), "audio/pcm");
    const reader = answer.body?.getReader();
    assert.deepEqual(Buffer.from((await reader?.read())?.value ?? []), whole.subarray(0, 800));
    assert.equal(backend.inFlight, 1);
    backend.set({ faults: {} });
    await reader?.cancel();
    await backend.until(({ inFlight }) => inFlight === 0);
    const events = await client.audio.speech.create({ ...request, stream_format: "sse" });
    assert.equal(events.headers.get("content-type"), "text/event-stream");
    assert.match(await events.text(), /event: speech\.audio\.done\n/);
  });

  // proves: operations.transcription
  it("writes down what is said, in every shape", async () => {
    const create = async (responseFormat?: "json" | "text" | "srt" | "vtt" | "verbose_json") =>
      (await client.audio.transcriptions.create({
        model: "whisper-1",
        file: await sound(),
        ...(responseFormat === undefined ? {} : { response_format: responseFormat }),
      })) as unknown;
    assert.equal(((await create()) as { text: string }).text, said);
    assert.equal(askedLast()?.model, "listener");
    assert.deepEqual(backend.requests.at(-1)?.form?.files[0]?.bytes, Buffer.from("RIFFsound"));
    assert.equal(await create("text"), `${said}\n`);
    assert.match(String(await create("srt")), /^1\n00:00:00,000 --> /);
    assert.match(String(await create("vtt")), /^WEBVTT\n/);
    const verbose = (await create("verbose_json")) as OpenAI.Audio.TranscriptionVerbose;
    assert.equal(verbose.segments?.length, defaultWords.length);
    assert.equal(verbose.text, said);
  });

  // proves: operations.transcription
  it("streams a transcript, and translates", async () => {
    const stream = await client.audio.transcriptions.create({ model: "listener", file: await sound(), stream: true });
    let text = "";
    for await (const event of stream) if (event.type === "transcript.text.delta") text += event.delta;
    assert.equal(text, said);
    const translated = await client.audio.translations.create({ model: "whisper-1", file: await sound() });
    assert.equal(translated.text, said);
  });

  // proves: operations.judgements
  it("moderates, reranks and reads documents", async () => {
    const moderation = await client.moderations.create({ model: "judge", input: ["fine", "harm"] });
    assert.deepEqual(
      moderation.results.map(({ flagged }) => flagged),
      [false, true],
    );
    const post = async (path: string, body: object) => {
      const answer = await gateway.fetch(path, { body });
      assert.equal(answer.status, 200);
      return (await answer.json()) as Record<string, readonly Record<string, unknown>[]>;
    };
    const documents = ["Bern", "the capital of France"];
    const ranked = await post("/v1/rerank", { model: "sorter", query: "capital", documents, top_n: 1 });
    assert.deepEqual(
      ranked.results?.map(({ index }) => index),
      [1],
    );
    const document = { type: "document_url", document_url: "https://example.org/a.pdf" };
    const read = await post("/v1/ocr", { model: "reader", document });
    assert.equal(read.pages?.length, 2);
  });

  // proves: operations.model-left-out
  it("takes the only model there is where OpenAI's API lets the model out, in JSON and in forms", async () => {
    await client.moderations.create({ input: "fine" });
    assert.equal(askedLast()?.model, "judge");
    await client.images.generate({ prompt: "a fox" });
    assert.equal(askedLast()?.model, "painter");
    await client.images.generate({ prompt: "a fox", model: null });
    assert.deepEqual(askedLast(), { prompt: "a fox", model: "painter" });
    await client.images.edit({ prompt: "a hat", image: await picture() });
    assert.deepEqual(askedLast(), { prompt: "a hat", model: "painter" });
    await client.images.createVariation({ image: await picture() });
    assert.deepEqual(askedLast(), { model: "painter" });
    assert.deepEqual(backend.requests.at(-1)?.form?.files[0]?.bytes, png(7));
    const spoken = client.audio.speech.create({ input: "hi", voice: "alloy" } as never);
    await assert.rejects(spoken, { status: 400, code: "missing_model" });
  });
});

describe("OpenAI's Node client, models left out", () => {
  // proves: operations.model-left-out
  it("asks which one where there are several, and says so where there is none", async (t) => {
    const backend = await startFakeBackend("nexus", {
      models: [
        { id: "fox", kind: "image" },
        { id: "owl", kind: "image" },
      ],
    });
    t.after(() => backend.close());
    const gateway = await startTestGateway();
    t.after(() => gateway.close());
    gateway.view.set([
      recordOf(backend, {
        models: [
          { id: "fox", domains: ["image"] },
          { id: "owl", domains: ["image"] },
        ],
      }),
    ]);
    const { key } = await gateway.keys.create({ name: "owls", role: "user", limits: { models: ["owl"] } });
    const open = (apiKey: string) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
    await assert.rejects(open(gateway.key).images.generate({ prompt: "x" }), {
      status: 400,
      code: "missing_model",
      message: /'fox', 'owl'/,
    });
    await assert.rejects(open(gateway.key).moderations.create({ input: "x" }), {
      status: 404,
      code: "model_not_found",
    });
    await open(key).images.generate({ prompt: "x" });
    assert.equal(backend.requests.filter(({ generation }) => generation).length, 1);
    assert.equal(backend.requests.at(-1)?.body?.model, "owl");
  });
});
