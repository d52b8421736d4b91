import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { anthropicEventsOf, anthropicMessageOf } from "../../test/support/anthropic-messages.ts";
import { type ChatSaying, chatAnswerOf, chatSayings } from "../../test/support/chat-sayings.ts";
import { makeContext } from "../../test/support/translation.ts";
import { anthropicToChat } from "./anthropic-to-chat.ts";
import { chatToAnthropic } from "./chat-to-anthropic.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape are looked into
type Json = any;

const request = {
  model: "claude",
  messages: [{ role: "user", content: "Hi" }],
  stream: true,
  stream_options: { include_usage: true },
};
const translation = (more: object = {}) => chatToAnthropic.translate({ ...request, ...more }, makeContext());

function whole(message: object, more: object = {}): Json {
  return JSON.parse(
    translation(more)
      .whole(Buffer.from(JSON.stringify(message)))
      .toString(),
  );
}

/** The chunks, without the end marker, which must be there. */
function chunksOf(events: readonly object[], more: object = {}): Json[] {
  const stream = translation(more).stream();
  const out = [...events.flatMap((event) => stream.push({ data: JSON.stringify(event) })), ...stream.end()];
  assert.equal(out.pop()?.data, "[DONE]");
  return out.map(({ data }) => JSON.parse(data));
}

/** A message out of its chunks, as OpenAI's clients put it together. */
function accumulate(chunks: readonly Json[]): Json {
  const message: Json = { content: "", reasoning: "", thoughts: [], calls: [] };
  for (const { choices, usage } of chunks) {
    const { delta = {}, finish_reason: reason = null } = choices[0] ?? {};
    message.content += delta.content ?? "";
    message.reasoning += delta.reasoning_content ?? "";
    message.thoughts.push(...(delta.thinking_blocks ?? []));
    for (const { index, id, function: told } of delta.tool_calls ?? []) {
      message.calls[index] ??= { id, name: told.name, arguments: "" };
      message.calls[index].arguments += told.arguments;
    }
    message.finish = reason ?? message.finish;
    message.usage = usage ?? message.usage;
  }
  for (const each of message.calls) each.arguments = JSON.parse(each.arguments === "" ? "{}" : each.arguments);
  return message;
}

/** The same of a whole answer. */
function read({ choices: [choice], usage }: Json): Json {
  const { message } = choice;
  return {
    content: message.content ?? "",
    reasoning: message.reasoning_content ?? "",
    thoughts: message.thinking_blocks ?? [],
    calls: (message.tool_calls ?? []).map(({ id, function: told }: Json) => ({
      id,
      name: told.name,
      arguments: JSON.parse(told.arguments),
    })),
    finish: choice.finish_reason,
    usage,
  };
}

/** The shape of a real stream in which a model thinks, speaks and calls a tool. */
const recorded = [
  {
    type: "message_start",
    message: {
      model: "claude-sonnet-4-5-20250929",
      id: "msg_01",
      type: "message",
      role: "assistant",
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: {
        input_tokens: 12,
        cache_creation_input_tokens: 7,
        cache_read_input_tokens: 100,
        cache_creation: { ephemeral_5m_input_tokens: 7, ephemeral_1h_input_tokens: 0 },
        output_tokens: 1,
        service_tier: "standard",
      },
    },
  },
  { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "", signature: "" } },
  { type: "ping" },
  { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "Let me" } },
  { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: " look." } },
  { type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature: "EqoB" } },
  { type: "content_block_stop", index: 0 },
  { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "I look" } },
  { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: " it up." } },
  { type: "content_block_stop", index: 1 },
  {
    type: "content_block_start",
    index: 2,
    content_block: { type: "tool_use", id: "toolu_01", name: "weather", input: {} },
  },
  { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: "" } },
  { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: '{"city": "S' } },
  { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: 'F"}' } },
  { type: "content_block_stop", index: 2 },
  {
    type: "message_delta",
    delta: { stop_reason: "tool_use", stop_sequence: null },
    usage: { input_tokens: null, output_tokens: 89, output_tokens_details: { thinking_tokens: 20 } },
  },
  { type: "message_stop" },
];

