import assert from "node:assert/strict";
import { type ChatSaying, cut } from "./chat-sayings.ts";

type Json = Record<string, unknown>;

/**
 * Puts a message together from its events, as Anthropic's clients do, and refuses every event that is out of order:
 * blocks one after the other, deltas of the open block only, nothing before `message_start` and after `message_stop`.
 */
export function accumulateMessage(events: readonly Json[]): Json {
  const [first, ...rest] = events.filter(({ type }) => type !== "ping");
  assert.equal(first?.type, "message_start");
  const message = structuredClone(first.message) as Json;
  assert.deepEqual(message.content, []);
  const content: Json[] = [];
  message.content = content;
  let open: { block: Json; json: string } | undefined;
  let isOver = false;
  for (const event of rest) {
    assert.ok(!isOver, "something after message_stop");
    switch (event.type) {
      case "content_block_start":
        assert.ok(open === undefined, "two blocks at once");
        assert.equal(event.index, content.length);
        open = { block: structuredClone(event.content_block) as Json, json: "" };
        break;
      case "content_block_delta":
        assert.ok(open !== undefined, "a delta outside of a block");
        assert.equal(event.index, content.length);
        open.json += addDelta(open.block, event.delta as Json);
        break;
      case "content_block_stop":
        assert.ok(open !== undefined, "the end of no block");
        assert.equal(event.index, content.length);
        if (open.block.type === "tool_use") open.block.input = open.json === "" ? {} : JSON.parse(open.json);
        content.push(open.block);
        open = undefined;
        break;
      case "message_delta":
        assert.ok(open === undefined, "the message changes while a block is open");
        Object.assign(message, event.delta);
        message.usage = { ...(message.usage as Json), ...(event.usage as Json) };
        break;
      case "message_stop":
        isOver = true;
        break;
      default:
        assert.fail(`an event of the type ${String(event.type)}`);
    }
  }
  assert.ok(isOver, "no message_stop");
  return message;
}

/** Adds to a block; what a tool gets is returned, as it is no JSON before its end. */
function addDelta(block: Json, delta: Json): string {
  const field = { text_delta: "text", thinking_delta: "thinking", signature_delta: "signature" }[String(delta.type)];
  if (field === undefined) {
    assert.equal(delta.type, "input_json_delta");
    assert.equal(block.type, "tool_use");
    return String(delta.partial_json);
  }
  block[field] = String(block[field]) + String(delta[field]);
  return "";
}

/** A saying as Anthropic's whole message. */
export function anthropicMessageOf({ reasoning, text, calls, finish, usage }: ChatSaying): Json {
  const stops: Readonly<Record<string, string>> = { stop: "end_turn", length: "max_tokens", content_filter: "refusal" };
  return {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "served",
    content: [
      ...(reasoning === "" ? [] : [{ type: "thinking", thinking: reasoning, signature: "signed" }]),
      ...(text === "" ? [] : [{ type: "text", text }]),
      ...calls.map(({ name, input }, index) => ({ type: "tool_use", id: `toolu_${index}`, name, input })),
    ],
    stop_reason: finish === "stop" && calls.length > 0 ? "tool_use" : stops[finish],
    stop_sequence: null,
    usage: { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens },
  };
}

/** The events of a message, its texts cut into pieces of `length()` characters. */
export function anthropicEventsOf(message: Json, length: () => number): readonly Json[] {
  const { content, stop_reason, stop_sequence = null, usage = {}, ...rest } = message;
  const start = {
    ...rest,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { ...(usage as Json), output_tokens: 1 },
  };
  return [
    { type: "message_start", message: start },
    ...(content as Json[]).flatMap((block, index) => [
      { type: "content_block_start", index, content_block: emptied(block) },
      ...(index === 0 ? [{ type: "ping" }] : []),
      ...deltasOf(block, length).map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index },
    ]),
    { type: "message_delta", delta: { stop_reason, stop_sequence }, usage },
    { type: "message_stop" },
  ];
}

function emptied(block: Json): Json {
  if (block.type === "text") return { ...block, text: "" };
  if (block.type === "thinking") return { ...block, thinking: "", signature: "" };
  return { ...block, input: {} };
}

function deltasOf(block: Json, length: () => number): readonly Json[] {
  if (block.type === "text") return cut(String(block.text), length).map((text) => ({ type: "text_delta", text }));
  if (block.type === "thinking") {
    const pieces = cut(String(block.thinking), length).map((thinking) => ({ type: "thinking_delta", thinking }));
    return [...pieces, { type: "signature_delta", signature: block.signature }];
  }
  const json = JSON.stringify(block.input);
  // Anthropic sends nothing at all for a tool that needs no input.
  return json === "{}" ? [] : cut(json, length).map((partial_json) => ({ type: "input_json_delta", partial_json }));
}
