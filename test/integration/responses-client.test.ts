import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import type { ResponseStreamEvent } from "openai/resources/responses/responses";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";

const text = "Hello from Zürich, 你好 🌍👩‍🚀 done.";
const weather = {
  type: "function" as const,
  name: "weather",
  description: "of a city",
  parameters: { type: "object", properties: { city: { type: "string" } } },
  strict: false,
};

/** OpenAI's own client against a backend that only chats. */
// proves: clients.openai-responses
describe("OpenAI's client asks for responses", { timeout: 60_000 }, () => {
  let server: TestGateway;
  let backend: FakeBackend;
  let client: OpenAI;
  before(async () => {
    backend = await startFakeBackend("vllm", { models: [{ id: "tiny" }] });
    server = await startTestGateway();
    server.view.set([recordOf(backend, { operations: ["chat.completions.create"], readiness_path: "/health" })]);
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 });
  });
  after(async () => {
    await server.close();
    await backend.close();
  });
  const lastMessages = () => backend.requests.at(-1)?.body?.messages;

  it("and is answered", async () => {
    const response = await client.responses.create({
      model: "tiny",
      input: "say hello",
      instructions: "Be brief.",
      metadata: { purpose: "test" },
    });
    assert.equal(response.output_text, text);
    assert.deepEqual([response.status, response.object, response.model], ["completed", "response", "tiny"]);
    assert.match(response.id, /^resp_/);
    assert.deepEqual([response.metadata, response.instructions], [{ purpose: "test" }, "Be brief."]);
    const { usage } = response;
    assert.ok(usage !== undefined && usage.output_tokens === 9);
    assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  });

  it("and hears the answer piece by piece", async () => {
    const events: ResponseStreamEvent[] = await Array.fromAsync(
      await client.responses.create({ model: "tiny", input: "say hello", stream: true }),
    );
    assert.deepEqual([events[0]?.type, events.at(-1)?.type], ["response.created", "response.completed"]);
    assert.deepEqual(
      events.map((event) => event.sequence_number),
      events.map((_, index) => index),
    );
    const deltas = events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : []));
    assert.equal(deltas.join(""), text);
    assert.ok(deltas.length > 5, "it came in too few pieces");
  });

  it("and puts the pieces together by its own rules", async () => {
    const final = await client.responses.stream({ model: "tiny", input: "say hello" }).finalResponse();
    assert.equal(final.output_text, text);
    const called = await client.responses
      .stream({ model: "tiny", input: "weather?", tools: [weather] })
      .finalResponse();
    assert.deepEqual(
      called.output.map((item) => (item.type === "function_call" ? item.arguments : item.type)),
      ['{"city": "Zürich"}'],
    );
  });

  it("and gives a tool's result back by the id of the answer", async () => {
    const first = await client.responses.create({ model: "tiny", input: "weather?", tools: [weather] });
    const [call] = first.output;
    assert.ok(call?.type === "function_call" && call.name === "weather");
    const second = await client.responses.create({
      model: "tiny",
      previous_response_id: first.id,
      input: [{ type: "function_call_output", call_id: call.call_id, output: "sun" }],
      tools: [weather],
    });
    assert.deepEqual([second.output_text, second.previous_response_id], [text, first.id]);
    assert.deepEqual(lastMessages(), [
      { role: "user", content: "weather?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [
          { id: call.call_id, type: "function", function: { name: "weather", arguments: '{"city": "Zürich"}' } },
        ],
      },
      { role: "tool", tool_call_id: call.call_id, content: "sun" },
    ]);
  });

  it("and goes on with a conversation that it streamed", async () => {
    const first = await client.responses.stream({ model: "tiny", input: "one" }).finalResponse();
    await client.responses.create({ model: "tiny", input: "two", previous_response_id: first.id });
    assert.deepEqual(lastMessages(), [
      { role: "user", content: "one" },
      { role: "assistant", content: text },
      { role: "user", content: "two" },
    ]);
  });

  it("and gets JSON that it can parse", async () => {
    const format = { type: "json_schema" as const, name: "answer", strict: true, schema: { type: "object" } };
    const parsed = await client.responses.parse({ model: "tiny", input: "answer?", text: { format } });
    assert.deepEqual(JSON.parse(parsed.output_text), { answer: "yes" });
  });

  it("and is told when an answer is incomplete", async () => {
    const response = await client.responses.create({ model: "tiny", input: "say hello", max_output_tokens: 2 });
    assert.deepEqual([response.status, response.incomplete_details], ["incomplete", { reason: "max_output_tokens" }]);
    assert.equal(response.output_text, "Hello from");
  });

  it("and fetches, lists and deletes what is stored", async () => {
    const { id } = await client.responses.create({ model: "tiny", input: "one" });
    const next = await client.responses.create({ model: "tiny", input: "two", previous_response_id: id });
    assert.equal((await client.responses.retrieve(id)).output_text, text);
    const items = await Array.fromAsync(client.responses.inputItems.list(next.id, { order: "asc", limit: 1 }));
    assert.deepEqual(
      items.map((item) => (item.type === "message" ? item.role : item.type)),
      ["user", "assistant", "user"],
    );
    await assert.rejects(client.responses.cancel(id), OpenAI.ConflictError);
    await client.responses.delete(id);
    await assert.rejects(client.responses.retrieve(id), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.match(error.message, new RegExp(`Response with id '${id}' not found`));
      return true;
    });
    const lost = client.responses.create({ model: "tiny", input: "three", previous_response_id: id });
    await assert.rejects(lost, (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.param, "previous_response_id");
      return true;
    });
  });

  it("and sees nothing of what others have stored", async () => {
    const { id } = await client.responses.create({ model: "tiny", input: "secret" });
    const { id: tenant } = await server.desk.tenants.create({ name: "others", limits: {} });
    const { key } = await server.keys.create({ name: "other", role: "user", tenant });
    const other = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: key, maxRetries: 0 });
    await assert.rejects(other.responses.retrieve(id), OpenAI.NotFoundError);
    await assert.rejects(other.responses.delete(id), OpenAI.NotFoundError);
    const stolen = other.responses.create({ model: "tiny", input: "tell", previous_response_id: id });
    await assert.rejects(stolen, OpenAI.NotFoundError);
    assert.equal((await client.responses.retrieve(id)).id, id);
  });

  it("and nothing is stored that should not be", async () => {
    const { id } = await client.responses.create({ model: "tiny", input: "secret", store: false });
    await assert.rejects(client.responses.retrieve(id), OpenAI.NotFoundError);
  });

  it("and is refused what only OpenAI has", async () => {
    const search = client.responses.create({ model: "tiny", input: "hi", tools: [{ type: "web_search" }] });
    await assert.rejects(search, (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.deepEqual([error.code, error.param], ["unsupported_feature", "tools[0].type"]);
      return true;
    });
  });

  it("and stops the backend when it aborts", async () => {
    backend.set({ faults: { stallAfterChunks: 2 } });
    const { aborted } = backend;
    const stream = await client.responses.create({ model: "tiny", input: "say hello", stream: true });
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    await backend.until((seen) => seen.aborted === aborted + 1, 1_000);
    backend.set({ faults: {} });
  });
});