// proves: paid.anthropic
describe("Anthropic's answer as a chat completion", () => {
  it("turns a real stream into chunks", () => {
    const chunks = chunksOf(recorded);
    const head = { id: "msg_01", object: "chat.completion.chunk", created: makeContext().nowSeconds };
    for (const chunk of chunks) {
      const { id, object, created } = chunk;
      assert.deepEqual({ id, object, created }, head);
      assert.equal(chunk.model, "claude-sonnet-4-5-20250929");
    }
    assert.deepEqual(
      chunks.slice(0, -1).map(({ choices: [choice] }: Json) => choice.delta),
      [
        { role: "assistant", content: "" },
        { reasoning_content: "Let me" },
        { reasoning_content: " look." },
        { thinking_blocks: [{ type: "thinking", thinking: "Let me look.", signature: "EqoB" }] },
        { content: "I look" },
        { content: " it up." },
        { tool_calls: [{ index: 0, id: "toolu_01", type: "function", function: { name: "weather", arguments: "" } }] },
        { tool_calls: [{ index: 0, function: { arguments: '{"city": "S' } }] },
        { tool_calls: [{ index: 0, function: { arguments: 'F"}' } }] },
        {},
      ],
    );
    assert.equal(chunks.at(-2).choices[0].finish_reason, "tool_calls");
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.deepEqual(chunks.at(-1).usage, {
      prompt_tokens: 119,
      completion_tokens: 89,
      total_tokens: 208,
      prompt_tokens_details: { cached_tokens: 100 },
      completion_tokens_details: { reasoning_tokens: 20 },
    });
    assert.ok(chunksOf(recorded, { stream_options: undefined }).every((chunk) => chunk.usage === undefined));
  });

  it("says why it stopped", () => {
    const reason = (stop: string) => whole({ content: [], stop_reason: stop }).choices[0].finish_reason;
    const reasons = [
      "end_turn",
      "stop_sequence",
      "pause_turn",
      "max_tokens",
      "model_context_window_exceeded",
      "refusal",
    ];
    assert.deepEqual(reasons.map(reason), ["stop", "stop", "stop", "length", "length", "content_filter"]);
  });

  it("takes the input of the tool that stood for the answer as the answer", () => {
    const format = { response_format: { type: "json_object" } };
    const block = { type: "tool_use", id: "1", name: "json_answer", input: { age: 7 } };
    const message = { content: [block], stop_reason: "tool_use" };
    const [choice] = whole(message, format).choices;
    assert.deepEqual([choice.message.content, choice.finish_reason], ['{"age":7}', "stop"]);
    assert.equal(choice.message.tool_calls, undefined);
    const streamed = accumulate(
      chunksOf(
        anthropicEventsOf(message, () => 3),
        format,
      ),
    );
    assert.deepEqual([streamed.content, streamed.finish, streamed.calls], ['{"age":7}', "stop", []]);
  });

  it("refuses what is no answer, and an answer that ends in an error", () => {
    assert.throws(() => whole({ choices: [] }), { code: "backend_error" });
    assert.throws(() => translation().whole(Buffer.from("<html>")), { code: "backend_error" });
    const stream = translation().stream();
    stream.push({ data: JSON.stringify(recorded[0]) });
    const error = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
    assert.throws(() => stream.push({ event: "error", data: JSON.stringify(error) }), {
      code: "backend_error",
      detail: "overloaded_error: Overloaded",
    });
    assert.deepEqual(stream.push({ event: "new", data: '{"type": "something_new"}' }), []);
  });

  it("says the same in a stream, however it is cut, as in a whole answer", () => {
    fc.assert(
      fc.property(chatSayings(), fc.infiniteStream(fc.nat(7)), (saying, cuts) => {
        const message = anthropicMessageOf(saying);
        const events = anthropicEventsOf(message, () => cuts.next().value ?? 1);
        assert.deepEqual(accumulate(chunksOf(events)), read(whole(message)));
      }),
      { numRuns: 300 },
    );
  });

  it("keeps the meaning of an answer from chat to Anthropic and back", () => {
    const toAnthropic = anthropicToChat.translate({ ...request, max_tokens: 5 }, makeContext());
    fc.assert(
      fc.property(chatSayings(), (saying: ChatSaying) => {
        const said = chatAnswerOf(saying);
        const message = JSON.parse(toAnthropic.whole(Buffer.from(JSON.stringify(said))).toString());
        const there = read(said);
        const back = read(whole(message));
        const isCalled = there.calls.length > 0 && there.finish === "stop";
        assert.deepEqual(
          { ...back, thoughts: [], usage: back.usage.total_tokens },
          { ...there, finish: isCalled ? "tool_calls" : there.finish, usage: there.usage.total_tokens },
        );
      }),
      { numRuns: 300 },
    );
  });
});
