import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AnswerSoFar, ContinuationFilter, canContinue, continueRequest } from "./continue-stream.ts";

type Delta = Record<string, unknown>;

const chunk = (delta: Delta, rest: object = {}, choice: object = {}) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta, finish_reason: null, ...choice }],
  ...rest,
});
const said = (content: string, rest: object = {}) => chunk({ content }, rest);
const introduction = (rest: object = {}) => chunk({ role: "assistant", content: "" }, rest);
const events = (...chunks: readonly unknown[]) =>
  Buffer.from(chunks.map((each) => `data: ${typeof each === "string" ? each : JSON.stringify(each)}\n\n`).join(""));

function soFar(...chunks: readonly unknown[]): AnswerSoFar {
  const answer = new AnswerSoFar();
  for (const each of chunks) answer.push(events(each));
  return answer;
}

const request = (rest: object = {}) =>
  Buffer.from(JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "hi ]}" }], ...rest }));

function continued(body: Buffer, answer: AnswerSoFar): Record<string, unknown> | string {
  const result = continueRequest(body, answer);
  return "refusal" in result ? result.refusal : (JSON.parse(result.body.toString()) as Record<string, unknown>);
}

/** What the client has read: parsed data of every event but comments. */
function read(bytes: Buffer): readonly (ReturnType<typeof chunk> & { usage?: Record<string, number> })[] {
  const data = bytes
    .toString()
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"));
  return data.map((event) => JSON.parse(event.slice(6)) as ReturnType<typeof chunk>);
}

describe("AnswerSoFar", () => {
  it("collects the text, counts its tokens and remembers who speaks", () => {
    const answer = soFar(introduction(), said("Hel"), said("lo"));
    assert.deepEqual([answer.text, answer.tokens, answer.refusal], ["Hello", 2, undefined]);
    assert.deepEqual(answer.head, { id: "chatcmpl-1", model: "m", created: 1 });
  });

  it("believes the server's own count when it is higher", () => {
    assert.equal(soFar(said("Hello"), said(" you", { usage: { completion_tokens: 7 } })).tokens, 7);
    assert.equal(soFar(said("Hello"), said(" you", { usage: { completion_tokens: 0 } })).tokens, 2);
  });

  it("reads events in either line ending and passes over what is no data", () => {
    const answer = new AnswerSoFar();
    answer.push(
      Buffer.from(
        `: comment\r\n\r\nevent: x\r\ndata: ${JSON.stringify(said("a"))}\r\n\r\ndata:${JSON.stringify(said("b"))}\n\n`,
      ),
    );
    assert.deepEqual([answer.text, answer.refusal], ["ab", undefined]);
  });

  const refused: Record<string, readonly unknown[]> = {
    "there was more than text (tool_calls)": [said("a"), chunk({ tool_calls: [{ index: 0 }] })],
    "there was more than text (reasoning_content)": [chunk({ reasoning_content: "hm" })],
    "there were log probabilities": [chunk({ content: "a" }, {}, { logprobs: { content: [] } })],
    "there was more than one choice": [chunk({ content: "a" }, {}, { index: 1 })],
    "the answer was complete": [said("a"), chunk({}, {}, { finish_reason: "stop" })],
    "the instance reported an error": [{ error: { message: "out of memory" } }],
    "an event could not be read": ["{"],
    "the answer is too long": [said("x".repeat(1_000_001))],
  };
  for (const [reason, chunks] of Object.entries(refused)) {
    it(`refuses where ${reason}`, () => assert.equal(soFar(...chunks, said("more")).refusal, reason));
  }

  it("takes null and empty members for nothing, as servers send them", () => {
    const nothing = { tool_calls: [], reasoning_content: null, refusal: null, audio: undefined };
    assert.equal(soFar(chunk({ ...nothing, content: "a" }, {}, { logprobs: null })).refusal, undefined);
    assert.equal(soFar(said("a"), "[DONE]").refusal, "the answer was complete");
  });
});

