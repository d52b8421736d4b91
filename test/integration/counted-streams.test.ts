import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { describe, it, type TestContext } from "node:test";
import OpenAI from "openai";
import type { RequestRecord } from "../../src/records/request-record.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { waitFor } from "../support/wait-for.ts";

const question = { model: "tiny", messages: [{ role: "user" as const, content: "one two three" }] };
const paid = { "nexus.paid": "true" };
const routes = [{ model: "*", allowPaid: true }];

/** A stream that is read to its end: its events as the client sees them, and what the gateway noted. */
async function stream(gateway: TestGateway, more: object = {}, path = "/v1/chat/completions") {
  const answer = await gateway.fetch(path, { body: { ...question, stream: true, ...more } });
  const text = await answer.text();
  const id = answer.headers.get("x-request-id") ?? "";
  const record = await waitFor(`a record of ${id}`, async () => {
    const found = await gateway.fetch(`/v1/nexus/requests/${id}`);
    return found.status === 200 && ((await found.json()) as RequestRecord);
  });
  return { status: answer.status, text, record };
}

const isEstimated = ({ notes }: RequestRecord) => notes.some((note) => note.includes("estimated"));

async function open(t: TestContext, labels: Readonly<Record<string, string>>) {
  const backend = await startFakeBackend("nexus");
  const gateway = await startTestGateway({ routes });
  t.after(() => Promise.all([gateway.close(), backend.close()]));
  gateway.view.set([recordOf(backend, { labels })]);
  const asked = () => (backend.requests.at(-1)?.body ?? {}) as { stream_options?: unknown };
  return { gateway, backend, asked };
}

/** A server that takes nothing that it does not know, as some of those that cost money do. */
async function startStrict(t: TestContext) {
  const bodies: Record<string, unknown>[] = [];
  const answer: RequestListener = async (request, response) => {
    if (request.method === "GET") return response.end("{}");
    const body = (await json(request)) as Record<string, unknown>;
    bodies.push(body);
    const unknown = Object.keys(body).find((key) => !["model", "messages", "stream"].includes(key));
    if (unknown !== undefined) {
      response.writeHead(422, { "content-type": "application/json" });
      return response.end(JSON.stringify({ error: { message: `Extra inputs are not permitted: ${unknown}` } }));
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const chunk = { id: "c", object: "chat.completion.chunk", created: 1, model: "tiny" };
    const choice = { index: 0, delta: { content: "hi" }, finish_reason: "stop" };
    return response.end(`data: ${JSON.stringify({ ...chunk, choices: [choice] })}\n\ndata: [DONE]\n\n`);
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies };
}

// proves: paid.counted
describe("a stream that costs money", { timeout: 60_000 }, () => {
  it("is counted by who is paid for it, without a word to the client", async (t) => {
    const { gateway, asked } = await open(t, paid);
    for (const [path, prompt] of [
      ["/v1/chat/completions", {}],
      ["/v1/completions", { prompt: "one two three", messages: undefined }],
    ] as const) {
      const { status, text, record } = await stream(gateway, prompt, path);
      assert.equal(status, 200, text);
      assert.deepEqual(asked().stream_options, { include_usage: true });
      assert.equal(text.includes("usage"), false, text);
      assert.ok(text.endsWith("data: [DONE]\n\n"));
      assert.equal(isEstimated(record), false);
      const whole = await gateway.fetch(path, { body: { ...question, ...prompt } });
      const { usage } = (await whole.json()) as { usage: { prompt_tokens: number; completion_tokens: number } };
      assert.deepEqual(record.tokens, { prompt: usage.prompt_tokens, completion: usage.completion_tokens });
    }
  });

  it("is what the official client expects", async (t) => {
    const { gateway } = await open(t, paid);
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
    for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
      assert.equal(chunk.choices.length, 1);
    }
    const last: OpenAI.ChatCompletionChunk[] = [];
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    for await (const chunk of await client.chat.completions.create({ ...question, ...options })) last.push(chunk);
    assert.ok((last.at(-1)?.usage?.total_tokens ?? 0) > 0, "who asks for it gets it");
  });

  it("stays as the client wants it, where the client says what it wants", async (t) => {
    const { gateway, asked } = await open(t, paid);
    const { text, record } = await stream(gateway, { stream_options: { include_usage: false } });
    assert.deepEqual(asked().stream_options, { include_usage: false });
    assert.equal(text.includes('"usage"'), false);
    assert.ok(isEstimated(record));
  });

  it("is not asked to be counted where nobody pays", async (t) => {
    const { gateway, asked } = await open(t, {});
    assert.ok(isEstimated((await stream(gateway)).record));
    assert.equal(asked().stream_options, undefined);
  });

  it("is estimated where its server does not take the question, which is asked once", async (t) => {
    const strict = await startStrict(t);
    const gateway = await startTestGateway({ routes });
    t.after(() => gateway.close());
    gateway.view.set([recordOf(strict, { labels: paid })]);
    const refused = await stream(gateway, { top_k: 3 });
    assert.equal(refused.status, 422, "what the client says is its own affair");
    assert.match(refused.text, /top_k|stream_options/);
    for (let turn = 0; turn < 3; turn++) {
      const { status, text, record } = await stream(gateway);
      assert.equal(status, 200, text);
      assert.ok(isEstimated(record));
      assert.equal(record.attempts.length, 1);
    }
    const hadOptions = strict.bodies.map((body) => "stream_options" in body);
    assert.deepEqual(hadOptions, [true, false, true, false, false, false]);
  });
});
