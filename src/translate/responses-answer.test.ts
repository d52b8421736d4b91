import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { chatAnswerOf, chatSayings } from "../../test/support/chat-sayings.ts";
import { cutAnywhere, makeContext, requestedAt, streamThrough, wholeThrough } from "../../test/support/translation.ts";
import type { StreamEvent } from "../openai/stream-events.ts";
import { responsesToChat } from "./responses-to-chat.ts";

// biome-ignore lint/suspicious/noExplicitAny: events of every shape are looked into
type Json = any;

const request = { model: "m", input: "hi" };
const translate = (more: object = {}) => responsesToChat.translate({ ...request, ...more }, makeContext());
const chunk = (delta: object, finish: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason: finish }],
});
const usage = {
  choices: [],
  usage: {
    prompt_tokens: 7,
    completion_tokens: 5,
    prompt_tokens_details: { cached_tokens: 3 },
    completion_tokens_details: { reasoning_tokens: 2 },
  },
};
const parsed = (events: readonly StreamEvent[]): Json[] => events.map(({ data }) => JSON.parse(data));
const streamed = (...documents: object[]) => parsed(streamThrough(translate({ stream: true }), documents));
/** `type output_index` of each. */
const outline = (events: Json[]) =>
  events.map(({ type, output_index: at }) => (at === undefined ? type : `${type} ${at}`));
/** Random parts of ids do not matter, and numbers depend on the order in which they are drawn. */
const anonymous = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll(/"(resp|msg|rs|fc)_\d+"/g, '"$1"'));

