import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { defaultModelId } from "nexus/blobs";
import { metadataSchema, readinessSchema } from "nexus/contract";
import { type Answer, type RunningLlm, startLlm } from "./support/running-service.ts";
import { realModel, sharedModelsDirectory, tinyId, tinyModels } from "./support/test-models.ts";

const real = await realModel();
const user = (content: string) => [{ role: "user", content }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string", maxLength: 20 }, unit: { enum: ["celsius", "fahrenheit"] } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

describe("with the generated tiny model", { timeout: 180_000 }, () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-llm-"));
    await tinyModels(directory);
  });
  after(() => rm(directory, { recursive: true, force: true }));
  behaviour(() => ({ modelId: tinyId, modelsDirectory: directory }));
});

const skip = "missing" in real ? `the real model cannot be had: ${real.missing}` : false;
describe(`with the real ${defaultModelId}`, { timeout: 300_000, skip }, () => {
  const settings = { modelId: defaultModelId, modelsDirectory: sharedModelsDirectory() };
  behaviour(() => settings);

  // proves: llm.chat
  it("knows an easy sum", async () => {
    const llm = await startLlm(settings);
    await llm.ready();
    const messages = user("What is 2+2?");
    const { body } = await llm.ask("chat/completions", {
      model: defaultModelId,
      messages,
      temperature: 0,
      max_tokens: 30,
    });
    await llm.close();
    assert.match(body.choices[0].message.content, /4/);
    assert.equal(body.choices[0].finish_reason, "stop");
  });
});

