import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { chatAnswerOf, chatSayings } from "../../test/support/chat-sayings.ts";
import { cutAnywhere, makeContext, streamThrough, translated, wholeThrough } from "../../test/support/translation.ts";
import { ollamaChatToChat } from "./ollama-chat-to-chat.ts";
import { ollamaDialect } from "./ollama-dialect.ts";

// biome-ignore lint/suspicious/noExplicitAny: documents of every shape are looked into
type Json = any;

const hi = [{ role: "user", content: "hi" }];
const chat = (request: object) => translated(ollamaChatToChat, { model: "m", messages: hi, ...request });
const translate = (more: object = {}, stepMs = 0) =>
  ollamaChatToChat.translate({ model: "m", messages: hi, ...more }, makeContext({ stepMs }));
const streamed = (documents: readonly object[], more: object = {}): Json[] =>
  streamThrough(translate(more), documents).map(({ data }) => JSON.parse(data));
const chunk = (delta: object, finish: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason: finish }],
});

describe("ollama chat: requests", () => {
  it("stream unless they say that they do not", () => {
    assert.deepEqual(chat({}), { model: "m", messages: hi, stream: true, stream_options: { include_usage: true } });
    assert.deepEqual(chat({ stream: false }), { model: "m", messages: hi, stream: false });
  });

  it("carry their options over, and leave loading to the fleet", () => {
    const options = {
      num_predict: 9,
      temperature: 0,
      top_p: 0.9,
      top_k: 20,
      min_p: 0.05,
      seed: 7,
      stop: ["\n"],
      repeat_penalty: 1.1,
      presence_penalty: 0.5,
      frequency_penalty: 0.2,
      num_ctx: 8_192,
      num_gpu: 1,
    };
    const { num_predict, num_ctx, num_gpu, ...same } = options;
    assert.deepEqual(chat({ options, stream: false, keep_alive: "5m" }), {
      model: "m",
      messages: hi,
      stream: false,
      ...same,
      max_tokens: 9,
      repetition_penalty: 1.1,
    });
    assert.equal(chat({ options: { num_predict: -1 } }).max_tokens, undefined);
  });

  it("find their model with and without its tag", () => {
    const named = (model: string, models: readonly string[]) =>
      JSON.parse(ollamaChatToChat.translate({ model, messages: hi }, makeContext({ models })).body.toString()).model;
    assert.equal(named("llama3", ["llama3"]), "llama3");
    assert.equal(named("llama3", ["llama3:latest"]), "llama3:latest");
    assert.equal(named("llama3:latest", ["llama3"]), "llama3");
    assert.equal(named("llama3:8b", ["llama3"]), "llama3:8b");
    assert.equal(named("other", ["llama3"]), "other");
  });

  it("ask for JSON, thoughts and chances", () => {
    const schema = { type: "object" };
    assert.deepEqual(chat({ format: "json" }).response_format, { type: "json_object" });
    assert.deepEqual(chat({ format: schema }).response_format, {
      type: "json_schema",
      json_schema: { name: "answer", schema },
    });
    assert.equal(chat({ format: "" }).response_format, undefined);
    assert.equal(chat({ think: "high" }).reasoning_effort, "high");
    assert.deepEqual(chat({ think: true }).chat_template_kwargs, { enable_thinking: true });
    assert.deepEqual(chat({ think: false }).chat_template_kwargs, { enable_thinking: false });
    assert.equal(chat({ think: false }).reasoning_effort, "none");
    const { logprobs, top_logprobs } = chat({ logprobs: true, top_logprobs: 3 });
    assert.deepEqual([logprobs, top_logprobs], [true, 3]);
  });

  it("show pictures in whatever they are encoded", () => {
    const images = ["/9j/AA", "iVBORwAA", "R0lGODAA", "UklGRAA", "data:image/bmp;base64,AA"];
    const { messages } = chat({ messages: [{ role: "user", content: "what?", images }] }) as Json;
    assert.deepEqual(messages[0].content[0], { type: "text", text: "what?" });
    assert.deepEqual(
      messages[0].content.slice(1).map((part: Json) => part.image_url.url.slice(0, 15)),
      ["data:image/jpeg", "data:image/png;", "data:image/gif;", "data:image/webp", "data:image/bmp;"],
    );
  });

  it("give calls the ids that Ollama does not have", () => {
    const call = (name: string) => ({ function: { name, arguments: { city: "Bern" } } });
    const messages = [
      ...hi,
      { role: "assistant", content: "", thinking: "Hm.", tool_calls: [call("weather"), call("time")] },
      { role: "tool", content: "noon", tool_name: "time" },
      { role: "tool", content: "sun" },
      { role: "assistant", content: "", tool_calls: [{ id: "x", ...call("time") }] },
      { role: "tool", content: "one", tool_call_id: "x" },
    ];
    const asked = (id: string, name: string) => ({
      id,
      type: "function",
      function: { name, arguments: '{"city":"Bern"}' },
    });
    assert.deepEqual(chat({ messages }).messages, [
      ...hi,
      {
        role: "assistant",
        content: null,
        reasoning_content: "Hm.",
        tool_calls: [asked("call_0", "weather"), asked("call_1", "time")],
      },
      { role: "tool", tool_call_id: "call_1", content: "noon" },
      { role: "tool", tool_call_id: "call_0", content: "sun" },
      { role: "assistant", content: null, tool_calls: [asked("x", "time")] },
      { role: "tool", tool_call_id: "x", content: "one" },
    ]);
    const tools = [{ type: "function", function: { name: "weather" } }];
    assert.deepEqual(chat({ tools }).tools, tools);
  });

  it("are refused with the field at fault", () => {
    const refused = (request: object, code: string, param: string) =>
      assert.throws(() => chat(request), { code, param }, param);
    refused({ model: undefined }, "missing_model", "model");
    refused({ messages: "hi" }, "invalid_request", "messages");
    refused({ messages: [{ content: "hi" }] }, "invalid_request", "messages[0].role");
    refused({ messages: [{ role: "user", content: "", images: [7] }] }, "invalid_request", "messages[0].images[0]");
    refused({ format: 7 }, "invalid_request", "format");
    refused({ think: 7 }, "invalid_request", "think");
    refused({ options: [] }, "invalid_request", "options");
  });
});

