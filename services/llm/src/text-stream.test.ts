import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Token } from "node-llama-cpp";
import { chooseToken, seededNumbers } from "./choose-token.ts";
import { createStopMatcher } from "./stop-matcher.ts";
import { createTokenText } from "./token-text.ts";
import { createToolCallReader, writeToolCall } from "./tool-calls.ts";

/** A text cut anywhere. */
const pieces = (text: fc.Arbitrary<string>) =>
  fc.tuple(text, fc.array(fc.nat({ max: 60 }), { maxLength: 10 })).map(([whole, cuts]) => {
    const marks = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
    return { whole, parts: marks.slice(1).map((mark, index) => whole.slice(marks[index], mark)) };
  });

describe("stop texts", () => {
  it("are found wherever pieces cut them, and nothing else is lost", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 40 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(pieces(text), stops, ({ whole, parts }, all) => {
        const matcher = createStopMatcher(all);
        let sent = "";
        let isStopped = false;
        for (const part of parts) {
          const pushed = matcher.push(part);
          sent += pushed.text;
          isStopped ||= pushed.isStopped;
        }
        sent += matcher.flush();
        const first = Math.min(...all.map((stop) => whole.indexOf(stop)).filter((index) => index >= 0));
        assert.equal(isStopped, Number.isFinite(first));
        if (!isStopped) return assert.equal(sent, whole);
        // A short stop text may be complete before a longer one that began earlier is.
        assert.ok(whole.startsWith(sent) && all.every((stop) => !sent.includes(stop)));
      }),
    );
  });
});

describe("token text", () => {
  it("never cuts a character", () => {
    // One token a byte, as byte-level tokenizers fall back to.
    const model = { detokenize: (tokens: readonly Token[]) => Buffer.from(tokens as unknown as number[]).toString() };
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat({ max: 3 }), (whole, cut) => {
        fc.pre(!whole.includes("\uFFFD"));
        const text = createTokenText(model);
        const all = Buffer.from(whole);
        const bytes = all.subarray(0, Math.max(0, all.length - cut));
        const parts = [...bytes].map((byte) => text.push(byte as Token));
        const sent = parts.join("") + text.flush();
        assert.ok(whole.startsWith(sent) && Buffer.byteLength(sent) > bytes.length - 4);
        if (cut === 0) assert.equal(sent, whole);
      }),
    );
  });
});

describe("tool calls", () => {
  const call = fc.record({ name: fc.stringMatching(/^[a-z_]{1,8}$/), value: fc.jsonValue() });
  const calls = fc.array(call, { minLength: 1, maxLength: 3 });
  const read = (parts: readonly string[]) => {
    const reader = createToolCallReader();
    const all = [...parts.map((part) => reader.push(part)), reader.flush()];
    return { content: all.map(({ content }) => content).join(""), calls: all.flatMap((each) => each.calls) };
  };

  it("are read back as they were written, however they are cut", () => {
    fc.assert(
      fc.property(calls, fc.nat({ max: 30 }), (written, step) => {
        const text = written.map(({ name, value }) => writeToolCall(name, JSON.stringify({ value }))).join("\n");
        if (JSON.stringify(written).includes("tool_call>")) return;
        const parts = text.match(new RegExp(`.{1,${step + 1}}`, "gs")) ?? [];
        const { content, calls: found } = read(parts);
        assert.equal(content, "");
        assert.deepEqual(
          found.map((each) => [each.function.name, each.function.arguments]),
          written.map(({ name, value }) => [name, JSON.stringify({ value })]),
        );
      }),
    );
  });

  it("are told from text", () => {
    fc.assert(
      fc.property(pieces(fc.string().filter((text) => !text.startsWith("<tool_call>"))), ({ whole, parts }) => {
        assert.deepEqual(read(parts), { content: whole, calls: [] });
      }),
    );
  });

  it("come out as far as they got when the answer is cut off", () => {
    const { calls: found } = read(['<tool_call>\n{"name": "f", "arguments": {"city": "Ro']);
    assert.equal(found[0]?.function.arguments, '{"city": "Ro');
    assert.deepEqual(read(['<tool_call>\n{"na']), { content: "", calls: [] });
  });
});

describe("choosing a token", () => {
  const distribution = new Map([
    ["a", 0.5],
    ["b", 0.3],
    ["c", 0.15],
    ["d", 0.05],
  ]);
  const base = { temperature: 1, topP: 1, topK: 0, minP: 0, seed: 1, frequencyPenalty: 0, presencePenalty: 0 };
  const chosen = (sampling: Partial<typeof base>) => {
    const random = seededNumbers(7);
    return new Set(Array.from({ length: 500 }, () => chooseToken(distribution, { ...base, ...sampling }, random)));
  };

  it("obeys each limit", () => {
    assert.deepEqual(chosen({}), new Set(["a", "b", "c", "d"]));
    assert.deepEqual(chosen({ temperature: 0 }), new Set(["a"]));
    assert.deepEqual(chosen({ topK: 2 }), new Set(["a", "b"]));
    assert.deepEqual(chosen({ topP: 0.7 }), new Set(["a", "b"]));
    assert.deepEqual(chosen({ minP: 0.2 }), new Set(["a", "b", "c"]));
  });

  it("chooses as often as is likely", () => {
    const random = seededNumbers(3);
    const count = Array.from({ length: 4_000 }, () => chooseToken(distribution, base, random)).filter(
      (t) => t === "a",
    ).length;
    assert.ok(Math.abs(count / 4_000 - 0.5) < 0.03);
  });
});
