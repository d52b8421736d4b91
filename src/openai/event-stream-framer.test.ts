import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventStreamFramer } from "./event-stream-framer.ts";
import { streamKindOf } from "./stream-kinds.ts";

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const stream =
  event({ choices: [{ delta: { content: "Grüße, 世界 🌍\n\ndata: [DONE]" } }] }) +
  ": comment\n\n" +
  event({ choices: [{ delta: {}, finish_reason: "stop" }] }) +
  event({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } }) +
  "data: [DONE]\n\n";

function run(chunks: readonly Buffer[]) {
  const framer = new EventStreamFramer(streamKindOf("chat.completions.create"));
  const passed = chunks.map((chunk) => Buffer.from(framer.push(chunk)));
  return { passed, ending: framer.end(), tally: framer.tally };
}

describe("EventStreamFramer", () => {
  for (const [title, text] of [
    ["\\n", stream],
    ["\\r\\n", stream.replaceAll("\n", "\r\n")],
  ] as const) {
    it(`passes every byte on, cut at no place but the end of an event, for each split in two (${title})`, () => {
      const bytes = Buffer.from(text);
      for (let at = 0; at <= bytes.length; at++) {
        const { passed, ending, tally } = run([bytes.subarray(0, at), bytes.subarray(at)]);
        assert.equal(Buffer.concat(passed).toString(), text);
        for (const piece of passed) {
          if (piece.length > 0) assert.match(piece.toString(), /\n\r?\n$/);
        }
        assert.deepEqual(
          { ...ending, ...tally, rest: ending.rest.length },
          {
            rest: 0,
            events: 4,
            sawDone: true,
            isComplete: true,
            sawError: false,
            usage: { promptTokens: 7, completionTokens: 3 },
          },
        );
      }
    });
  }

  it("sees the same byte by byte", () => {
    const { passed, ending, tally } = run([...Buffer.from(stream)].map((byte) => Buffer.from([byte])));
    assert.equal(Buffer.concat(passed).toString(), stream);
    assert.equal(ending.sawDone, true);
    assert.equal(tally.usage?.promptTokens, 7);
  });

  it("takes the words [DONE], error and finish_reason inside content for what they are: content", () => {
    const { ending } = run([
      Buffer.from(event({ choices: [{ delta: { content: 'data: [DONE] {"error" "finish_reason": "x"' } }] })),
    ]);
    assert.equal(ending.sawDone, false);
    assert.equal(ending.sawError, false);
    assert.equal(ending.isComplete, false);
  });

  it("keeps the half event of a cut stream back", () => {
    const { passed, ending } = run([Buffer.from(`${event({ a: 1 })}data: {"choi`)]);
    assert.equal(Buffer.concat(passed).toString(), event({ a: 1 }));
    assert.equal(ending.rest.toString(), "");
    assert.equal(ending.sawDone, false);
  });

  it("takes a last event that lacks nothing but its line breaks for whole, and for nothing when more is missing", () => {
    const last = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}';
    for (const tail of [last, `${last}\n`, `${last}\r\n`]) {
      const { ending } = run([Buffer.from(tail)]);
      assert.equal(ending.rest.toString(), `${last}\n\n`);
      assert.equal(ending.isComplete, true);
    }
    for (const tail of [last.slice(0, -1), "data: [DONE", "event: message_stop", ": comment", ""]) {
      const { ending } = run([Buffer.from(tail)]);
      assert.equal(ending.rest.length, 0, tail);
      assert.equal(ending.isComplete, false, tail);
    }
  });

  it("knows an error that the backend reports", () => {
    assert.equal(run([Buffer.from('data: {"error":{"message":"out of memory"}}\n\n')]).ending.sawError, true);
  });

  it("holds no more than its bound of one event", () => {
    const framer = new EventStreamFramer(streamKindOf("chat.completions.create"));
    let passed = 0;
    for (let i = 0; i < 40; i++) passed += framer.push(Buffer.alloc(64 * 1024, "x")).length;
    assert.ok(passed >= 39 * 64 * 1024 - 1024 * 1024);
  });
});
