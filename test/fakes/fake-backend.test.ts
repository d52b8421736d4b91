import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  type FakeBackend,
  type FakeBackendOptions,
  type FakeKind,
  fakeKinds,
  startFakeBackend,
} from "./fake-backend.ts";

const started: FakeBackend[] = [];
after(() => Promise.all(started.map((backend) => backend.close())));

async function start(kind: FakeKind = "vllm", options: FakeBackendOptions = {}): Promise<FakeBackend> {
  const backend = await startFakeBackend(kind, { models: [{ id: "m" }], ...options });
  started.push(backend);
  return backend;
}

function chat(backend: FakeBackend, body: object = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(`${backend.url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "say hello" }], ...body }),
    ...(signal === undefined ? {} : { signal }),
  });
}

describe("the fake backend", () => {
  it("answers with usage, at once and as a stream, in every kind", async () => {
    // Anthropic's API has no chats: what it has is tested with the other operations.
    for (const kind of fakeKinds.filter((one) => one !== "anthropic")) {
      const backend = await start(kind, { models: [{ id: kind === "ollama" ? "m:latest" : "m" }] });
      const whole = (await (await chat(backend)).json()) as { choices: { message: { content: string } }[] };
      const text = whole.choices[0]?.message.content ?? "";
      assert.match(text, /你好 🌍/, kind);
      const stream = await (await chat(backend, { stream: true, stream_options: { include_usage: true } })).text();
      assert.match(stream, /"prompt_tokens":3,"completion_tokens":9,"total_tokens":12/, kind);
      assert.ok(stream.endsWith("data: [DONE]\n\n"), kind);
      assert.equal(backend.generations, 2, kind);
      assert.equal(backend.loads, 0, kind);
    }
  });

  it("calls tools, answers in JSON, embeds and obeys max_tokens", async () => {
    const backend = await start();
    const tools = [{ type: "function", function: { name: "weather", parameters: {} } }];
    assert.match(await (await chat(backend, { tools })).text(), /"name":"weather","arguments":"\{\\"city\\"/);
    assert.match(await (await chat(backend, { response_format: { type: "json_object" } })).text(), /answer/);
    assert.match(await (await chat(backend, { max_tokens: 1 })).text(), /"content":"Hello".*"finish_reason":"length"/);
    const embedded = await fetch(`${backend.url}/v1/embeddings`, {
      method: "POST",
      body: JSON.stringify({ model: "m", input: ["a", "b"] }),
    });
    const { data } = (await embedded.json()) as { data: { embedding: number[] }[] };
    assert.deepEqual([data.length, data[1]?.embedding.length], [2, 8]);
  });

  it("loads what is not loaded and counts it", async () => {
    const backend = await start("lm-studio", { models: [{ id: "m", state: "available" }] });
    await (await chat(backend)).text();
    await (await chat(backend)).text();
    assert.equal(backend.loads, 1);
  });

  it("fails as it is told", async () => {
    const backend = await start();
    backend.set({ faults: { status: { status: 503, body: { error: "busy" } }, times: 1 } });
    assert.equal((await chat(backend)).status, 503);
    assert.equal((await chat(backend)).status, 200);
    backend.set({ faults: { resetBeforeHeaders: true } });
    await assert.rejects(chat(backend));
    backend.set({ faults: { truncateAfterChunks: 3 } });
    const cut = await (await chat(backend, { stream: true })).text();
    assert.equal(cut.match(/^data: /gm)?.length, 3);
    assert.doesNotMatch(cut, /DONE/);
    await assert.rejects((await chat(backend)).text());
    backend.set({ faults: { truncateAfterChunks: 3, truncateWith: "reset" } });
    await assert.rejects((await chat(backend, { stream: true })).text());
    assert.equal(backend.aborted, 0);
  });

  it("cuts its body anywhere and loses nothing", async () => {
    const backend = await start();
    const expected = await (await chat(backend, { stream: true })).text();
    for (const faults of [{ splitAt: 200 }, { splitEvery: 7 }]) {
      backend.set({ faults });
      assert.equal(await (await chat(backend, { stream: true })).text(), expected);
    }
  });

  it("notices that a client leaves, waiting or stalled", async () => {
    const backend = await start("vllm", { slots: 1, faults: { stallAfterChunks: 1 } });
    const first = new AbortController();
    const second = new AbortController();
    const stalled = await chat(backend, { stream: true }, first.signal);
    const waiting = chat(backend, { stream: true }, second.signal);
    await backend.until(({ inFlight }) => inFlight === 2);
    second.abort();
    await assert.rejects(waiting);
    await backend.until(({ aborted, inFlight }) => aborted === 1 && inFlight === 1);
    first.abort();
    await assert.rejects(stalled.text());
    await backend.until(({ aborted, inFlight }) => aborted === 2 && inFlight === 0);
    assert.equal(backend.peak, 2);
    backend.set({ faults: {} });
    assert.equal((await chat(backend)).status, 200);
  });

  it("comes back on the port that it had", async () => {
    const before = await start();
    await (await chat(before)).text();
    await before.close();
    await assert.rejects(chat(before));
    const again = await start("ollama", { port: before.port, models: [{ id: "m:latest" }] });
    assert.equal(again.url, before.url);
    assert.equal((await chat(again)).status, 200);
  });
});