/** What must hold for every model that chats. */
function behaviour(settings: () => { modelId: string; modelsDirectory: string }): void {
  let llm: RunningLlm;
  let model: string;
  before(async () => {
    llm = await startLlm(settings());
    model = settings().modelId;
    await llm.ready();
  });
  after(() => llm.close());

  const chat = (body: object) =>
    llm.ask("chat/completions", { model, messages: user("Hello"), max_tokens: 12, ...body });
  const choice = async (body: object): Promise<Answer> => {
    const answer = await chat(body);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body.choices[0];
  };

  it("describes itself as the contract asks", async () => {
    const metadata = metadataSchema.parse((await llm.get("/v1/metadata")).body);
    const [own] = metadata.models.filter(({ id }) => id === model);
    assert.equal(own?.state, "loaded");
    assert.equal(own?.context_window, 512);
    assert.equal(own?.features.tools, true);
    assert.ok(readinessSchema.parse((await llm.get("/readyz")).body).ready);
  });

  // proves: llm.chat, llm.usage
  it("answers with text and honest usage", async () => {
    const { body } = await chat({ temperature: 0, max_tokens: 7 });
    const { usage } = body;
    assert.equal(body.object, "chat.completion");
    assert.equal(body.choices[0].message.role, "assistant");
    assert.ok(usage.completion_tokens <= 7 && usage.completion_tokens > 0);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert.equal(body.choices[0].finish_reason, usage.completion_tokens === 7 ? "length" : "stop");
  });

  // proves: llm.chat
  it("streams the same text as it answers at once, and ends with usage and [DONE]", async () => {
    const fixed = { model, messages: user("Tell me a story"), temperature: 0.7, seed: 11, max_tokens: 20 };
    const whole = await llm.ask("chat/completions", fixed);
    const events = await llm.stream("chat/completions", { ...fixed, stream_options: { include_usage: true } });
    assert.equal(events.at(-1), "[DONE]");
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event) as Answer);
    const text = chunks
      .flatMap((chunk) => chunk.choices)
      .map(({ delta }) => delta.content ?? "")
      .join("");
    assert.equal(text, whole.body.choices[0].message.content);
    assert.deepEqual(chunks[0].choices[0].delta, { role: "assistant", content: "" });
    assert.equal(chunks.at(-2).choices[0].finish_reason, whole.body.choices[0].finish_reason);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.equal(chunks.at(-1).usage.completion_tokens, whole.body.usage.completion_tokens);
    assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null));
  });

  it("gives the same answer for the same seed, and others for others", async () => {
    const ask = async (seed: number) => (await choice({ seed, temperature: 1.5, max_tokens: 24 })).message.content;
    assert.equal(await ask(1), await ask(1));
    assert.notEqual(await ask(1), await ask(2));
  });

  it("stops at a stop text, wherever tokens cut it, and does not send it", async () => {
    const text = (await choice({ temperature: 0, max_tokens: 24 })).message.content as string;
    const stop = text.slice(8, 11);
    const stopped = await choice({ temperature: 0, max_tokens: 24, stop: ["never seen", stop] });
    assert.equal(stopped.message.content, text.slice(0, text.indexOf(stop)));
    assert.equal(stopped.finish_reason, "stop");
  });

  it("answers several choices", async () => {
    const { body } = await chat({ n: 3, seed: 5, temperature: 1.2 });
    assert.deepEqual(
      body.choices.map(({ index }: Answer) => index),
      [0, 1, 2],
    );
    assert.ok(new Set(body.choices.map((each: Answer) => each.message.content)).size > 1);
  });

  it("finds the last turn of a conversation evaluated", async () => {
    const messages = user("Remember the number seven and the colour green. ".repeat(5));
    const first = await llm.ask("chat/completions", { model, messages, max_tokens: 8, temperature: 0 });
    const next = [...messages, first.body.choices[0].message, ...user("And?")];
    const second = await llm.ask("chat/completions", { model, messages: next, max_tokens: 4, temperature: 0 });
    assert.ok(second.body.usage.prompt_tokens_details.cached_tokens >= first.body.usage.prompt_tokens - 2);
  });

  // proves: llm.json-schema
  it("holds to a JSON schema", async () => {
    const schema = {
      type: "object",
      properties: {
        name: { type: "string", maxLength: 12 },
        age: { type: "integer", minimum: 0, maximum: 150 },
        tags: { type: "array", items: { enum: ["a", "b"] }, maxItems: 3 },
      },
      required: ["name", "age", "tags"],
      additionalProperties: false,
    };
    for (const seed of [1, 2, 3]) {
      const response_format = { type: "json_schema", json_schema: { name: "person", strict: true, schema } };
      const { message, finish_reason } = await choice({ response_format, seed, temperature: 1, max_tokens: 150 });
      assert.equal(finish_reason, "stop", message.content);
      const value = JSON.parse(message.content);
      assert.deepEqual(Object.keys(value), ["name", "age", "tags"]);
      assert.ok(Number.isInteger(value.age) && value.age >= 0 && value.age <= 150);
    }
  });

  it("answers any JSON object when asked for one", async () => {
    const { message, finish_reason } = await choice({
      response_format: { type: "json_object" },
      max_tokens: 200,
      seed: 4,
    });
    if (finish_reason === "stop") assert.equal(typeof JSON.parse(message.content), "object");
    assert.match(message.content, /^\{/);
  });

  // proves: llm.tools
  it("calls the function that it must call, with valid arguments", async () => {
    for (const tool_choice of ["required", { type: "function", function: { name: "get_weather" } }]) {
      const body = { tools: [weather], tool_choice, parallel_tool_calls: false, max_tokens: 120, seed: 2 };
      const { message, finish_reason } = await choice(body);
      assert.equal(finish_reason, "tool_calls");
      assert.equal(message.content, null);
      const [call] = message.tool_calls;
      assert.equal(call.function.name, "get_weather");
      assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
    }
  });

  it("streams a call with its index", async () => {
    const events = await llm.stream("chat/completions", {
      model,
      messages: user("The weather in Rome?"),
      tools: [weather],
      tool_choice: "required",
      parallel_tool_calls: false,
      max_tokens: 120,
      seed: 3,
    });
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event) as Answer);
    const calls = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
    assert.equal(calls.length, 1);
    assert.equal(calls[0].index, 0);
    assert.equal(chunks.at(-1).choices[0].finish_reason, "tool_calls");
  });

  it("takes tool results and free choice", async () => {
    const call = { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Rome"}' } };
    const messages = [
      ...user("The weather in Rome?"),
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content: "sunny" },
    ];
    const answer = await llm.ask("chat/completions", { model, messages, tools: [weather], max_tokens: 20, seed: 1 });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  });

  it("tells how likely its tokens were", async () => {
    const { logprobs, message } = await choice({
      logprobs: true,
      top_logprobs: 3,
      temperature: 1,
      seed: 9,
      max_tokens: 6,
    });
    assert.equal(logprobs.content.map(({ token }: Answer) => token).join(""), message.content);
    for (const entry of logprobs.content) {
      assert.ok(entry.logprob <= 0);
      assert.equal(entry.top_logprobs.length, 3);
      assert.ok(entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob);
    }
  });

  // proves: llm.completions
  it("continues texts", async () => {
    const { body } = await llm.ask("completions", {
      model,
      prompt: ["Once upon", "A b"],
      max_tokens: 5,
      temperature: 0,
      echo: true,
    });
    assert.equal(body.object, "text_completion");
    assert.equal(body.choices.length, 2);
    assert.ok(body.choices[0].text.startsWith("Once upon"));
    const events = await llm.stream("completions", { model, prompt: "Once upon", max_tokens: 5, temperature: 0 });
    const text = events
      .slice(0, -1)
      .map((event) => JSON.parse(event).choices[0].text)
      .join("");
    assert.equal(`Once upon${text}`, body.choices[0].text);
  });

  // proves: llm.embeddings
  it("refuses tokens that the model does not have", async () => {
    for (const input of [[1, 2, 999_999], [[2_147_483_648]]]) {
      const { status, body } = await llm.ask("embeddings", { model, input });
      assert.equal(status, 400);
      assert.equal(body.error.param, "input");
    }
  });

  it("embeds texts as vectors of length one, in both encodings", async () => {
    const input = ["The cat sleeps.", "The kitten naps."];
    const { body } = await llm.ask("embeddings", { model, input });
    const base64 = await llm.ask("embeddings", { model, input, encoding_format: "base64" });
    const [first, second] = body.data.map(({ embedding }: Answer) => embedding as number[]);
    assert.ok(Math.abs(Math.hypot(...first) - 1) < 1e-4);
    assert.notDeepEqual(first, second);
    const bytes = Buffer.from(base64.body.data[0].embedding, "base64");
    assert.deepEqual([...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)], first);
    assert.ok(body.usage.prompt_tokens > 0);
  });

  it("serves two requests at once and answers /health meanwhile", async () => {
    const long = { model, messages: user("Tell me everything"), temperature: 1, max_tokens: 60 };
    const both = Promise.all([1, 2].map((seed) => llm.ask("chat/completions", { ...long, seed })));
    let isOver = false;
    both
      .finally(() => {
        isOver = true;
      })
      .catch(() => {});
    const times: number[] = [];
    while (!isOver) {
      const start = performance.now();
      assert.equal((await llm.get("/health")).status, 200);
      times.push(performance.now() - start);
    }
    for (const { status } of await both) assert.equal(status, 200);
    // Its threads have every core; where they share them with other work, half of the answers wait for that too.
    const quartile = times.sort((a, b) => a - b)[Math.floor(times.length / 4)] ?? 0;
    assert.ok(quartile < 100, `a quarter of ${times.length} answers took less than ${quartile} ms`);
  });

  // proves: llm.context
  it("refuses a prompt that does not fit, before it generates", async () => {
    const { status, body } = await chat({ messages: user("word ".repeat(2000)) });
    assert.equal(status, 400);
    assert.equal(body.error.code, "context_length_exceeded");
    assert.match(body.error.message, /the context holds 512/);
    const embedded = await llm.ask("embeddings", { model, input: "word ".repeat(3000) });
    assert.equal(embedded.body.error.code, "context_length_exceeded");
  });

  // proves: llm.context, llm.usage
  it("ends with `length` at the end of the context and forgets nothing silently", async () => {
    const messages = user("one two three four five ".repeat(12));
    const { body } = await chat({ messages, max_tokens: 100_000, temperature: 1.5, seed: 3 });
    const { finish_reason } = body.choices[0];
    if (finish_reason === "length") assert.equal(body.usage.total_tokens, 512);
    else assert.ok(body.usage.total_tokens < 512);
  });

  const wrong: readonly (readonly [string, object, RegExp])[] = [
    ["no messages", { messages: [] }, /messages/],
    ["a strange role", { messages: [{ role: "boss", content: "x" }] }, /role/],
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:" } }] }] },
      /text only/,
    ],
    ["a temperature of 5", { temperature: 5 }, /temperature/],
    ["no tokens", { max_tokens: 0 }, /max_tokens/],
    ["logit_bias", { logit_bias: { 5: 10 } }, /logit_bias is not supported/],
    [
      "a schema that cannot be held to",
      {
        response_format: {
          type: "json_schema",
          json_schema: { name: "x", schema: { type: "string", pattern: "^a+$" } },
        },
      },
      /"pattern"/,
    ],
    [
      "a choice of no tool",
      { tools: [weather], tool_choice: { type: "function", function: { name: "other" } } },
      /tool_choice/,
    ],
    ["logprobs with JSON", { logprobs: true, response_format: { type: "json_object" } }, /logprobs/],
  ];
  for (const [what, body, reason] of wrong) {
    it(`refuses ${what}`, async () => {
      const answer = await chat(body);
      assert.equal(answer.status, 400);
      assert.match(answer.body.error.message, reason);
      assert.equal(answer.body.error.type, "invalid_request_error");
    });
  }
}
