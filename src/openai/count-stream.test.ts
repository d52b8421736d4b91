import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { askForUsage, withoutUsage } from "./count-stream.ts";

const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const sse = (value: object) => `data: ${JSON.stringify(value)}\n\n`;

// proves: paid.counted
test("a body asks to be counted, and is the same otherwise", () => {
  const bodies = fc.record({ model: fc.string(), stream: fc.constant(true), messages: fc.jsonValue() });
  fc.assert(
    fc.property(bodies, fc.constantFrom("", " ", "\n\t"), (body, space) => {
      const asked = JSON.parse(askForUsage(Buffer.from(space + JSON.stringify(body))).toString());
      assert.deepEqual(asked, JSON.parse(JSON.stringify({ ...body, stream_options: { include_usage: true } })));
    }),
  );
});

// proves: paid.counted
test("only the event that says nothing but the usage is taken out, and others keep their bytes", () => {
  const text = { choices: [{ index: 0, delta: { content: 'a "usage" of words' } }], usage: null };
  const last = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage };
  const filtered = { choices: [], prompt_filter_results: [] };
  const whole = `: hello\n\n${sse(text)}${sse(last)}${sse(filtered)}data: {"usage"\n\n`;
  assert.equal(withoutUsage(Buffer.from(whole)).toString(), whole);
  const counted = `${sse(text)}${sse({ choices: [], usage })}data: [DONE]\n\n`;
  assert.equal(withoutUsage(Buffer.from(counted)).toString(), `${sse(text)}data: [DONE]\n\n`);
  assert.equal(withoutUsage(Buffer.from(sse({ choices: [], usage }))).length, 0);
});
