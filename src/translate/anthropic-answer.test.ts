import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { accumulateMessage } from "../../test/support/anthropic-messages.ts";
import { chatAnswerOf, chatChunksOf, chatSayings } from "../../test/support/chat-sayings.ts";
import { makeContext } from "../../test/support/translation.ts";
import type { StreamEvent } from "../openai/stream-events.ts";
import { toMessage, toMessageStream } from "./anthropic-answer.ts";

function options(showsThoughts = true) {
  return { model: "tiny", showsThoughts, estimatePromptTokens: () => 28, context: makeContext() };
}

function streamed(chunks: readonly object[], showsThoughts = true): readonly Record<string, unknown>[] {
  const stream = toMessageStream(options(showsThoughts));
  const events: StreamEvent[] = [];
  for (const chunk of chunks) events.push(...stream.push({ data: JSON.stringify(chunk) }));
  events.push(...stream.push({ data: "[DONE]" }), ...stream.end());
  return events.map(({ event, data }) => {
    const parsed = JSON.parse(data) as Record<string, unknown>;
    assert.equal(parsed.type, event);
    return parsed;
  });
}

function whole(answer: object): Record<string, unknown> {
  return JSON.parse(toMessage(Buffer.from(JSON.stringify(answer)), options()).toString()) as Record<string, unknown>;
}

const delta = (said: object, finish: string | null = null) => ({
  choices: [{ index: 0, delta: said, finish_reason: finish }],
});
const usage = {
  choices: [],
  usage: { prompt_tokens: 30, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 20 } },
};
const called = (index: number, id: string, name: string, text = "") =>
  delta({ tool_calls: [{ index, id, type: "function", function: { name, arguments: text } }] });
const args = (index: number, text: string) => delta({ tool_calls: [{ index, function: { arguments: text } }] });

