import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ChatResponse, Ollama } from "ollama";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";

const text = "Hello from Zürich, 你好 🌍👩‍🚀 done.";
const messages = [{ role: "user", content: "say hello" }];
const weather = {
  type: "function",
  function: { name: "weather", description: "of a city", parameters: { type: "object", properties: {} } },
};

/** Ollama's own client against a backend that has never heard of Ollama. */
// proves: clients.ollama
describe("Ollama's client", { timeout: 60_000 }, () => {
  let gateway: TestGateway;
  let backend: FakeBackend;
  let client: Ollama;
  before(async () => {
    backend = await startFakeBackend("vllm", { models: [{ id: "tiny" }] });
    gateway = await startTestGateway();
    const features = { tools: true, vision: true };
    gateway.view.set([
      recordOf(backend, {
        readiness_path: "/health",
        models: [
          { id: "tiny", domains: ["chat", "embedding"], context_window: 4_096, size_bytes: 1_000, features },
          { id: "cold:latest", aliases: ["cold"], domains: ["chat"], state: "available" },
        ],
      }),
    ]);
    client = new Ollama({ host: gateway.url, headers: { authorization: `Bearer ${gateway.key}` } });
  });
  after(async () => {
    await gateway.close();
    await backend.close();
  });
  const lastBody = () => backend.requests.at(-1)?.body ?? {};

  it("chats", async () => {
    const answer = await client.chat({ model: "tiny", messages, options: { temperature: 0, num_predict: 100 } });
    assert.equal(answer.message.content, text);
    assert.deepEqual([answer.model, answer.done, answer.done_reason], ["tiny", true, "stop"]);
    assert.ok(answer.eval_count === 9 && answer.prompt_eval_count > 0);
    assert.ok(answer.total_duration > 0 && answer.eval_duration > 0);
    assert.ok(Math.abs(Date.parse(String(answer.created_at)) - Date.now()) < 60_000);
    assert.deepEqual([lastBody().max_tokens, lastBody().temperature], [100, 0]);
  });

  it("finds the model with a tag and without", async () => {
    assert.equal((await client.chat({ model: "tiny:latest", messages })).model, "tiny:latest");
    assert.equal(lastBody().model, "tiny");
  });

  it("streams a chat", async () => {
    const parts: ChatResponse[] = await Array.fromAsync(await client.chat({ model: "tiny", messages, stream: true }));
    assert.equal(parts.map(({ message }) => message.content).join(""), text);
    assert.ok(parts.length > 5, "it came in too few pieces");
    assert.deepEqual(
      parts.map(({ done }) => done),
      parts.map((_, index) => index === parts.length - 1),
    );
    const last = parts.at(-1);
    assert.ok(last !== undefined && last.eval_count === 9 && last.total_duration >= last.eval_duration);
  });

  it("calls a tool and hears its answer", async () => {
    const first = await client.chat({ model: "tiny", messages, tools: [weather] });
    assert.deepEqual(
      first.message.tool_calls?.map((call) => call.function.arguments),
      [{ city: "Zürich" }],
    );
    const streamed = await Array.fromAsync(
      await client.chat({ model: "tiny", messages, tools: [weather], stream: true }),
    );
    const [call] = streamed.flatMap(({ message }) => message.tool_calls ?? []);
    assert.deepEqual(call?.function.arguments, { city: "Zürich" });
    const answered = [...messages, first.message, { role: "tool", content: "sun", tool_name: "weather" }];
    const second = await client.chat({ model: "tiny", messages: answered, tools: [weather] });
    assert.equal(second.message.content, text);
  });

  it("asks for JSON", async () => {
    const answer = await client.chat({ model: "tiny", messages, format: { type: "object" } });
    assert.deepEqual(JSON.parse(answer.message.content), { answer: "yes" });
  });

  it("shows pictures", async () => {
    const seen = [{ role: "user", content: "what?", images: [new Uint8Array([0xff, 0xd8, 0xff])] }];
    await client.chat({ model: "tiny", messages: seen });
    assert.match(JSON.stringify(lastBody().messages), /data:image\/jpeg;base64,/);
  });

  it("generates, with the model's template and without", async () => {
    const answer = await client.generate({ model: "tiny", prompt: "say hello", system: "Be brief." });
    assert.deepEqual([answer.response, answer.done_reason], [text, "stop"]);
    assert.equal(backend.requests.at(-1)?.path, "/v1/chat/completions");
    const stream = await client.generate({ model: "tiny", prompt: "def f(", suffix: "return", stream: true });
    const parts = await Array.fromAsync(stream);
    assert.equal(parts.map(({ response }) => response).join(""), text);
    assert.equal(backend.requests.at(-1)?.path, "/v1/completions");
    assert.equal(lastBody().suffix, "return");
  });

  it("embeds", async () => {
    const { embeddings, prompt_eval_count } = await client.embed({ model: "tiny", input: ["a", "b"] });
    assert.deepEqual([embeddings.length, embeddings[1]?.length], [2, 8]);
    assert.ok(prompt_eval_count > 0);
    const { embedding } = await client.embeddings({ model: "tiny", prompt: "a" });
    assert.deepEqual(embedding, embeddings[0]);
  });

  it("lists and shows models, and tells which are loaded", async () => {
    const { models } = await client.list();
    assert.ok(models.some(({ name, size }) => name === "tiny" && size === 1_000));
    const shown = await client.show({ model: "tiny" });
    assert.deepEqual(shown.capabilities, ["completion", "tools", "vision", "embedding"]);
    const running = (await client.ps()).models.map(({ name }) => name);
    assert.deepEqual([running.includes("tiny"), running.includes("cold:latest")], [true, false]);
    assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
  });

  it("is told that a model is there without anything being generated", async () => {
    const before = backend.generations;
    const answer = await client.generate({ model: "tiny", prompt: "" });
    assert.deepEqual([answer.done, answer.done_reason], [true, "load"]);
    assert.equal(backend.generations, before);
  });

  it("throws its own errors", async () => {
    const failing =
      (name: string, status_code: number, message: RegExp) => (error: Error & { status_code: number }) => {
        assert.deepEqual([error.name, error.status_code], [name, status_code]);
        assert.match(error.message, message);
        return true;
      };
    await assert.rejects(client.chat({ model: "gone", messages }), failing("ResponseError", 404, /gone/));
    await assert.rejects(client.show({ model: "gone" }), failing("ResponseError", 404, /'gone' not found/));
    const withTemplate = client.generate({ model: "tiny", prompt: "x", template: "{{ .Prompt }}" });
    await assert.rejects(withTemplate, failing("ResponseError", 400, /template/));
    const stranger = new Ollama({ host: gateway.url });
    await assert.rejects(stranger.list(), failing("ResponseError", 401, /key/i));
  });

  it("throws when the backend breaks off", async () => {
    backend.set({ faults: { truncateAfterChunks: 3 } });
    const stream = await client.chat({ model: "tiny", messages, stream: true });
    let heard = "";
    await assert.rejects(async () => {
      for await (const part of stream) heard += part.message.content;
    }, /before it was complete/);
    assert.match(heard, /^Hello/);
    backend.set({ faults: {} });
  });

  it("stops the backend when it aborts", async () => {
    backend.set({ faults: { stallAfterChunks: 2 } });
    const { aborted } = backend;
    const stream = await client.chat({ model: "tiny", messages, stream: true });
    await assert.rejects(
      async () => {
        for await (const _ of stream) stream.abort();
      },
      { name: "AbortError" },
    );
    await backend.until((seen) => seen.aborted === aborted + 1, 1_000);
    backend.set({ faults: {} });
  });
});