describe("continueRequest", () => {
  it("appends what was said, asks to go on with it, and allows fewer tokens", () => {
    const body = request({ max_tokens: 10, max_completion_tokens: 12, seed: 12345678901234567890n.toString() });
    assert.deepEqual(continued(body, soFar(introduction(), said(" Hel"), said("lo "))), {
      continue_final_message: true,
      add_generation_prompt: false,
      model: "m",
      stream: true,
      messages: [
        { role: "user", content: "hi ]}" },
        { role: "assistant", content: " Hello" },
      ],
      max_tokens: 8,
      max_completion_tokens: 10,
      seed: "12345678901234567890",
    });
  });

  it("changes nothing where nothing was said yet, and leaves every other byte as it is", () => {
    assert.deepEqual(continueRequest(request(), soFar(introduction())), { body: request() });
    const odd = Buffer.from(
      '\n { "seed" : 123456789012345678901 , "messages" :[ {"role":"user","content":"\\u0041"} ] }\t',
    );
    const result = continueRequest(odd, soFar(said("B")));
    assert.ok("body" in result);
    assert.equal(
      result.body.toString(),
      '\n {"continue_final_message":true,"add_generation_prompt":false, "seed" : 123456789012345678901 , "messages" :[ {"role":"user","content":"\\u0041"} ,{"role":"assistant","content":"B"}] }\t',
    );
  });

  const refused: Record<string, object> = {
    "the request has 'n'": { n: 2 },
    "the request has 'logprobs'": { logprobs: true },
    "the request has 'response_format'": { response_format: { type: "json_schema" } },
    "the request has 'guided_json'": { guided_json: {} },
    "the request has 'continue_final_message'": { continue_final_message: false },
    "no tokens are left": { max_tokens: 1 },
    "the client continues a message of its own": { messages: [{ role: "user" }, { role: "assistant", content: "So" }] },
    "the request has no messages": { messages: [] },
  };
  for (const [reason, rest] of Object.entries(refused)) {
    it(`refuses where ${reason}`, () => assert.equal(continued(request(rest), soFar(said("a"))), reason));
  }

  it("refuses what two parsers could read differently, and what the answer refuses", () => {
    const twice = Buffer.from('{"messages":[{"role":"user"}],"mess\\u0061ges":[{"role":"user"}]}');
    assert.equal(continued(twice, soFar(said("a"))), "a field of the request appears twice");
    assert.equal(continued(request(), soFar("{")), "an event could not be read");
  });

  it("does not mind members that say what is the default", () => {
    const plain = { n: 1, logprobs: false, response_format: { type: "text" }, top_logprobs: null, max_tokens: -1 };
    assert.equal(typeof continued(request(plain), soFar(said("a"))), "object");
  });

  it("makes the same request as one who parses and writes it anew", () => {
    const extra = fc.dictionary(
      fc.string().map((name) => `x_${name}`),
      fc.jsonValue({ depthSize: "small" }),
      { maxKeys: 4 },
    );
    const texts = fc.array(fc.string({ minLength: 1, unit: "binary" }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(extra, texts, fc.integer({ min: 6, max: 99 }), (rest, pieces, limit) => {
        const body = Buffer.from(
          JSON.stringify({ ...rest, messages: [{ role: "user", content: "q" }], max_tokens: limit }),
        );
        const content = pieces.join("").toWellFormed().trimEnd();
        const answer = soFar(...pieces.map((piece) => said(piece.toWellFormed())));
        if (answer.text.trimEnd() !== content || content === "") return;
        const expected = JSON.parse(body.toString()) as Record<string, unknown>;
        expected.messages = [
          { role: "user", content: "q" },
          { role: "assistant", content },
        ];
        expected.max_tokens = limit - answer.tokens;
        Object.assign(expected, { continue_final_message: true, add_generation_prompt: false });
        assert.deepEqual(continued(body, answer), expected);
      }),
      { numRuns: 50 },
    );
  });
});

describe("ContinuationFilter", () => {
  const other = { id: "chatcmpl-2", model: "n", created: 2 };

  it("makes the rest of the same id and model, without a second introduction", () => {
    const filter = new ContinuationFilter(soFar(introduction(), said("Hel")));
    const rest = filter.push(
      events(
        introduction(other),
        chunk({ role: "assistant", content: "lo" }, other),
        chunk({}, other, { finish_reason: "stop" }),
        "[DONE]",
      ),
    );
    assert.deepEqual(read(rest), [said("lo"), chunk({}, {}, { finish_reason: "stop" })]);
    assert.ok(rest.toString().endsWith("data: [DONE]\n\n"));
  });

  it("counts usage over both", () => {
    const filter = new ContinuationFilter(soFar(said("a"), said("b")));
    const usage = { prompt_tokens: 12, completion_tokens: 5, total_tokens: 17 };
    const [last] = read(filter.push(events({ ...other, choices: [], usage })));
    assert.deepEqual(last?.usage, { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 });
  });

  it("says white space once that both sides may have said", () => {
    const rest = (...pieces: readonly string[]) => {
      const filter = new ContinuationFilter(soFar(said("a \n")));
      return read(filter.push(events(...pieces.map((piece) => said(piece))))).map(
        ({ choices }) => choices[0]?.delta.content,
      );
    };
    assert.deepEqual(rest(" ", "\nb", " c"), ["", "b", " c"]);
    assert.deepEqual(rest("b", " \nc"), ["b", " \nc"]);
    assert.deepEqual(rest("\nb"), ["\nb"]);
  });

  it("keeps the introduction where there was none yet, and passes errors and what it cannot read", () => {
    assert.equal(read(new ContinuationFilter(soFar()).push(events(introduction(other)))).length, 1);
    assert.equal(read(new ContinuationFilter(soFar(introduction())).push(events(introduction(other)))).length, 0);
    const passed = new ContinuationFilter(soFar(said("a"))).push(events({ error: { message: "no" } }, "{"));
    assert.equal(passed.toString(), 'data: {"error":{"message":"no"}}\n\ndata: {\n\n');
  });

  it("joins to the whole answer wherever the stream is cut, however often", () => {
    const pieces = fc.array(fc.constantFrom("Hel", "lo", " ", "\n", "you", "ü", " there"), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(pieces, fc.array(fc.nat(20), { maxLength: 3 }), (words, cuts) => {
        const answer = new AnswerSoFar();
        let left = words;
        let out = Buffer.alloc(0);
        for (const [turn, cut] of [...cuts.map((at) => Math.min(at, left.length)), words.length].entries()) {
          const filter = turn === 0 ? undefined : new ContinuationFilter(answer);
          // The next instance was told the text without its white space, and says that again.
          const told = answer.text.trimEnd();
          const rest = words.join("").slice(told.length);
          const sent = turn === 0 ? left.slice(0, cut) : [...rest].slice(0, cut === words.length ? undefined : cut);
          const stream = events(
            introduction({ id: `chatcmpl-${turn}` }),
            ...sent.map((word) => said(word, { id: `chatcmpl-${turn}` })),
          );
          const passed = filter?.push(stream) ?? stream;
          answer.push(passed);
          out = Buffer.concat([out, passed]);
          left = left.slice(cut);
        }
        const seen = read(out);
        const text = seen.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
        assert.equal(text, words.join(""));
        assert.equal(new Set(seen.map(({ id }) => id)).size, 1);
        assert.equal(seen.filter(({ choices }) => "role" in (choices[0]?.delta ?? {})).length, 1);
      }),
    );
  });
});

it("only servers that go on with a message are asked to", () => {
  assert.deepEqual(["vllm", "llama-cpp", "ollama", "openai-compatible"].map(canContinue), [true, true, false, false]);
});
