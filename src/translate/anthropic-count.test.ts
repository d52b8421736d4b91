import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { estimateInputTokens } from "./anthropic-count.ts";
import { estimateTokens, estimateTokensSoon } from "./estimate-tokens.ts";

/** Texts with the least and the most tokens that o200k, cl100k, Llama 3 and Claude 2 make of them. */
const measured: readonly (readonly [text: string, least: number, most: number])[] = [
  ["The quick brown fox jumps over the lazy dog. It was not amused, and it said so to everybody who came by.", 25, 25],
  ['{"name": "tiny", "size": 1048576, "tags": ["a", "b"], "nested": {"ok": true, "none": null}}', 35, 36],
  ["for (let index = 0; index < items.length; index++) {\n  total += items[index].price * 1.19;\n}\n", 30, 32],
  ["今天的天气很好,我们去公园散步吧。", 13, 21],
  ["Сегодня очень хорошая погода, пойдём гулять в парк.", 15, 31],
];

// proves: anthropic.count-tokens
describe("estimateTokens", () => {
  it("is within a quarter of what tokenizers count", () => {
    for (const [text, least, most] of measured) {
      const tokens = estimateTokens(text);
      assert.ok(tokens >= least * 0.75 && tokens <= most * 1.25, `${tokens} for ${least} to ${most}: ${text}`);
    }
  });

  it("grows with its text, and takes a time that grows no faster", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (one, two) => {
        const both = estimateTokens(`${one}\n${two}`);
        assert.ok(both >= Math.max(estimateTokens(one), estimateTokens(two)));
        assert.ok(both <= estimateTokens(one) + estimateTokens(two) + 2);
      }),
    );
    assert.equal(estimateTokens(""), 0);
    assert.ok(estimateTokens("A".repeat(1_000_000)) > 100_000);
  });
});

// proves: anthropic.count-tokens
describe("estimateTokensSoon", () => {
  it("says the same of short texts, and nearly the same of long ones that are alike", () => {
    for (const [text] of measured) {
      assert.equal(estimateTokensSoon(text), estimateTokens(text));
      const long = `${text}\n`.repeat(2_000);
      const [soon, exact] = [estimateTokensSoon(long), estimateTokens(long)];
      assert.ok(Math.abs(soon - exact) < exact * 0.05, `${soon} for ${exact}: ${text}`);
    }
  });

  it("sees the parts of a long text that differ", () => {
    const long = `${"word ".repeat(20_000)}${"今天的天气很好".repeat(15_000)}`;
    const exact = estimateTokens(long);
    assert.ok(Math.abs(estimateTokensSoon(long) - exact) < exact * 0.1);
  });

  it("takes no longer for a longer text", () => {
    const long = "a word, ".repeat(2_000_000);
    const before = process.threadCpuUsage();
    estimateTokensSoon(long);
    const { user, system } = process.threadCpuUsage(before);
    assert.ok(user + system < 200_000, `${user + system} µs of the processor's time`);
  });
});

// proves: anthropic.count-tokens
describe("estimateInputTokens", () => {
  const count = (request: object) => estimateInputTokens({ model: "tiny", messages: hi, ...request });
  const hi = [{ role: "user", content: "Hi" }];
  const words = readFileSync(new URL("./anthropic-count.ts", import.meta.url), "utf8");
  const wordTokens = estimateTokens(words);

  it("counts everything that the model will read", () => {
    const alone = count({});
    assert.ok(alone >= 2 && alone < 10);
    assert.ok(count({ system: words }) >= alone + wordTokens);
    assert.ok(count({ tools: [{ name: "f", description: words, input_schema: {} }] }) >= alone + wordTokens);
    const call = { type: "tool_use", id: "1", name: "f", input: { words } };
    const thought = { type: "thinking", thinking: words, signature: "" };
    const result = { type: "tool_result", tool_use_id: "1", content: words };
    const work = [...hi, { role: "assistant", content: [thought, call] }, { role: "user", content: [result] }];
    assert.ok(count({ messages: work }) >= alone + 3 * wordTokens);
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "A".repeat(100_000) } };
    const seen = count({ messages: [{ role: "user", content: [image] }] });
    assert.ok(seen >= 1_500 && seen < 2_000);
    const pdf = { type: "document", source: { ...image.source, media_type: "application/pdf" } };
    assert.ok(count({ messages: [{ role: "user", content: [pdf] }] }) >= 3_000);
  });

  it("counts no marks of the cache, and refuses what the model would not get", () => {
    const tool = { name: "f", input_schema: {} };
    assert.equal(count({ tools: [{ ...tool, cache_control: { type: "ephemeral" } }] }), count({ tools: [tool] }));
    assert.throws(() => count({ model: 1 }), { code: "missing_model" });
    assert.throws(() => count({ messages: 1 }), { code: "invalid_request", param: "messages" });
  });
});