describe("ollama chat: answers", () => {
  it("stream words, and end with what was counted and measured", () => {
    const documents = [
      chunk({ role: "assistant", content: "" }),
      chunk({ content: "Hel" }),
      chunk({ content: "lo" }),
      chunk({}, "length"),
      { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } },
    ];
    const answer = streamThrough(translate({}, 10), documents).map(({ data }) => JSON.parse(data));
    assert.deepEqual(answer, [
      {
        model: "m",
        created_at: "2026-01-01T00:00:00.020Z",
        message: { role: "assistant", content: "Hel" },
        done: false,
      },
      {
        model: "m",
        created_at: "2026-01-01T00:00:00.030Z",
        message: { role: "assistant", content: "lo" },
        done: false,
      },
      {
        model: "m",
        created_at: "2026-01-01T00:00:00.050Z",
        message: { role: "assistant", content: "" },
        done: true,
        done_reason: "length",
        total_duration: 40_000_000,
        load_duration: 0,
        prompt_eval_count: 3,
        prompt_eval_duration: 10_000_000,
        eval_count: 2,
        eval_duration: 30_000_000,
      },
    ]);
  });

  it("hold thoughts apart, and calls with objects for arguments", () => {
    const call = { index: 0, id: "a", function: { name: "weather", arguments: '{"city":' } };
    const documents = [
      chunk({ reasoning: "Hm." }),
      chunk({ tool_calls: [call] }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: '"Bern"}' } }] }),
      chunk({}, "tool_calls"),
    ];
    const [thought, called, last] = streamed(documents);
    assert.deepEqual(thought.message, { role: "assistant", content: "", thinking: "Hm." });
    const told = { index: 0, name: "weather", arguments: { city: "Bern" } };
    assert.deepEqual(called.message, { role: "assistant", content: "", tool_calls: [{ id: "a", function: told }] });
    assert.deepEqual([called.done, last.done, last.done_reason], [false, true, "stop"]);
    assert.equal(streamed(documents, { think: false }).length, 2);
  });

  it("break on a call whose arguments are not JSON", () => {
    const documents = [chunk({ tool_calls: [{ index: 0, function: { name: "f", arguments: "{" } }] })];
    assert.throws(() => streamed(documents), { code: "backend_error" });
  });

  it("say errors as a bare sentence", () => {
    const error = { error: { message: "No.", type: "server_error", param: null, code: "backend_error" } } as const;
    assert.deepEqual(ollamaDialect.errorBody(error, 502), { error: "No." });
    assert.deepEqual(ollamaDialect.errorEvent(error, 502), { data: '{"error":"No."}' });
  });

  it("say the same whole as in pieces, wherever they are cut", () => {
    fc.assert(
      fc.property(chatSayings(), fc.infiniteStream(fc.integer({ min: 1, max: 6 })), (saying, lengths) => {
        const pieces = streamed(cutAnywhere(saying, lengths));
        const { created_at: _, ...expected } = wholeThrough(translate({ stream: false }), chatAnswerOf(saying)) as Json;
        const { created_at: __, message: ___, ...counted } = pieces.at(-1);
        const message: Json = { role: "assistant", content: "" };
        for (const piece of pieces) {
          message.content += piece.message.content;
          if (piece.message.thinking !== undefined)
            message.thinking = (message.thinking ?? "") + piece.message.thinking;
          if (piece.message.tool_calls !== undefined) message.tool_calls = piece.message.tool_calls;
        }
        assert.deepEqual({ ...counted, message }, expected);
      }),
      { numRuns: 200 },
    );
  });
});
