import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { type FakeBackend, type FakeKind, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";

const words = ["Hello", " from", " Zürich", " 🌍", "!"];
const text = words.join("");
const chatOnly = ["chat.completions.create", "completions.create"];
const anthropicOnly = ["messages.create", "messages.count_tokens"];
const ask = (content: Anthropic.MessageParam["content"]) => [{ role: "user" as const, content }];
const weather: Anthropic.Tool = {
  name: "weather",
  description: "The weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

interface Fleet {
  readonly gateway: TestGateway;
  readonly backend: FakeBackend;
  readonly client: Anthropic;
  readonly close: () => Promise<void>;
}

/** A gateway over one server that offers these operations. */
async function startFleet(kind: FakeKind, operations: readonly string[], record: object = {}): Promise<Fleet> {
  const backend = await startFakeBackend(kind, {
    models: [{ id: "tiny" }],
    words,
    ...(kind === "anthropic" ? { key: "sk-ant" } : {}),
  });
  const gateway = await startTestGateway({ secrets: { "env:ANTHROPIC": "sk-ant" } });
  const features = { tools: true, vision: true, json_schema: true };
  gateway.view.set([recordOf(backend, { models: [{ id: "tiny", features }], operations, ...record })]);
  const client = new Anthropic({ baseURL: gateway.url, apiKey: gateway.key, maxRetries: 0, timeout: 20_000 });
  const close = async () => {
    await gateway.close();
    await backend.close();
  };
  return { gateway, backend, client, close };
}

const fleets = [
  {
    name: "a server that knows chat completions only",
    start: () => startFleet("openai-compatible", chatOnly, { readiness_path: "/v1/models" }),
  },
  {
    name: "Anthropic itself",
    start: () =>
      startFleet("anthropic", anthropicOnly, {
        dialect: "anthropic",
        secret: "env:ANTHROPIC",
        readiness_path: "/v1/models",
      }),
  },
] as const;

for (const { name, start } of fleets) {
  // proves: clients.anthropic
  describe(`Anthropic's Node client over ${name}`, { timeout: 60_000 }, () => {
    let fleet: Fleet;
    let client: Anthropic;
    before(async () => {
      fleet = await start();
      ({ client } = fleet);
    });
    after(() => fleet?.close());
    const request = { model: "tiny", max_tokens: 64, messages: ask("Say hello.") };

    it("gets a whole message, with usage", async () => {
      const message = await client.messages.create({ ...request, system: "Be brief." });
      assert.deepEqual(
        message.content.map((block) => block.type === "text" && block.text),
        [text],
      );
      assert.equal(message.type, "message");
      assert.equal(message.role, "assistant");
      assert.equal(message.model, "tiny");
      assert.equal(message.stop_reason, "end_turn");
      assert.equal(message.usage.output_tokens, words.length);
      assert.ok(message.usage.input_tokens > 0);
      assert.match(message._request_id ?? "", /./);
    });

    it("streams the same in pieces", async () => {
      const whole = await client.messages.create(request);
      const pieces: string[] = [];
      const stream = client.messages.stream(request).on("text", (piece) => void pieces.push(piece));
      const message = await stream.finalMessage();
      assert.deepEqual(pieces, words);
      assert.equal(await stream.finalText(), text);
      assert.equal(message.stop_reason, whole.stop_reason);
      assert.equal(message.usage.output_tokens, whole.usage.output_tokens);
      assert.equal(message.usage.input_tokens, whole.usage.input_tokens);
      const types: string[] = [];
      for await (const event of await client.messages.create({ ...request, stream: true })) {
        types.push(event.type);
        // Counted or estimated, it is there from the start: clients show by it how full the context is.
        if (event.type === "message_start") assert.ok(event.message.usage.input_tokens > 0);
      }
      assert.equal(types[0], "message_start");
      assert.deepEqual(types.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);
    });

    it("stops at its limit", async () => {
      const message = await client.messages.create({ ...request, max_tokens: 2 });
      assert.equal(message.stop_reason, "max_tokens");
      assert.deepEqual(
        message.content.map((block) => block.type === "text" && block.text),
        ["Hello from"],
      );
    });

    it("lets the model call a tool, whole and streamed, and answers with its result", async () => {
      const tools = { ...request, tools: [weather], tool_choice: { type: "tool" as const, name: "weather" } };
      const called = await client.messages.create(tools);
      const streamed = await client.messages.stream(tools).finalMessage();
      for (const message of [called, streamed]) {
        assert.equal(message.stop_reason, "tool_use");
        const [call] = message.content;
        assert.ok(call?.type === "tool_use");
        assert.deepEqual([call.name, call.input], ["weather", { city: "Zürich" }]);
      }
      const [call] = called.content;
      assert.ok(call?.type === "tool_use");
      const answer = await client.messages.create({
        ...request,
        tools: [weather],
        messages: [
          ...request.messages,
          { role: "assistant", content: called.content as Anthropic.ContentBlockParam[] },
          ...ask([{ type: "tool_result", tool_use_id: call.id, content: "Sun" }]),
        ],
      });
      assert.equal(answer.stop_reason, "end_turn");
    });

    it("takes images", async () => {
      const source = { type: "base64" as const, media_type: "image/png" as const, data: pixel };
      const message = await client.messages.create({
        ...request,
        messages: ask([
          { type: "text", text: "What is this?" },
          { type: "image", source },
        ]),
      });
      assert.equal(message.stop_reason, "end_turn");
      const sent = JSON.stringify(fleet.backend.requests.at(-1)?.body);
      assert.ok(sent.includes(pixel));
      assert.equal(sent.includes("image_url"), name !== "Anthropic itself");
    });

    it("counts tokens", async () => {
      const count = client.messages.countTokens({ model: "tiny", messages: request.messages, tools: [weather] });
      const { data, response } = await count.withResponse();
      assert.ok(data.input_tokens > 0);
      assert.equal(response.headers.get("x-nexus-estimated"), name === "Anthropic itself" ? null : "true");
    });

    it("raises the client's own errors", async () => {
      await assert.rejects(client.messages.create({ ...request, model: "none" }), (error) => {
        assert.ok(error instanceof Anthropic.NotFoundError);
        assert.equal(error.type, "not_found_error");
        assert.match(error.requestID ?? "", /./);
        assert.equal((error.error as { request_id: string }).request_id, error.requestID);
        return true;
      });
      await assert.rejects(client.messages.countTokens({ model: "none", messages: [] }), Anthropic.NotFoundError);
      await assert.rejects(client.messages.create({ ...request, messages: [] }), Anthropic.BadRequestError);
      const stranger = new Anthropic({ baseURL: fleet.gateway.url, apiKey: "nxs_wrong", maxRetries: 0 });
      await assert.rejects(stranger.messages.create(request), Anthropic.AuthenticationError);
    });

    // proves: anthropic.headers
    it("has its version and its betas passed on to Anthropic, and to nobody else", async () => {
      const headers = { "anthropic-version": "2023-01-01", "anthropic-beta": "one-2025-01-01, two", "x-other": "1" };
      await client.messages.create(request, { headers });
      const own = fleet.backend.requests.at(-1)?.headers ?? {};
      await client.messages.countTokens({ model: "tiny", messages: request.messages }, { headers });
      const counted = fleet.backend.requests.at(-1)?.headers ?? {};
      // OpenAI's client, even one that says so: its words are not those that the betas are about.
      const chat = { model: "tiny", messages: [{ role: "user", content: "Hi" }] };
      assert.equal((await fleet.gateway.fetch("/v1/chat/completions", { body: chat, headers })).status, 200);
      const translated = fleet.backend.requests.at(-1)?.headers ?? {};
      const isNative = name === "Anthropic itself";
      for (const sent of [own, counted]) {
        assert.equal(sent["anthropic-version"], isNative ? "2023-01-01" : undefined);
        assert.equal(sent["anthropic-beta"], isNative ? "one-2025-01-01,two" : undefined);
        assert.equal(sent["x-other"], undefined);
      }
      assert.equal(translated["anthropic-version"], isNative ? "2023-06-01" : undefined);
      assert.equal(translated["anthropic-beta"], undefined);
    });

    it("takes a bearer token too, and the beta of the API", async () => {
      const { url, key } = fleet.gateway;
      const other = new Anthropic({ baseURL: url, authToken: key, apiKey: null, maxRetries: 0 });
      assert.equal((await other.messages.create(request)).stop_reason, "end_turn");
      assert.equal((await other.beta.messages.create(request)).stop_reason, "end_turn");
    });
  });
}

// proves: clients.anthropic
describe("structured outputs of Anthropic's Node client", { timeout: 60_000 }, () => {
  const format = zodOutputFormat(z.object({ answer: z.string() }));
  const request = { model: "tiny", max_tokens: 64, messages: ask("Yes?") };

  it("follow a schema over a server that knows chat completions only, whole and streamed", async (test) => {
    const { client, backend, close } = await startFleet("openai-compatible", chatOnly, {
      readiness_path: "/v1/models",
    });
    test.after(close);
    const asked = { ...request, output_config: { format } };
    assert.deepEqual((await client.messages.parse(asked)).parsed_output, { answer: "yes" });
    assert.deepEqual((await client.messages.stream(asked).finalMessage()).parsed_output, { answer: "yes" });
    for (const { body } of backend.requests.filter(({ generation }) => generation)) {
      const json_schema = { name: "answer", strict: true, schema: format.schema };
      assert.deepEqual(body?.response_format, { type: "json_schema", json_schema });
    }
  });

  it("go only where a schema is followed", async (test) => {
    const deaf = { models: [{ id: "tiny", features: { json_schema: false } }] };
    const { gateway, client, backend, close } = await startFleet("anthropic", anthropicOnly, {
      dialect: "anthropic",
      secret: "env:ANTHROPIC",
      readiness_path: "/v1/models",
      ...deaf,
    });
    test.after(close);
    const { type, schema } = format;
    for (const said of [{ output_config: { format } }, { output_format: { type, schema } }]) {
      const refused = client.messages.create({ ...request, ...said });
      await assert.rejects(refused, (error) => {
        assert.ok(error instanceof Anthropic.BadRequestError);
        assert.match(error.message, /json_schema/);
        return true;
      });
    }
    assert.equal(backend.generations, 0);
    const able = await startFakeBackend("anthropic", { key: "sk-ant", models: [{ id: "tiny" }] });
    test.after(() => able.close());
    const native = { dialect: "anthropic", secret: "env:ANTHROPIC", readiness_path: "/v1/models" } as const;
    gateway.view.set([
      recordOf(backend, { ...native, ...deaf, instance: "deaf", operations: anthropicOnly }),
      recordOf(able, { ...native, instance: "able", operations: anthropicOnly }),
    ]);
    for (let turn = 0; turn < 4; turn++) await client.messages.create({ ...request, output_config: { format } });
    assert.deepEqual([backend.generations, able.generations], [0, 4]);
    assert.deepEqual(able.requests.at(-1)?.body?.output_config, { format: { type, schema } });
  });
});

// proves: clients.anthropic
describe("Anthropic's Node client when things go wrong", { timeout: 60_000 }, () => {
  it("raises an error when a stream breaks off, and none but its own kind", async (test) => {
    const { client, backend, close } = await startFleet("openai-compatible", chatOnly, {
      readiness_path: "/v1/models",
    });
    test.after(close);
    backend.set({ faults: { truncateAfterChunks: 3, truncateWith: "reset" } });
    const stream = client.messages.stream({ model: "tiny", max_tokens: 64, messages: ask("Hi") });
    await assert.rejects(stream.finalMessage(), (error) => {
      assert.ok(error instanceof Anthropic.APIError);
      assert.equal(error.type, "api_error");
      return true;
    });
  });

  // proves: anthropic.headers
  it("has no header passed on to a server that copies the API", async (test) => {
    const { client, backend, close } = await startFleet("nexus", anthropicOnly, { readiness_path: "/readyz" });
    test.after(close);
    const headers = { "anthropic-beta": "one-2025-01-01" };
    await client.messages.create({ model: "tiny", max_tokens: 64, messages: ask("Hi") }, { headers });
    const { path, headers: sent = {} } = backend.requests.at(-1) ?? {};
    assert.equal(path, "/v1/messages");
    assert.deepEqual([sent["anthropic-version"], sent["anthropic-beta"]], [undefined, undefined]);
  });

  it("hears what cannot be translated", async (test) => {
    const { client, backend, close } = await startFleet("openai-compatible", chatOnly, {
      readiness_path: "/v1/models",
    });
    test.after(close);
    const search = { type: "web_search_20250305" as const, name: "web_search" as const };
    const asked = client.messages.create({ model: "tiny", max_tokens: 64, messages: ask("Hi"), tools: [search] });
    await assert.rejects(asked, (error) => {
      assert.ok(error instanceof Anthropic.BadRequestError);
      assert.equal(error.type, "invalid_request_error");
      assert.match(error.message, /web_search_20250305/);
      return true;
    });
    assert.equal(backend.generations, 0);
  });
});