// proves: clients.anthropic
describe("a chat completion as Anthropic's message", () => {
  it("streams text in Anthropic's order, with the usage at the end", () => {
    const events = streamed([
      delta({ role: "assistant", content: "" }),
      delta({ content: "Hel" }),
      delta({ content: "lo" }),
      delta({}, "stop"),
      usage,
    ]);
    assert.deepEqual(events, [
      {
        type: "message_start",
        message: {
          id: "msg_1",
          type: "message",
          role: "assistant",
          model: "tiny",
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: { input_tokens: 28, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 },
        },
      },
      { type: "ping" },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hel" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "lo" } },
      { type: "content_block_stop", index: 0 },
      {
        type: "message_delta",
        delta: { stop_reason: "end_turn", stop_sequence: null },
        usage: { input_tokens: 10, cache_creation_input_tokens: 0, cache_read_input_tokens: 20, output_tokens: 5 },
      },
      { type: "message_stop" },
    ]);
  });

  it("estimates the prompt where nobody counts it, once, and only then", () => {
    let estimates = 0;
    const estimatePromptTokens = () => {
      estimates++;
      return 28;
    };
    const inputs = (...chunks: readonly object[]) => {
      const stream = toMessageStream({ ...options(), estimatePromptTokens });
      const events = [...chunks.flatMap((chunk) => stream.push({ data: JSON.stringify(chunk) })), ...stream.end()];
      return events.flatMap(({ data }) => {
        const { message, usage: told } = JSON.parse(data) as Record<string, { usage?: object } & object>;
        const { input_tokens } = (message?.usage ?? told ?? {}) as { input_tokens?: number };
        return input_tokens ?? [];
      });
    };
    assert.deepEqual(inputs(delta({ content: "a" }), delta({}, "stop")), [28, 28]);
    assert.equal(estimates, 1);
    assert.deepEqual(inputs({ ...usage, ...delta({ content: "a" }) }, delta({}, "stop")), [10, 10]);
    assert.equal(estimates, 1);
  });

  it("passes each piece on when it comes, not later", () => {
    const stream = toMessageStream(options());
    const types = (chunk: object) => stream.push({ data: JSON.stringify(chunk) }).map(({ event }) => event);
    assert.deepEqual(types(delta({ role: "assistant" })), ["message_start", "ping"]);
    assert.deepEqual(types(delta({ content: "a" })), ["content_block_start", "content_block_delta"]);
    assert.deepEqual(types(delta({ content: "b" })), ["content_block_delta"]);
    assert.deepEqual(types(called(0, "c", "f")), ["content_block_stop", "content_block_start"]);
    assert.deepEqual(types(args(0, "{}")), ["content_block_delta"]);
  });

  it("shows thoughts before the text, signed, or not at all", () => {
    const chunks = [
      delta({ reasoning_content: "Hm" }),
      delta({ reasoning: "m" }),
      delta({ content: "Yes" }),
      delta({}, "stop"),
    ];
    const message = accumulateMessage(streamed(chunks));
    assert.deepEqual(message.content, [
      { type: "thinking", thinking: "Hmm", signature: "unsigned" },
      { type: "text", text: "Yes" },
    ]);
    assert.deepEqual(accumulateMessage(streamed(chunks, false)).content, [{ type: "text", text: "Yes" }]);
  });

  it("tells calls that are streamed in turn one after the other", () => {
    const events = streamed([
      called(0, "a", "first"),
      called(1, "b", "second", '{"x"'),
      args(0, '{"t": "}'),
      args(1, ": 1}"),
      args(0, '\\""}'),
      delta({}, "tool_calls"),
    ]);
    const indexes = events.filter(({ index }) => index !== undefined).map(({ type, index }) => `${type} ${index}`);
    assert.deepEqual(indexes, [
      "content_block_start 0",
      "content_block_delta 0",
      "content_block_delta 0",
      "content_block_stop 0",
      "content_block_start 1",
      "content_block_delta 1",
      "content_block_stop 1",
    ]);
    const message = accumulateMessage(events);
    assert.deepEqual(message.content, [
      { type: "tool_use", id: "a", name: "first", input: { t: '}"' } },
      { type: "tool_use", id: "b", name: "second", input: { x: 1 } },
    ]);
    assert.equal(message.stop_reason, "tool_use");
  });

  it("says why it stopped", () => {
    const reason = (choice: object) => {
      const { stop_reason, stop_sequence } = whole({ choices: [{ index: 0, message: { content: "x" }, ...choice }] });
      return [stop_reason, stop_sequence];
    };
    assert.deepEqual(reason({ finish_reason: "stop" }), ["end_turn", null]);
    assert.deepEqual(reason({ finish_reason: "length" }), ["max_tokens", null]);
    assert.deepEqual(reason({ finish_reason: "content_filter" }), ["refusal", null]);
    assert.deepEqual(reason({ finish_reason: "stop", stop_reason: "END" }), ["stop_sequence", "END"]);
    assert.deepEqual(reason({ finish_reason: "stop", matched_stop: "END" }), ["stop_sequence", "END"]);
    assert.deepEqual(reason({ finish_reason: "stop", stop_reason: 151_643 }), ["end_turn", null]);
    const message = { content: null, tool_calls: [{ id: "a", function: { name: "f", arguments: "" } }] };
    assert.deepEqual(reason({ message, finish_reason: "stop" }), ["tool_use", null]);
    assert.deepEqual(reason({ message: { refusal: "No." }, finish_reason: "stop" }), ["refusal", null]);
  });

  it("refuses arguments that are none, unless the answer was cut", () => {
    const answer = (text: string, finish: string) => ({
      choices: [
        {
          index: 0,
          message: { tool_calls: [{ id: "a", function: { name: "f", arguments: text } }] },
          finish_reason: finish,
        },
      ],
    });
    assert.throws(() => whole(answer("{oops", "tool_calls")), { code: "backend_error" });
    assert.throws(() => whole(answer("[1]", "tool_calls")), { code: "backend_error" });
    assert.deepEqual((whole(answer('{"a', "length")).content as { input: unknown }[])[0]?.input, {});
    assert.deepEqual((whole(answer("null", "tool_calls")).content as { input: unknown }[])[0]?.input, {});
    const stream = toMessageStream(options());
    stream.push({ data: JSON.stringify(called(0, "a", "f", "{}")) });
    stream.push({ data: JSON.stringify(called(1, "b", "g")) });
    assert.throws(() => stream.push({ data: JSON.stringify(args(0, '"x"')) }), { code: "backend_error" });
  });

  it("says the same in a stream, however it is cut, as in a whole answer", () => {
    fc.assert(
      fc.property(chatSayings(), fc.infiniteStream(fc.nat(7)), (saying, cuts) => {
        const message = accumulateMessage(streamed(chatChunksOf(saying, () => cuts.next().value ?? 1)));
        assert.deepEqual(message, whole(chatAnswerOf(saying)));
      }),
      { numRuns: 300 },
    );
  });
});
