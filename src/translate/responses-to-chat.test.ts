import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeContext, translated, wholeThrough } from "../../test/support/translation.ts";
import { responsesToChat } from "./responses-to-chat.ts";

const weather = {
  type: "function",
  name: "weather",
  description: "of a city",
  parameters: { type: "object" },
  strict: true,
};
const chat = (request: object) => translated(responsesToChat, { model: "m", input: "hi", ...request });
const messages = (input: unknown, instructions?: string) => chat({ input, instructions }).messages;
const refusal = (request: object) => {
  try {
    chat(request);
  } catch (error) {
    const { code, param } = error as { code: string; param: string };
    return { code, param };
  }
  return assert.fail("it was taken");
};

describe("responses: requests", () => {
  it("become chats with the same settings", () => {
    const body = chat({
      instructions: "Be brief.",
      temperature: 0.5,
      top_p: 0.9,
      max_output_tokens: 9,
      parallel_tool_calls: false,
      reasoning: { effort: "low", summary: "auto" },
      text: { verbosity: "low", format: { type: "json_object" } },
      top_logprobs: 2,
      user: "u",
      metadata: { a: "b" },
      store: false,
      previous_response_id: "resp_1",
      truncation: "auto",
      top_k: 20,
      stream: true,
    });
    assert.deepEqual(body, {
      model: "m",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "hi" },
      ],
      temperature: 0.5,
      top_p: 0.9,
      max_tokens: 9,
      parallel_tool_calls: false,
      reasoning_effort: "low",
      verbosity: "low",
      response_format: { type: "json_object" },
      logprobs: true,
      top_logprobs: 2,
      user: "u",
      top_k: 20,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it("ask for JSON by a schema", () => {
    const format = { type: "json_schema", name: "city", schema: { type: "object" }, strict: true };
    const { response_format } = chat({ text: { format } });
    const { type, ...json_schema } = format;
    assert.deepEqual(response_format, { type, json_schema });
    assert.equal(chat({ text: { format: { type: "text" } } }).response_format, undefined);
    assert.deepEqual(refusal({ text: { format: { type: "json_schema", name: "x" } } }), {
      code: "invalid_request",
      param: "text.format.schema",
    });
  });

  it("offer functions, and no built-in tool", () => {
    const { type, ...told } = weather;
    const time = { type: "function", name: "time", parameters: null, strict: null };
    const body = chat({ tools: [weather, time], tool_choice: { type: "function", name: "weather" } });
    assert.deepEqual(body.tools, [
      { type, function: told },
      { type, function: { name: "time" } },
    ]);
    assert.deepEqual(body.tool_choice, { type, function: { name: "weather" } });
    assert.equal(chat({ tools: [weather], tool_choice: "required" }).tool_choice, "required");
    const allowed = chat({
      tools: [weather, time],
      tool_choice: { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "time" }] },
    });
    assert.deepEqual([allowed.tools, allowed.tool_choice], [[{ type, function: { name: "time" } }], "required"]);
    assert.deepEqual(refusal({ tools: [weather, { type: "web_search" }] }), {
      code: "unsupported_feature",
      param: "tools[1].type",
    });
    assert.deepEqual(refusal({ tools: [weather], tool_choice: { type: "file_search" } }).param, "tool_choice.type");
  });

  it("tell messages, pictures and files", () => {
    const content = [
      { type: "input_text", text: "What is this?" },
      { type: "input_image", image_url: "data:image/png;base64,AA", detail: "low" },
      { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,AA" },
    ];
    assert.deepEqual(messages([{ role: "user", content }]), [
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AA", detail: "low" } },
          { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AA" } },
        ],
      },
    ]);
    const said = { type: "message", role: "assistant", content: [{ type: "output_text", text: "A cat." }] };
    assert.deepEqual(messages([said]), [{ role: "assistant", content: "A cat." }]);
    const stored = [{ role: "user", content: [{ type: "input_image", file_id: "file_1" }] }];
    assert.deepEqual(refusal({ input: stored }), {
      code: "unsupported_feature",
      param: "input[0].content[0].file_id",
    });
  });

  it("begin with one system message, whatever instructions are called", () => {
    const input = [
      { role: "developer", content: "Be polite." },
      { role: "user", content: "hi" },
      { role: "system", content: "Now be rude." },
    ];
    assert.deepEqual(messages(input, "Be brief."), [
      { role: "system", content: "Be brief.\n\nBe polite." },
      { role: "user", content: "hi" },
      { role: "system", content: "Now be rude." },
    ]);
  });

  it("keep calls, their results and the thoughts behind them together", () => {
    const thought = (text: string) => ({ type: "reasoning", id: "rs", summary: [{ type: "summary_text", text }] });
    const call = (id: string) => ({ type: "function_call", call_id: id, name: "weather", arguments: "{}" });
    const result = (id: string) => ({ type: "function_call_output", call_id: id, output: "sun" });
    const input = [
      thought("old"),
      { role: "assistant", content: "Hello." },
      { role: "user", content: "Weather?" },
      thought("new"),
      { role: "assistant", content: "I look." },
      call("a"),
      call("b"),
      result("a"),
      result("b"),
      thought("again"),
      call("c"),
      result("c"),
      thought("for nothing"),
    ];
    const asked = (id: string) => ({ id, type: "function", function: { name: "weather", arguments: "{}" } });
    const told = (id: string) => ({ role: "tool", tool_call_id: id, content: "sun" });
    assert.deepEqual(messages(input), [
      { role: "assistant", content: "Hello." },
      { role: "user", content: "Weather?" },
      { role: "assistant", content: "I look.", reasoning_content: "new", tool_calls: [asked("a"), asked("b")] },
      told("a"),
      told("b"),
      { role: "assistant", content: null, reasoning_content: "again", tool_calls: [asked("c")] },
      told("c"),
    ]);
  });

  it("are refused with the field at fault", () => {
    const invalid = (request: object, param: string) =>
      assert.deepEqual(refusal(request), { code: "invalid_request", param });
    const unsupported = (request: object, param: string) =>
      assert.deepEqual(refusal(request), { code: "unsupported_feature", param });
    assert.deepEqual(refusal({ model: "" }), { code: "missing_model", param: "model" });
    invalid({ input: null }, "input");
    invalid({ input: ["hi"] }, "input[0]");
    invalid({ input: [{ role: "user", content: [{ type: "picture" }] }] }, "input[0].content[0].type");
    invalid({ input: [{ type: "function_call", call_id: "a", name: "f" }] }, "input[0].arguments");
    invalid({ tools: {} }, "tools");
    invalid({ instructions: 7 }, "instructions");
    unsupported({ input: [{ type: "computer_call_output" }] }, "input[0].type");
    unsupported({ background: true }, "background");
    unsupported({ conversation: "conv_1" }, "conversation");
    unsupported({ prompt: { id: "pmpt_1" } }, "prompt");
    assert.ok(chat({ background: false, conversation: null, context_management: [] }));
  });

  it("are repeated in the answer", () => {
    const request = { model: "m", input: "hi", tools: [weather], metadata: { a: "b" }, previous_response_id: "resp_0" };
    const answer = { choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "stop" }] };
    const response = wholeThrough(responsesToChat.translate(request, makeContext()), answer);
    const { output: _, ...rest } = response;
    assert.deepEqual(rest, {
      id: "resp_1",
      object: "response",
      created_at: 1_767_225_600,
      status: "completed",
      background: false,
      completed_at: 1_767_225_600,
      error: null,
      incomplete_details: null,
      instructions: null,
      max_output_tokens: null,
      max_tool_calls: null,
      metadata: { a: "b" },
      model: "m",
      parallel_tool_calls: true,
      previous_response_id: "resp_0",
      prompt_cache_key: null,
      safety_identifier: null,
      store: true,
      temperature: null,
      tool_choice: "auto",
      tools: [weather],
      top_logprobs: 0,
      top_p: null,
      user: null,
      reasoning: { effort: null, summary: null },
      service_tier: "default",
      text: { format: { type: "text" } },
      truncation: "disabled",
      usage: null,
    });
  });
});