describe("responses: streams", () => {
  it("tell a text in OpenAI's order", () => {
    const events = streamed(
      chunk({ role: "assistant", content: "" }),
      chunk({ content: "Hel" }),
      chunk({ content: "lo" }),
      chunk({}, "stop"),
      usage,
    );
    assert.deepEqual(outline(events), [
      "response.created",
      "response.in_progress",
      "response.output_item.added 0",
      "response.content_part.added 0",
      "response.output_text.delta 0",
      "response.output_text.delta 0",
      "response.output_text.done 0",
      "response.content_part.done 0",
      "response.output_item.done 0",
      "response.completed",
    ]);
    assert.deepEqual(
      events.map((event) => event.sequence_number),
      events.map((_, index) => index),
    );
    const [created, , added, partAdded, delta, , textDone, partDone, itemDone, completed] = events;
    const part = { type: "output_text", annotations: [], logprobs: [] };
    const message = { id: "msg_2", type: "message", role: "assistant" };
    assert.equal(created.response.status, "in_progress");
    assert.deepEqual(created.response.output, []);
    assert.deepEqual(added.item, { ...message, content: [], status: "in_progress" });
    assert.deepEqual(partAdded.part, { ...part, text: "" });
    assert.deepEqual(delta, {
      type: "response.output_text.delta",
      sequence_number: 4,
      item_id: "msg_2",
      output_index: 0,
      content_index: 0,
      delta: "Hel",
      logprobs: [],
    });
    assert.equal(textDone.text, "Hello");
    assert.deepEqual(partDone.part, { ...part, text: "Hello" });
    assert.deepEqual(itemDone.item, { ...message, content: [{ ...part, text: "Hello" }], status: "completed" });
    assert.deepEqual(completed.response.output, [itemDone.item]);
    assert.deepEqual(completed.response.usage, {
      input_tokens: 7,
      input_tokens_details: { cached_tokens: 3, cache_write_tokens: 0 },
      output_tokens: 5,
      output_tokens_details: { reasoning_tokens: 2 },
      total_tokens: 12,
    });
    assert.deepEqual([completed.response.created_at, completed.response.completed_at], [requestedAt, requestedAt]);
  });

  it("tell thoughts, then two calls in pieces", () => {
    const call = (index: number, told: object, id?: string) =>
      chunk({ tool_calls: [{ index, ...(id === undefined ? {} : { id, type: "function" }), function: told }] });
    const events = streamed(
      chunk({ reasoning_content: "Hm" }),
      chunk({ reasoning_content: "m." }),
      call(0, { name: "weather", arguments: "" }, "call_a"),
      call(0, { arguments: '{"city":' }),
      call(0, { arguments: '"Bern"}' }),
      call(1, { name: "time", arguments: "{}" }, "call_b"),
      chunk({}, "tool_calls"),
    );
    assert.deepEqual(outline(events), [
      "response.created",
      "response.in_progress",
      "response.output_item.added 0",
      "response.reasoning_summary_part.added 0",
      "response.reasoning_summary_text.delta 0",
      "response.reasoning_summary_text.delta 0",
      "response.reasoning_summary_text.done 0",
      "response.reasoning_summary_part.done 0",
      "response.output_item.done 0",
      "response.output_item.added 1",
      "response.function_call_arguments.delta 1",
      "response.function_call_arguments.delta 1",
      "response.function_call_arguments.done 1",
      "response.output_item.done 1",
      "response.output_item.added 2",
      "response.function_call_arguments.delta 2",
      "response.function_call_arguments.done 2",
      "response.output_item.done 2",
      "response.completed",
    ]);
    assert.deepEqual(anonymous(events.at(-1).response.output), [
      { id: "rs", type: "reasoning", summary: [{ type: "summary_text", text: "Hmm." }], status: "completed" },
      {
        id: "fc",
        type: "function_call",
        call_id: "call_a",
        name: "weather",
        arguments: '{"city":"Bern"}',
        status: "completed",
      },
      { id: "fc", type: "function_call", call_id: "call_b", name: "time", arguments: "{}", status: "completed" },
    ]);
    assert.equal(events.at(-1).response.usage, null);
  });

  it("keep calls apart whose pieces a server mixes", () => {
    const call = (index: number, told: object) => chunk({ tool_calls: [{ index, function: told }] });
    const events = streamed(
      call(0, { name: "a", arguments: '{"x"' }),
      call(1, { name: "b", arguments: '{"y"' }),
      call(0, { arguments: ":1}" }),
      call(1, { arguments: ":2}" }),
      chunk({}, "tool_calls"),
    );
    const { output } = events.at(-1).response;
    assert.deepEqual(
      output.map((item: Json) => [item.name, item.arguments]),
      [
        ["a", '{"x":1}'],
        ["b", '{"y":2}'],
      ],
    );
    assert.match(output[0].call_id, /^call_\d+$/);
  });

  it("say that an answer was cut, and where", () => {
    const events = streamed(chunk({ content: "Hel" }), chunk({}, "length"), usage);
    const { type, response } = events.at(-1);
    assert.deepEqual([type, response.status], ["response.incomplete", "incomplete"]);
    assert.deepEqual(response.incomplete_details, { reason: "max_output_tokens" });
    assert.equal(response.output[0].status, "incomplete");
    assert.equal(response.completed_at, null);
    const filtered = streamed(chunk({}, "content_filter")).at(-1).response;
    assert.deepEqual(filtered.incomplete_details, { reason: "content_filter" });
  });

  it("tell a refusal as one", () => {
    const events = streamed(chunk({ refusal: "I " }), chunk({ refusal: "won't." }), chunk({}, "stop"));
    assert.deepEqual(outline(events).slice(3, 8), [
      "response.content_part.added 0",
      "response.refusal.delta 0",
      "response.refusal.delta 0",
      "response.refusal.done 0",
      "response.content_part.done 0",
    ]);
    assert.deepEqual(events.at(-1).response.output[0].content, [{ type: "refusal", refusal: "I won't." }]);
  });

  it("pass the chances of tokens on", () => {
    const chance = { token: "a", logprob: -0.1, bytes: [97], top_logprobs: [] };
    const events = streamed({
      choices: [{ index: 0, delta: { content: "a" }, logprobs: { content: [chance] }, finish_reason: "stop" }],
    });
    assert.deepEqual(events.find(({ type }) => type === "response.output_text.delta").logprobs, [chance]);
    assert.deepEqual(events.at(-1).response.output[0].content[0].logprobs, [chance]);
  });

  it("say what there was of a broken answer, then the error", () => {
    const stream = translate({ stream: true }).stream();
    const before = stream.push({ data: JSON.stringify(chunk({ content: "Hel" })) });
    const error = { message: "It broke.", type: "server_error", param: null, code: "backend_disconnected" };
    const events = parsed([...before, ...(stream.fail?.({ error }, 502) ?? [])]);
    assert.deepEqual(outline(events).slice(-2), ["response.failed", "error"]);
    const { response } = events.at(-2);
    assert.deepEqual([response.status, response.error], ["failed", { code: "server_error", message: "It broke." }]);
    assert.equal(response.output[0].content[0].text, "Hel");
    assert.equal(events.at(-1).code, "backend_disconnected");
    assert.equal(events.at(-1).sequence_number, events.length - 1);
  });

  it("break on what is no chat completion", () => {
    for (const data of [
      "{",
      "7",
      '{"error":{"message":"out of memory"}}',
      '{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}',
    ]) {
      assert.throws(() => translate({ stream: true }).stream().push({ data }), { code: "backend_error" }, data);
    }
    for (const body of ["", "[]", "{}", '{"choices":[]}']) {
      assert.throws(() => translate().whole(Buffer.from(body)), { code: "backend_error" }, body);
    }
  });

  it("say the same as whole answers, wherever they are cut", () => {
    fc.assert(
      fc.property(chatSayings(), fc.infiniteStream(fc.integer({ min: 1, max: 6 })), (saying, lengths) => {
        const events = parsed(streamThrough(translate({ stream: true }), cutAnywhere(saying, lengths)));
        const { response } = events.at(-1);
        assert.deepEqual(anonymous(response), anonymous(wholeThrough(translate(), chatAnswerOf(saying))));
        assert.deepEqual(replay(events), response.output);
        assert.deepEqual(
          events.map((event) => event.sequence_number),
          events.map((_, index) => index),
        );
      }),
      { numRuns: 200 },
    );
  });
});

/** The output as a client puts it together from the pieces. */
function replay(events: Json[]): Json[] {
  const output: Json[] = [];
  for (const event of events) {
    const item = output[event.output_index];
    if (event.type === "response.output_item.added") output[event.output_index] = structuredClone(event.item);
    else if (event.type === "response.content_part.added") item.content[event.content_index] = { ...event.part };
    else if (event.type === "response.output_text.delta") item.content[event.content_index].text += event.delta;
    else if (event.type === "response.reasoning_summary_part.added")
      item.summary[event.summary_index] = { ...event.part };
    else if (event.type === "response.reasoning_summary_text.delta")
      item.summary[event.summary_index].text += event.delta;
    else if (event.type === "response.function_call_arguments.delta") item.arguments += event.delta;
    else if (event.type === "response.output_item.done") {
      item.status = event.item.status;
      assert.deepEqual(item, event.item);
    }
  }
  return output;
}
