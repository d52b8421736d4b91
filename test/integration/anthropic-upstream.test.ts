import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";

const model = "claude-sonnet-4-5-20250929";
const words = ["Hello", " from", " Zürich", " 🌍", "!"];
const messages = [{ role: "user" as const, content: "Say hello." }];
const weather = {
  type: "function" as const,
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

// proves: paid.anthropic
describe("Anthropic behind OpenAI's client", { timeout: 60_000 }, () => {
  let gateway: TestGateway;
  let backend: FakeBackend;
  let client: OpenAI;
  before(async () => {
    backend = await startFakeBackend("anthropic", { key: "sk-ant", models: [{ id: model }], words });
    gateway = await startTestGateway({ secrets: { "env:ANTHROPIC": "sk-ant" }, aliases: { best: model } });
    const features = { tools: true, json_schema: true, vision: true };
    const record = recordOf(backend, {
      models: [{ id: model, domains: ["chat"], features }],
      operations: ["messages.create", "messages.count_tokens"],
      dialect: "anthropic",
      secret: "env:ANTHROPIC",
      readiness_path: "/v1/models",
    });
    gateway.view.set([record]);
    client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0, timeout: 20_000 });
  });
  after(async () => {
    await gateway?.close();
    await backend?.close();
  });

  it("answers whole and streamed, with the key sent as Anthropic has it", async () => {
    const whole = await client.chat.completions.create({ model: "best", messages });
    const [choice] = whole.choices;
    assert.deepEqual([choice?.message.content, choice?.finish_reason], [words.join(""), "stop"]);
    assert.equal(whole.usage?.completion_tokens, words.length);
    const stream = client.chat.completions.stream({ model: "best", messages, stream_options: { include_usage: true } });
    const pieces: string[] = [];
    for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content ?? "");
    assert.deepEqual(
      pieces.filter((piece) => piece !== ""),
      words,
    );
    assert.deepEqual((await stream.finalChatCompletion()).usage?.completion_tokens, words.length);
    const { path, headers, body } = backend.requests.at(-1) ?? {};
    assert.equal(path, "/v1/messages");
    assert.equal(headers?.["x-api-key"], "sk-ant");
    assert.equal(headers?.["anthropic-version"], "2023-06-01");
    assert.equal(headers?.authorization, undefined);
    assert.deepEqual([body?.model, body?.max_tokens], [model, 16_384]);
  });

  it("calls tools, and takes their results", async () => {
    const request = { model, messages, tools: [weather], tool_choice: "required" as const };
    const whole = await client.chat.completions.create(request);
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    for (const { choices } of [whole, streamed]) {
      assert.equal(choices[0]?.finish_reason, "tool_calls");
      const [call] = choices[0]?.message.tool_calls ?? [];
      assert.ok(call?.type === "function");
      assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["weather", { city: "Zürich" }]);
    }
    const [call] = whole.choices[0]?.message.tool_calls ?? [];
    const history = [
      ...messages,
      { role: "assistant" as const, content: null, tool_calls: call === undefined ? [] : [call] },
      { role: "tool" as const, tool_call_id: call?.id ?? "", content: "Sun" },
    ];
    const answer = await client.chat.completions.create({ model, messages: history, tools: [weather] });
    assert.equal(answer.choices[0]?.finish_reason, "stop");
  });

  it("serves Responses too, through both translations", async () => {
    const response = await client.responses.create({ model, input: "Say hello." });
    assert.equal(response.output_text, words.join(""));
    const types: string[] = [];
    for await (const { type } of await client.responses.create({ model, input: "Hi", stream: true })) types.push(type);
    assert.equal(types[0], "response.created");
    assert.equal(types.at(-1), "response.completed");
  });

  it("says in OpenAI's words what it cannot do", async () => {
    const two = client.chat.completions.create({ model, messages, n: 2 });
    await assert.rejects(two, (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.deepEqual([error.code, error.param], ["unsupported_feature", "n"]);
      return true;
    });
    const overloaded = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
    backend.set({ faults: { status: { status: 529, body: overloaded } } });
    await assert.rejects(client.chat.completions.create({ model, messages }), OpenAI.InternalServerError);
    backend.set({ faults: {} });
  });
});
