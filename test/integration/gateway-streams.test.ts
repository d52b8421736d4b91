import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import type { FakeFaults } from "../fakes/fake-faults.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";

const body = { model: "tiny", messages: [{ role: "user", content: "hi" }], stream: true };
const wholeText = "Hello from Zürich, 你好 🌍👩‍🚀 done.";

/** What a client makes of a stream: its words, how it ended, and whether every event was whole. */
function readStream(text: string) {
  const events = text.split("\n\n").filter((event) => event !== "" && !event.startsWith(":"));
  let content = "";
  let done = 0;
  let error: { code: string; message: string } | undefined;
  for (const event of events) {
    const data = event.slice(event.indexOf("data:") + 5).trim();
    if (data === "[DONE]") {
      done++;
      continue;
    }
    const value = JSON.parse(data) as {
      choices?: { delta: { content?: string } }[];
      error?: { code: string; message: string };
    };
    error ??= value.error;
    content += value.choices?.[0]?.delta.content ?? "";
  }
  return { content, done, error };
}

describe("gateway: streams", () => {
  let gateway: TestGateway;
  /** The same with deadlines that a test can wait for; a busy machine would miss them where they are not meant. */
  let hasty: TestGateway;
  /** With a heartbeat that a test can wait for, and time for what comes after it. */
  let lively: TestGateway;
  let backend: FakeBackend;
  before(async () => {
    backend = await startFakeBackend("nexus");
    const ejection = { failures: 1_000 };
    gateway = await startTestGateway({ settings: { ejection } });
    hasty = await startTestGateway({
      settings: { timeouts: { firstTokenMs: 1_000, stallMs: 1_000, heartbeatMs: 100 }, ejection },
    });
    lively = await startTestGateway({ settings: { timeouts: { heartbeatMs: 100 }, ejection } });
    for (const one of [gateway, hasty, lively]) one.view.set([recordOf(backend)]);
  });
  after(async () => {
    await gateway.close();
    await hasty.close();
    await lively.close();
    await backend.close();
  });
  const stream = async (faults: FakeFaults = {}, through = gateway) => {
    backend.set({ faults });
    const response = await through.fetch("/v1/chat/completions", { body });
    return { response, text: await response.text() };
  };

  // proves: gateway.chat
  it("passes a stream on, ends it with one [DONE], and knows its usage", async () => {
    const seen = (await gateway.completions(0)).length;
    const response = await gateway.fetch("/v1/chat/completions", {
      body: { ...body, stream_options: { include_usage: true } },
    });
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    assert.deepEqual(readStream(await response.text()), { content: wholeText, done: 1, error: undefined });
    const record = (await gateway.completions(seen + 1)).at(-1);
    assert.ok(Number(record?.completion_tokens) > 0);
    assert.equal(record?.stream, true);
  });

  // proves: gateway.framing
  it("gives the client the same bytes wherever the backend's writes are cut", async () => {
    const { text: expected } = await stream();
    const length = Buffer.byteLength(expected);
    for (let at = 1; at < length; at++) {
      const { text } = await stream({ splitAt: at });
      assert.equal(text, expected, `cut at byte ${at}`);
    }
    const { text } = await stream({ splitEvery: 1 });
    assert.equal(text, expected, "byte by byte");
  });

  // proves: gateway.cut-stream
  it("ends a stream that was cut with an error event and without [DONE], wherever it was cut", async () => {
    for (const truncateWith of ["end", "reset"] as const) {
      for (let chunks = 1; chunks < 9; chunks++) {
        const { response, text } = await stream({ truncateAfterChunks: chunks, truncateWith });
        const { done, error } = readStream(text);
        assert.equal(response.status, 200);
        assert.equal(done, 0);
        assert.equal(error?.code, "backend_disconnected", `${truncateWith} after ${chunks}`);
      }
    }
  });

  // proves: gateway.framing
  it("keeps half an event back, so that the error that follows can be read", async () => {
    const server = createServer((request, response) => {
      if (request.method === "GET") return response.end("{}");
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write('data: {"choices":[{"delta":{"content":"Hel"}}]}\n\ndata: {"choices":[{"del', () => {
        setImmediate(() => response.destroy());
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    gateway.view.set([recordOf(backend), recordOf({ url }, { instance: "half", models: [{ id: "half" }] })]);
    try {
      const response = await gateway.fetch("/v1/chat/completions", { body: { ...body, model: "half" } });
      const { content, done, error } = readStream(await response.text());
      assert.deepEqual({ content, done, code: error?.code }, { content: "Hel", done: 0, code: "backend_disconnected" });
    } finally {
      gateway.view.set([recordOf(backend)]);
      server.close().closeAllConnections();
    }
  });

  it("answers 502 when an answer that does not stream breaks off, and sends nothing of it", async () => {
    backend.set({ faults: { truncateAfterChunks: 1 } });
    const response = await gateway.fetch("/v1/chat/completions", { body: { ...body, stream: false } });
    assert.equal(response.status, 502);
    assert.match(await response.text(), /^\{"error":.*"code":"backend_disconnected"\}\}$/);
  });

  // proves: gateway.slow-instance
  it("ends a stream that stalls with an error event, and hangs up on the backend", async () => {
    const aborted = backend.aborted;
    const { text } = await stream({ stallAfterChunks: 3 }, hasty);
    const { done, error } = readStream(text);
    assert.equal(done, 0);
    assert.equal(error?.code, "stall_timeout");
    await backend.until((fake) => fake.aborted === aborted + 1);
  });

  // proves: gateway.slow-instance
  it("answers 504 when nothing comes in time and nobody else can be asked", async () => {
    backend.set({ faults: { delayFirstByteMs: 10_000 } });
    const response = await hasty.fetch("/v1/chat/completions", { body: { ...body, stream: false } });
    assert.equal(response.status, 504);
    assert.match(await response.text(), /first_token_timeout/);
  });

  it("keeps a waiting stream open with comments, and still can say that it failed", async () => {
    const { response, text } = await stream({ delayFirstByteMs: 250 }, lively);
    assert.equal(response.status, 200);
    assert.match(text, /^: waiting\n\n/);
    assert.deepEqual(readStream(text), { content: wholeText, done: 1, error: undefined });
    const failed = await stream({ delayFirstByteMs: 10_000 }, hasty);
    assert.equal(readStream(failed.text).error?.code, "first_token_timeout");
  });

  it("breaks no answer whose client reads slowly", async () => {
    backend.set({ faults: {}, words: Array.from({ length: 20_000 }, (_, index) => `word${index} `) });
    const response = await gateway.fetch("/v1/chat/completions", { body });
    const reader = response.body?.getReader();
    const chunks: Uint8Array[] = [];
    for (let turn = 0; ; turn++) {
      const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
      if (done || value === undefined) break;
      chunks.push(value);
      if (turn < 20) await new Promise((resolve) => setTimeout(resolve, 25));
    }
    const { content, done } = readStream(Buffer.concat(chunks).toString());
    assert.equal(content.split(" ").length, 20_001);
    assert.equal(done, 1);
    backend.set({ words: ["Hello", " there"] });
  });

  // proves: gateway.many-streams
  // proves: gateway.many-streams
  it("serves 64 streams at once, none mixed up with another", async () => {
    const words = Array.from({ length: 64 }, (_, index) => `w${index} `);
    backend.set({ faults: { chunkDelayMs: 5 }, words });
    const answers = await Promise.all(
      Array.from({ length: 64 }, async (_, index) => {
        const response = await gateway.fetch("/v1/chat/completions", {
          body: { ...body, max_tokens: index + 1 },
          headers: { "x-request-id": `s-${index}` },
        });
        assert.equal(response.headers.get("x-request-id"), `s-${index}`);
        return readStream(await response.text());
      }),
    );
    for (const [index, answer] of answers.entries()) {
      assert.deepEqual(answer, { content: words.slice(0, index + 1).join(""), done: 1, error: undefined });
    }
    assert.equal(backend.inFlight, 0);
  });

  // proves: gateway.completions
  it("passes a stream of text completions on", async () => {
    backend.set({ faults: {}, words: ["once", " upon", " a time"] });
    const response = await gateway.fetch("/v1/completions", { body: { model: "tiny", prompt: "Tell", stream: true } });
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    const events = (await response.text()).trimEnd().split("\n\n");
    assert.equal(events.pop(), "data: [DONE]");
    const chunks = events.map((event) => JSON.parse(event.slice("data: ".length)) as { choices: { text: string }[] });
    assert.equal(chunks.map(({ choices }) => choices[0]?.text).join(""), "once upon a time");
  });

  // proves: gateway.client-gone
  for (const [path, input] of [
    ["/v1/chat/completions", { messages: body.messages }],
    ["/v1/completions", { prompt: "hi" }],
    ["/v1/embeddings", { input: "hi" }],
  ] as const) {
    it(`stops the backend within a second when the client of ${path} leaves`, async () => {
      backend.set({ faults: { delayFirstByteMs: 10_000 } });
      const { aborted, generations } = backend;
      const client = new AbortController();
      const request = gateway.fetch(path, { body: { model: "tiny", ...input }, signal: client.signal });
      await backend.until((fake) => fake.generations === generations + 1);
      client.abort();
      await assert.rejects(request, { name: "AbortError" });
      await backend.until((fake) => fake.aborted === aborted + 1 && fake.inFlight === 0);
    });
  }

  // proves: gateway.client-gone
  for (const [title, faults, stream_] of [
    ["before the first byte", { delayFirstByteMs: 60_000 }, true],
    ["in the middle of a stream", { chunkDelayMs: 60_000 }, true],
    ["of an answer that does not stream", { delayFirstByteMs: 60_000 }, false],
  ] as const) {
    // proves: gateway.client-gone
    it(`stops the backend when the client leaves ${title}`, async () => {
      backend.set({ faults, words: Array.from({ length: 50 }, () => "x") });
      const { aborted, generations } = backend;
      const client = new AbortController();
      const request = gateway.fetch("/v1/chat/completions", {
        body: { ...body, stream: stream_ },
        signal: client.signal,
      });
      await backend.until((fake) => fake.generations === generations + 1);
      if (title.includes("middle")) await (await request).body?.getReader().read();
      client.abort();
      await request.then((response) => response.text()).catch(() => {});
      await backend.until((fake) => fake.aborted === aborted + 1 && fake.inFlight === 0);
      const records = await gateway.completions(1);
      assert.equal(records.at(-1)?.status, 499);
      assert.equal(backend.generations, generations + 1, "it was not sent again");
    });
  }
});
