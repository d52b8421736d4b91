import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeContext } from "../../test/support/translation.ts";
import { chatToAnthropic } from "./chat-to-anthropic.ts";

type Json = Record<string, unknown>;

const hi = [{ role: "user", content: "Hi" }];

/** The body that a model of Anthropic's is asked with. */
function asked(request: object, model = "claude-sonnet-4-5"): Json {
  const translation = chatToAnthropic.translate({ model: "alias", messages: hi, ...request }, makeContext());
  return JSON.parse((translation.bodyFor?.(model) ?? translation.body).toString()) as Json;
}

function refusal(request: object): { code: string; param: string } {
  try {
    asked(request);
  } catch (error) {
    return error as { code: string; param: string };
  }
  return assert.fail("it was translated");
}

const weather = {
  type: "function",
  function: { name: "weather", description: "Of a city", parameters: { type: "object", properties: { city: {} } } },
};
const call = (id: string, city: string) => ({
  id,
  type: "function",
  function: { name: "weather", arguments: JSON.stringify({ city }) },
});
const schema = { type: "object", properties: { age: { type: "integer", minimum: 0 } }, required: ["age"] };
const jsonSchema = { response_format: { type: "json_schema", json_schema: { name: "person", schema } } };

// proves: paid.anthropic
describe("a chat completion's request in Anthropic's words", () => {
  it("has the least that Anthropic demands", () => {
    assert.deepEqual(asked({}), {
      model: "claude-sonnet-4-5",
      max_tokens: 16_384,
      messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }],
      stream: false,
    });
  });

  it("names the model that is asked in the end, and gives it what that one takes", () => {
    const request = { temperature: 0.5, top_p: 0.9, top_k: 40 };
    const sampled = (model: string) => {
      const { temperature, top_p, top_k, model: name } = asked(request, model);
      assert.equal(name, model);
      return [temperature, top_p, top_k];
    };
    assert.deepEqual(sampled("claude-3-5-haiku-20241022"), [0.5, 0.9, 40]);
    assert.deepEqual(sampled("claude-sonnet-4-20250514"), [0.5, 0.9, 40]);
    assert.deepEqual(sampled("claude-haiku-4-5-20251001"), [0.5, undefined, 40]);
    assert.deepEqual(sampled("claude-opus-4-7"), [undefined, undefined, undefined]);
    assert.deepEqual(sampled("claude-sonnet-5"), [undefined, undefined, undefined]);
    assert.deepEqual(sampled("deepseek-chat"), [0.5, 0.9, 40]);
    assert.equal(asked({ temperature: 1.8 }).temperature, 1);
    assert.equal(asked({ top_p: 0.9 }).top_p, 0.9);
    assert.equal(asked({}, "claude-3-haiku-20240307").max_tokens, 4_096);
    assert.equal(asked({ max_tokens: 5 }).max_tokens, 5);
    assert.equal(asked({ max_tokens: 5, max_completion_tokens: 6 }).max_tokens, 6);
  });

  it("puts instructions first and makes turns of neighbours", () => {
    const { system, messages } = asked({
      messages: [
        { role: "developer", content: "Be brief." },
        { role: "user", content: "One" },
        { role: "user", content: [{ type: "text", text: "Two", cache_control: { type: "ephemeral" } }] },
        { role: "system", content: [{ type: "text", text: "Be kind." }] },
        { role: "assistant", content: "Three" },
        { role: "user", content: " " },
        { role: "assistant", content: "Four \n" },
      ],
    });
    assert.deepEqual(system, [
      { type: "text", text: "Be brief." },
      { type: "text", text: "Be kind." },
    ]);
    assert.deepEqual(messages, [
      {
        role: "user",
        content: [
          { type: "text", text: "One" },
          { type: "text", text: "Two", cache_control: { type: "ephemeral" } },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "text", text: "Three" },
          { type: "text", text: "Four" },
        ],
      },
    ]);
  });

  it("takes images and files", () => {
    const text = Buffer.from("Hällo").toString("base64");
    const { messages } = asked({
      messages: [
        {
          role: "user",
          content: [
            { type: "image_url", image_url: { url: "data:image/png;base64,AAAA", detail: "low" } },
            { type: "image_url", image_url: { url: "https://example.org/cat.png" } },
            { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,BBBB" } },
            { type: "file", file: { filename: "a.txt", file_data: `data:text/plain;base64,${text}` } },
          ],
        },
      ],
    });
    assert.deepEqual((messages as Json[])[0]?.content, [
      { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
      { type: "image", source: { type: "url", url: "https://example.org/cat.png" } },
      { type: "document", source: { type: "base64", media_type: "application/pdf", data: "BBBB" }, title: "a.pdf" },
      { type: "document", source: { type: "text", media_type: "text/plain", data: "Hällo" }, title: "a.txt" },
    ]);
  });

  it("makes calls and their results blocks of one turn each", () => {
    const { messages, tools } = asked({
      tools: [weather, { type: "function", function: { name: "now" } }],
      messages: [
        ...hi,
        { role: "assistant", content: null, tool_calls: [call("call:1", "Paris"), call("2", "Rome")] },
        { role: "tool", tool_call_id: "call:1", content: "Sun" },
        { role: "tool", tool_call_id: "2", content: "" },
        { role: "user", content: "Well?" },
      ],
    });
    assert.deepEqual(tools, [
      { name: "weather", description: "Of a city", input_schema: { type: "object", properties: { city: {} } } },
      { name: "now", input_schema: { type: "object", properties: {} } },
    ]);
    assert.deepEqual((messages as Json[]).slice(1), [
      {
        role: "assistant",
        content: [
          { type: "tool_use", id: "call_1", name: "weather", input: { city: "Paris" } },
          { type: "tool_use", id: "2", name: "weather", input: { city: "Rome" } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "call_1", content: [{ type: "text", text: "Sun" }] },
          { type: "tool_result", tool_use_id: "2" },
          { type: "text", text: "Well?" },
        ],
      },
    ]);
  });

  it("says which tool to choose", () => {
    const choice = (request: object) => asked({ tools: [weather], ...request }).tool_choice;
    assert.equal(choice({}), undefined);
    assert.deepEqual(choice({ tool_choice: "auto" }), { type: "auto" });
    assert.deepEqual(choice({ tool_choice: "none" }), { type: "none" });
    assert.deepEqual(choice({ tool_choice: "required" }), { type: "any" });
    assert.deepEqual(choice({ tool_choice: { type: "function", function: { name: "weather" } } }), {
      type: "tool",
      name: "weather",
    });
    assert.deepEqual(choice({ parallel_tool_calls: false }), { type: "auto", disable_parallel_tool_use: true });
    assert.equal(asked({ tool_choice: "auto" }).tool_choice, undefined);
  });

  it("asks for a schema's JSON, by a tool where the model knows no other way", () => {
    const closed = {
      type: "object",
      properties: { age: { type: "integer", description: '{"minimum":0}' } },
      required: ["age"],
      additionalProperties: false,
    };
    const native = asked(jsonSchema);
    assert.deepEqual(native.output_config, { format: { type: "json_schema", schema: closed } });
    assert.equal(native.tools, undefined);
    const forced = asked({ ...jsonSchema, reasoning_effort: "high" }, "claude-3-7-sonnet-latest");
    assert.deepEqual(forced.tool_choice, { type: "tool", name: "json_answer" });
    assert.deepEqual((forced.tools as Json[])[0]?.input_schema, schema);
    assert.equal(forced.thinking, undefined);
    const beside = asked({ ...jsonSchema, tools: [weather] }, "claude-3-5-sonnet-latest");
    assert.deepEqual(beside.tool_choice, { type: "any" });
    assert.equal((beside.tools as Json[]).length, 2);
    assert.deepEqual(asked({ response_format: { type: "json_object" } }).tool_choice, {
      type: "tool",
      name: "json_answer",
    });
    assert.equal(asked({ response_format: { type: "text" } }).tools, undefined);
  });

  it("lets the model think as much as it is asked to", () => {
    const thinking = (effort: string, model: string, more: object = {}) => {
      const body = asked({ reasoning_effort: effort, max_tokens: 10_000, temperature: 0, ...more }, model);
      return { thinking: body.thinking, config: body.output_config, temperature: body.temperature };
    };
    const budget = (tokens: number) => ({
      thinking: { type: "enabled", budget_tokens: tokens },
      config: undefined,
      temperature: undefined,
    });
    assert.deepEqual(thinking("low", "claude-sonnet-4-5"), budget(2_000));
    assert.deepEqual(thinking("high", "claude-sonnet-4-5"), budget(8_000));
    assert.deepEqual(thinking("minimal", "claude-sonnet-4-5"), budget(1_024));
    const without = { thinking: undefined, config: undefined, temperature: 0 };
    assert.deepEqual(thinking("none", "claude-sonnet-4-5"), without);
    assert.deepEqual(thinking("high", "claude-sonnet-4-5", { max_tokens: 1_000 }), without);
    assert.deepEqual(thinking("high", "claude-3-5-sonnet-latest"), without);
    const adaptive = { type: "adaptive", display: "summarized" };
    assert.deepEqual(thinking("high", "claude-opus-5"), {
      thinking: adaptive,
      config: { effort: "high" },
      temperature: undefined,
    });
    assert.deepEqual(thinking("none", "claude-opus-5").config, { effort: "low" });
    const work = [
      ...hi,
      { role: "assistant", tool_calls: [call("1", "Paris")] },
      { role: "tool", tool_call_id: "1", content: "Sun" },
    ];
    const request = { messages: work, tools: [weather] };
    assert.equal(thinking("high", "claude-sonnet-4-5", request).thinking, undefined);
    assert.deepEqual(thinking("high", "claude-opus-5", request).thinking, adaptive);
    const thought = { type: "thinking", thinking: "Hm", signature: "sig" };
    const signed = work.map((message) =>
      message.role === "assistant" ? { ...message, thinking_blocks: [thought] } : message,
    );
    assert.deepEqual(thinking("high", "claude-sonnet-4-5", { ...request, messages: signed }).thinking, {
      type: "enabled",
      budget_tokens: 8_000,
    });
    assert.deepEqual((asked({ messages: signed }).messages as { content: unknown[] }[])[1]?.content[0], thought);
  });

  it("passes on what else Anthropic knows", () => {
    const { stop_sequences, metadata, stream } = asked({ stop: ["END", "\n"], user: "u1", stream: true });
    assert.deepEqual(
      { stop_sequences, metadata, stream },
      {
        stop_sequences: ["END"],
        metadata: { user_id: "u1" },
        stream: true,
      },
    );
    assert.deepEqual(asked({ stop: "END" }).stop_sequences, ["END"]);
    assert.equal(asked({ stop: "\n" }).stop_sequences, undefined);
    assert.equal(asked({ seed: 1, frequency_penalty: 0, presence_penalty: 0, store: false }).seed, undefined);
  });

  it("refuses what cannot be translated, by its name", () => {
    const cases: readonly (readonly [request: object, code: string, param: string])[] = [
      [{ n: 2 }, "unsupported_feature", "n"],
      [{ logprobs: true }, "unsupported_feature", "logprobs"],
      [{ modalities: ["text", "audio"] }, "unsupported_feature", "modalities"],
      [{ functions: [] }, "unsupported_feature", "functions"],
      [{ tools: [{ type: "custom" }] }, "unsupported_feature", "tools[0].type"],
      [{ messages: [] }, "invalid_request", "messages"],
      [{ messages: [{ role: "system", content: "x" }] }, "invalid_request", "messages"],
      [{ messages: [{ role: "robot", content: "x" }] }, "invalid_request", "messages[0].role"],
      [
        { messages: [{ role: "user", content: [{ type: "input_audio" }] }] },
        "unsupported_feature",
        "messages[0].content[0].type",
      ],
      [
        { messages: [{ role: "assistant", tool_calls: [{ id: "1", function: { name: "f", arguments: "{" } }] }] },
        "invalid_request",
        "messages[0].tool_calls[0].function.arguments",
      ],
      [{ max_tokens: 0 }, "invalid_request", "max_tokens"],
      [{ reasoning_effort: "huge" }, "invalid_request", "reasoning_effort"],
      [{ response_format: { type: "xml" } }, "invalid_request", "response_format.type"],
    ];
    for (const [request, code, param] of cases) {
      const error = refusal(request);
      assert.deepEqual([error.code, error.param], [code, param]);
    }
  });
});