/** The client's types do not have it. */
function storeOf(response: object): unknown {
  return "store" in response ? response.store : undefined;
}

/** The same client against a backend that speaks Responses and stores nothing of its own. */
// proves: responses.native
describe("OpenAI's client asks a server of responses", { timeout: 60_000 }, () => {
  let server: TestGateway;
  let backend: FakeBackend;
  let client: OpenAI;
  before(async () => {
    backend = await startFakeBackend("nexus", { models: [{ id: "tiny" }] });
    server = await startTestGateway();
    server.view.set([recordOf(backend, { operations: ["responses.create"] })]);
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 });
  });
  after(async () => {
    await server.close();
    await backend.close();
  });

  it("and sees what it asked for, not what the server was asked for", async () => {
    const first = await client.responses.create({ model: "tiny", input: "one" });
    assert.deepEqual([storeOf(first), first.previous_response_id, first.output_text], [true, null, text]);
    const next = await client.responses.create({ model: "tiny", input: "two", previous_response_id: first.id });
    assert.deepEqual([storeOf(next), next.previous_response_id], [true, first.id]);
    const asked = backend.requests.at(-1)?.body;
    assert.deepEqual([asked?.store, asked?.previous_response_id], [false, undefined]);
    const unstored = await client.responses.create({ model: "tiny", input: "three", store: false });
    assert.equal(storeOf(unstored), false);
  });

  it("and sees the same in every event of a stream", async () => {
    const { id } = await client.responses.create({ model: "tiny", input: "one" });
    const body = {
      model: "tiny",
      input: '"type":"response.completed"',
      previous_response_id: id,
      stream: true,
    } as const;
    const events = await Array.fromAsync(await client.responses.create(body));
    const responses = events.flatMap((event) => ("response" in event ? [event.response] : []));
    assert.equal(responses.length, 3);
    for (const response of responses) assert.deepEqual([storeOf(response), response.previous_response_id], [true, id]);
    const deltas = events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : []));
    assert.equal(deltas.join(""), text);
    assert.equal(server.lines.filter(({ level }) => level === "error").length, 0);
  });
});
