import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeContext, streamThrough, translated, wholeThrough } from "../../test/support/translation.ts";
import { ollamaEmbed, ollamaEmbeddings } from "./ollama-embed.ts";
import { ollamaGenerateToChat, ollamaGenerateToCompletions } from "./ollama-generate.ts";
import { ollamaIdleAnswer } from "./ollama-idle-answer.ts";

const whole = (translator: typeof ollamaEmbed, request: object, answer: object) =>
  wholeThrough(translator.translate({ model: "m", ...request }, makeContext({ stepMs: 10 })), answer);

describe("ollama generate", () => {
  const request = { model: "m", prompt: "hi", stream: false };

  it("is a chat with one message, or a completion where nothing may stand around the prompt", () => {
    for (const bare of [{ raw: true }, { suffix: "end" }]) {
      assert.equal(ollamaGenerateToChat.suits?.({ ...request, ...bare }), false);
      assert.equal(ollamaGenerateToCompletions.suits?.({ ...request, ...bare }), true);
    }
    assert.equal(ollamaGenerateToChat.suits?.({ ...request, suffix: "" }), true);
    assert.deepEqual(
      translated(ollamaGenerateToChat, { ...request, system: "Be brief.", images: ["/9j/A"], format: "json" }),
      {
        model: "m",
        stream: false,
        messages: [
          { role: "system", content: "Be brief." },
          {
            role: "user",
            content: [
              { type: "text", text: "hi" },
              { type: "image_url", image_url: { url: "data:image/jpeg;base64,/9j/A" } },
            ],
          },
        ],
        response_format: { type: "json_object" },
      },
    );
    assert.deepEqual(
      translated(ollamaGenerateToCompletions, { ...request, suffix: "end", options: { num_predict: 3 } }),
      {
        model: "m",
        stream: false,
        max_tokens: 3,
        prompt: "hi",
        suffix: "end",
      },
    );
  });

  it("refuses what would change the answer without being heard", () => {
    for (const translator of [ollamaGenerateToChat, ollamaGenerateToCompletions]) {
      for (const [param, value] of Object.entries({ template: "{{ .Prompt }}", context: [1, 2] })) {
        const translate = () => translated(translator, { ...request, [param]: value });
        assert.throws(translate, { code: "unsupported_feature", param });
      }
      assert.ok(translated(translator, { ...request, template: "", context: [] }));
    }
    const withImage = () => translated(ollamaGenerateToCompletions, { ...request, raw: true, images: ["/9j/A"] });
    assert.throws(withImage, { code: "unsupported_feature", param: "images" });
  });

  it("answers with bare text, out of either", () => {
    const usage = { prompt_tokens: 1, completion_tokens: 2 };
    const message = { role: "assistant", content: "Hello", reasoning_content: "Hm." };
    const chat = whole(ollamaGenerateToChat, request, {
      choices: [{ index: 0, message, finish_reason: "stop" }],
      usage,
    });
    const expected = {
      model: "m",
      created_at: "2026-01-01T00:00:00.030Z",
      response: "Hello",
      done: true,
      done_reason: "stop",
      total_duration: 20_000_000,
      load_duration: 0,
      prompt_eval_count: 1,
      prompt_eval_duration: 0,
      eval_count: 2,
      eval_duration: 20_000_000,
    };
    assert.deepEqual(chat, { ...expected, thinking: "Hm." });
    const choice = { index: 0, text: "Hello", finish_reason: "stop" };
    assert.deepEqual(whole(ollamaGenerateToCompletions, request, { choices: [choice], usage }), expected);
    const stream = ollamaGenerateToCompletions.translate({ ...request, stream: true }, makeContext());
    const events = streamThrough(stream, [
      { choices: [{ ...choice, text: "Hel", finish_reason: null }] },
      { choices: [{ ...choice, text: "lo" }] },
    ]);
    assert.deepEqual(
      events.map(({ data }) => JSON.parse(data).response),
      ["Hel", "lo", ""],
    );
  });
});

describe("ollama embed", () => {
  const answer = {
    data: [
      { index: 0, embedding: [1, 2] },
      { index: 1, embedding: [3, 4] },
    ],
    usage: { prompt_tokens: 5, total_tokens: 5 },
  };

  it("makes vectors of one text or several", () => {
    assert.deepEqual(translated(ollamaEmbed, { model: "m", input: ["a", "b"], dimensions: 2, truncate: true }), {
      model: "m",
      input: ["a", "b"],
      dimensions: 2,
      encoding_format: "float",
    });
    assert.deepEqual(whole(ollamaEmbed, { input: "a" }, answer), {
      model: "m",
      embeddings: [
        [1, 2],
        [3, 4],
      ],
      total_duration: 10_000_000,
      load_duration: 0,
      prompt_eval_count: 5,
    });
    assert.deepEqual(translated(ollamaEmbeddings, { model: "m", prompt: "a" }).input, "a");
    assert.deepEqual(whole(ollamaEmbeddings, { prompt: "a" }, answer), { embedding: [1, 2] });
  });

  it("refuses what is no text, and answers that are none", () => {
    assert.throws(() => translated(ollamaEmbed, { model: "m", input: [7] }), {
      code: "invalid_request",
      param: "input",
    });
    assert.throws(() => translated(ollamaEmbeddings, { model: "m" }), { code: "invalid_request", param: "prompt" });
    for (const bad of [{}, { data: [{ embedding: "AAAA" }] }]) {
      assert.throws(() => whole(ollamaEmbed, { input: "a" }, bad), { code: "backend_error" });
    }
  });
});

describe("ollama: requests that ask for nothing", () => {
  const idle = (operation: Parameters<typeof ollamaIdleAnswer>[0], request: object) =>
    ollamaIdleAnswer(operation, { model: "m", ...request }, makeContext());

  it("are answered at once", () => {
    const head = { model: "m", created_at: "2026-01-01T00:00:00.000Z" };
    assert.deepEqual(idle("ollama.chat", { messages: [] }), {
      document: { ...head, message: { role: "assistant", content: "" }, done: true, done_reason: "load" },
      isStreamed: true,
    });
    assert.deepEqual(idle("ollama.generate", { prompt: "", keep_alive: 0, stream: false }), {
      document: { ...head, response: "", done: true, done_reason: "unload" },
      isStreamed: false,
    });
    assert.deepEqual(idle("ollama.embed", { input: [] })?.document, { model: "m", embeddings: [] });
  });

  it("are told from those that ask for something", () => {
    assert.equal(idle("ollama.chat", { messages: [{ role: "user", content: "" }] }), undefined);
    assert.equal(idle("ollama.generate", { prompt: "hi" }), undefined);
    assert.equal(idle("ollama.generate", { images: ["/9j/A"] }), undefined);
    assert.equal(idle("ollama.embed", { input: "a" }), undefined);
    assert.throws(() => ollamaIdleAnswer("ollama.chat", {}, makeContext()), { code: "missing_model" });
  });
});
