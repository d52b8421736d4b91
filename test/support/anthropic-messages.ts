import assert from "node:assert/strict";

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
