import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import { type ModelPlatform, startModelPlatform } from "../support/model-platform.ts";

/**
 * The main job, as a user has it: `nexus up` with the built-in model service, and OpenAI's own client. With the real
 * SmolLM2 when it can be fetched, else with a tiny random model, on which answers are not judged by their sense.
 */
// proves: clients.openai-node
// proves: clients.openai-node
describe("OpenAI's Node client against the platform", { timeout: 600_000 }, () => {
  let platform: ModelPlatform;
  let client: OpenAI;
  let model: string;
  before(async () => {
    platform = await startModelPlatform();
    client = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: platform.key, maxRetries: 0, timeout: 120_000 });
    model = platform.model;
  });
  after(() => platform?.stop());
  const ask = (content: string) => [{ role: "user" as const, content }];

  // proves: gateway.models
  it("lists the model with its context window", async (t) => {
    t.diagnostic(`model: ${platform.describe}`);
    const models = await Array.fromAsync(await client.models.list());
    const listed = models.find(({ id }) => id === model) as unknown as { context_window: number } | undefined;
    assert.ok((listed?.context_window ?? 0) > 0);
    assert.equal((await client.models.retrieve(model)).id, model);
  });

  it("chats, with honest usage", async () => {
    const answer = await client.chat.completions.create({
      model,
      messages: ask("What is the capital of France? Answer with one word."),
      temperature: 0,
      max_tokens: 24,
    });
    const [choice] = answer.choices;
    if (platform.isReal) assert.match(choice?.message.content ?? "", /Paris/);
    assert.ok(["stop", "length"].includes(choice?.finish_reason ?? ""));
    const { usage } = answer;
    assert.ok(
      usage !== undefined && usage.prompt_tokens > 5 && usage.completion_tokens > 0 && usage.completion_tokens <= 24,
    );
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  });

  it("streams the same answer in pieces", async () => {
    const request = { model, messages: ask("Count from one to five."), temperature: 0, seed: 7, max_tokens: 24 };
    const whole = await client.chat.completions.create(request);
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let pieces = 0;
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      const piece = chunk.choices[0]?.delta.content ?? "";
      if (piece !== "") pieces++;
      text += piece;
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0]?.message.content);
    assert.ok(pieces > 1, "it came in one piece");
    assert.equal(usage?.completion_tokens, whole.usage?.completion_tokens);
  });

  it("remembers what was said before", async () => {
    const answer = await client.chat.completions.create({
      model,
      temperature: 0,
      max_tokens: 32,
      messages: [
        { role: "system", content: "You are a helpful assistant." },
        { role: "user", content: "The code is 4711. Say the code." },
        { role: "assistant", content: "The code is 4711." },
        { role: "user", content: "Say the code again." },
      ],
    });
    if (platform.isReal) assert.match(answer.choices[0]?.message.content ?? "", /4711/);
  });

  it("answers in the JSON that a schema asks for", async () => {
    const answer = await client.chat.completions.create({
      model,
      messages: ask("Paris is a city in France with two million people. Describe Paris."),
      max_tokens: 200,
      temperature: 0,
      response_format: {
        type: "json_schema",
        json_schema: {
          name: "city",
          strict: true,
          schema: {
            type: "object",
            properties: { name: { type: "string", maxLength: 30 }, size: { enum: ["small", "big"] } },
            required: ["name", "size"],
            additionalProperties: false,
          },
        },
      },
    });
    const [choice] = answer.choices;
    if (choice?.finish_reason === "length") return assert.ok(!platform.isReal, "the real model got lost in its answer");
    const value = JSON.parse(choice?.message.content ?? "") as { name: unknown; size: unknown };
    assert.equal(typeof value.name, "string");
    assert.ok(value.size === "small" || value.size === "big");
  });

  // proves: llm.tools
  it("calls a tool where the model has them, and says clearly when it has none", async () => {
    const request = {
      model,
      messages: ask("What is the weather in Paris?"),
      max_tokens: 200,
      temperature: 0,
      tools: [
        {
          type: "function" as const,
          function: {
            name: "get_weather",
            description: "The weather of a city",
            parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
          },
        },
      ],
      tool_choice: { type: "function" as const, function: { name: "get_weather" } },
    };
    const listed = (await client.models.retrieve(model)) as unknown as {
      nexus: { features: Record<string, { value: unknown }> };
    };
    if (listed.nexus.features.tools?.value !== true) {
      await assert.rejects(client.chat.completions.create(request), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.equal(error.code, "unsupported_feature");
        return true;
      });
      return;
    }
    const answer = await client.chat.completions.create(request);
    const call = answer.choices[0]?.message.tool_calls?.[0];
    assert.ok(call?.type === "function");
    assert.equal(call.function.name, "get_weather");
    assert.equal(typeof (JSON.parse(call.function.arguments) as { city: unknown }).city, "string");
  });

  it("makes embeddings in both encodings", async () => {
    const floats = await client.embeddings.create({ model, input: ["a cat", "a kitten"], encoding_format: "float" });
    assert.equal(floats.data.length, 2);
    const packed = await client.embeddings.create({ model, input: "a cat" });
    const [a, b] = [floats.data[0]?.embedding ?? [], packed.data[0]?.embedding ?? []];
    assert.ok(a.length > 16 && a.length === b.length);
    assert.ok(a.every((value, index) => Math.abs(value - (b[index] ?? 0)) < 1e-3));
    assert.ok(floats.usage.prompt_tokens > 0);
  });

  it("completes a text", async () => {
    const answer = await client.completions.create({
      model,
      prompt: "Once upon a time",
      max_tokens: 8,
      temperature: 0,
    });
    assert.ok((answer.choices[0]?.text.length ?? 0) > 0);
    assert.equal(answer.usage?.completion_tokens, 8);
  });

  it("stops when the client aborts, and has its slot free again at once", async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: ask("Write a very long story about the sea."),
      max_tokens: 1_000,
      stream: true,
    });
    for await (const _ of stream) break;
    stream.controller.abort();
    const answer = await client.chat.completions.create({ model, messages: ask("Hi"), max_tokens: 4 });
    assert.equal(answer.object, "chat.completion");
  });

  it("answers several at once", async () => {
    const answers = await Promise.all(
      ["one", "two", "three", "four", "five", "six"].map((word) =>
        client.chat.completions.create({ model, messages: ask(`Say ${word}.`), max_tokens: 8 }),
      ),
    );
    assert.equal(answers.length, 6);
  });

  it("raises the client's own errors", async () => {
    const wrongModel = client.chat.completions.create({ model: `${model}x`, messages: ask("Hi") });
    await assert.rejects(wrongModel, (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, "model_not_found");
      assert.match(error.message, new RegExp(model));
      assert.ok(error.requestID);
      return true;
    });
    const stranger = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: "nxs_wrong", maxRetries: 0 });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
    const tooLong = client.chat.completions.create({ model, messages: ask("word ".repeat(60_000)) });
    await assert.rejects(tooLong, (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.code, "context_length_exceeded");
      return true;
    });
    const badField = client.chat.completions.create({
      model,
      messages: ask("Hi"),
      temperature: "hot" as unknown as number,
    });
    await assert.rejects(badField, OpenAI.BadRequestError);
  });
});
