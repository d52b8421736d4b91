import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { makeContext } from "../../test/support/translation.ts";
import { anthropicToChat } from "./anthropic-to-chat.ts";
import { chatToAnthropic } from "./chat-to-anthropic.ts";

type Json = Record<string, unknown>;

const hi = [{ role: "user", content: "Hi" }];

function asked(request: object): Json {
  const body = { model: "tiny", max_tokens: 100, messages: hi, ...request };
  return JSON.parse(anthropicToChat.translate(body, makeContext()).body.toString()) as Json;
}

function messagesOf(...messages: object[]): Json[] {
  return asked({ messages }).messages as Json[];
}

const user = (...content: object[]) => ({ role: "user", content });
const assistant = (...content: object[]) => ({ role: "assistant", content });
const text = (words: string) => ({ type: "text", text: words });
const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } };
const imagePart = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
const call = { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Paris" } };
const chatCall = { id: "toolu_1", type: "function", function: { name: "weather", arguments: '{"city":"Paris"}' } };
const tool = { name: "weather", description: "Of a city", input_schema: { type: "object" }, cache_control: {} };

// proves: clients.anthropic
describe("a request of Anthropic's as a chat completion", () => {
  it("has the same model, limit and words", () => {
    assert.deepEqual(asked({ temperature: 0, top_p: 0.5, top_k: 3, stop_sequences: ["END"], service_tier: "auto" }), {
      model: "tiny",
      max_tokens: 100,
      temperature: 0,
      top_p: 0.5,
      top_k: 3,
      stop: ["END"],
      messages: hi,
      stream: false,
    });
    assert.deepEqual(asked({ stream: true }).stream_options, { include_usage: true });
    assert.equal(asked({ metadata: { user_id: "u".repeat(200) } }).user, "u".repeat(64));
  });

  it("puts the system prompt first, without the line for Anthropic's accounting", () => {
    const system = [text("x-anthropic-billing-header: cc_version=1; cch=ab12;"), text("Be brief."), text("Be kind.")];
    assert.deepEqual((asked({ system }).messages as Json[])[0], { role: "system", content: "Be brief.\nBe kind." });
    assert.deepEqual((asked({ system: "Be brief." }).messages as Json[])[0], { role: "system", content: "Be brief." });
    assert.deepEqual(asked({ system: "" }).messages, hi);
    assert.deepEqual(messagesOf(...hi, { role: "system", content: "Be kind." }).at(-1), {
      role: "system",
      content: "Be kind.",
    });
  });

  it("takes images, documents and search results", () => {
    const url = { type: "image", source: { type: "url", url: "https://example.org/cat.png" } };
    const plain = { type: "document", title: "A", source: { type: "text", media_type: "text/plain", data: "Hello" } };
    const nested = { type: "document", source: { type: "content", content: [text("In"), image] } };
    const pdf = { type: "document", source: { type: "base64", media_type: "application/pdf", data: "BBBB" } };
    const found = { type: "search_result", title: "T", source: "https://example.org", content: [text("Found")] };
    assert.deepEqual(messagesOf(user(image, url, plain, nested, pdf, found)), [
      {
        role: "user",
        content: [
          imagePart,
          { type: "image_url", image_url: { url: "https://example.org/cat.png" } },
          text("A"),
          text("Hello"),
          text("In"),
          imagePart,
          { type: "file", file: { filename: "document.pdf", file_data: "data:application/pdf;base64,BBBB" } },
          text("T\nhttps://example.org"),
          text("Found"),
        ],
      },
    ]);
    assert.deepEqual(messagesOf(user(plain)), [{ role: "user", content: "A\nHello" }]);
  });

  it("answers each call with a message of its own, before what was said besides", () => {
    const result = (content: unknown, more: object = {}) => ({
      type: "tool_result",
      tool_use_id: "toolu_1",
      content,
      ...more,
    });
    const messages = messagesOf(
      ...hi,
      assistant(text("I look."), call),
      user(text("Hurry."), result([text("Sun"), image]), result("down", { is_error: true }), result(undefined)),
    );
    assert.deepEqual(messages.slice(1), [
      { role: "assistant", content: "I look.", tool_calls: [chatCall] },
      { role: "tool", tool_call_id: "toolu_1", content: "Sun" },
      { role: "tool", tool_call_id: "toolu_1", content: "Error: down" },
      { role: "tool", tool_call_id: "toolu_1", content: "" },
      { role: "user", content: [text("Shown by the tool call toolu_1:"), imagePart, text("Hurry.")] },
    ]);
  });

  it("makes one turn of neighbours", () => {
    assert.deepEqual(messagesOf(user(text("a")), user(text("b")), assistant(text("c")), assistant(text("d"))), [
      { role: "user", content: "a\nb" },
      { role: "assistant", content: "cd" },
    ]);
  });

  it("gives a model its thoughts back while it works with tools, not those of earlier turns", () => {
    const thought = { type: "thinking", thinking: "Hm", signature: "unsigned" };
    const redacted = { type: "redacted_thinking", data: "x" };
    const result = { type: "tool_result", tool_use_id: "toolu_1", content: "Sun" };
    const [, atWork] = messagesOf(...hi, assistant(thought, redacted, call), user(result));
    assert.deepEqual(atWork, {
      role: "assistant",
      content: null,
      reasoning_content: "Hm",
      tool_calls: [chatCall],
    });
    const [, earlier] = messagesOf(...hi, assistant(thought, text("Yes")), user(text("And now?")));
    assert.deepEqual(earlier, { role: "assistant", content: "Yes" });
  });

  it("offers tools and says which to choose", () => {
    const { tools, tool_choice: unchosen } = asked({ tools: [tool, { ...tool, type: "custom", strict: true }] });
    const told = { name: "weather", description: "Of a city", parameters: { type: "object" } };
    assert.deepEqual(tools, [
      { type: "function", function: told },
      { type: "function", function: { ...told, strict: true } },
    ]);
    assert.equal(unchosen, undefined);
    const choice = (tool_choice: object) => {
      const request = asked({ tools: [tool], tool_choice });
      return [request.tool_choice, request.parallel_tool_calls];
    };
    assert.deepEqual(choice({ type: "auto", disable_parallel_tool_use: true }), ["auto", false]);
    assert.deepEqual(choice({ type: "any" }), ["required", undefined]);
    assert.deepEqual(choice({ type: "none" }), ["none", undefined]);
    assert.deepEqual(choice({ type: "tool", name: "weather" }), [
      { type: "function", function: { name: "weather" } },
      undefined,
    ]);
  });

  it("says how much to think", () => {
    const effort = (request: object) => {
      const { reasoning_effort: level, chat_template_kwargs: template } = asked(request);
      return [level, (template as Json | undefined)?.enable_thinking];
    };
    const budget = (tokens: number) => effort({ thinking: { type: "enabled", budget_tokens: tokens } });
    assert.deepEqual(effort({}), [undefined, undefined]);
    assert.deepEqual([budget(20), budget(50), budget(80)].flat(), ["low", true, "medium", true, "high", true]);
    assert.deepEqual(effort({ thinking: { type: "disabled" } }), ["none", false]);
    assert.deepEqual(effort({ thinking: { type: "adaptive" } }), [undefined, true]);
    assert.deepEqual(effort({ thinking: { type: "adaptive" }, output_config: { effort: "max" } }), ["high", true]);
    assert.deepEqual(effort({ output_config: { effort: "low" } }), ["low", undefined]);
  });

  it("asks for the JSON of a schema", () => {
    const format = { type: "json_schema", schema: { type: "object" } };
    const wanted = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: { type: "object" } } };
    assert.deepEqual(asked({ output_config: { format } }).response_format, wanted);
    assert.deepEqual(asked({ output_format: format }).response_format, wanted);
  });

  it("refuses what cannot be translated, by its name", () => {
    const cases: readonly (readonly [request: object, code: string, param: string])[] = [
      [{ max_tokens: undefined }, "invalid_request", "max_tokens"],
      [{ max_tokens: 0 }, "unsupported_feature", "max_tokens"],
      [{ model: "" }, "missing_model", "model"],
      [{ messages: [] }, "invalid_request", "messages"],
      [{ messages: [{ role: "user" }] }, "invalid_request", "messages[0].content"],
      [{ messages: [{ role: "tool", content: "x" }] }, "invalid_request", "messages[0].role"],
      [{ messages: [user({ type: "hologram" })] }, "unsupported_feature", "messages[0].content[0].type"],
      [
        { messages: [user({ type: "image", source: { type: "file", file_id: "x" } })] },
        "unsupported_feature",
        "messages[0].content[0].source.type",
      ],
      [
        { messages: [...hi, assistant({ type: "server_tool_use" })] },
        "unsupported_feature",
        "messages[1].content[0].type",
      ],
      [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, "unsupported_feature", "tools[0].type"],
      [{ tools: [{ name: "f" }] }, "invalid_request", "tools[0].input_schema"],
      [{ mcp_servers: [{}] }, "unsupported_feature", "mcp_servers"],
      [{ container: "c" }, "unsupported_feature", "container"],
      [{ thinking: { type: "wild" } }, "invalid_request", "thinking.type"],
      [{ tools: [tool], tool_choice: { type: "all" } }, "invalid_request", "tool_choice.type"],
    ];
    for (const [request, code, param] of cases) assert.throws(() => asked(request), { code, param });
  });

  it("keeps the meaning of a conversation from chat to Anthropic and back", () => {
    fc.assert(
      fc.property(conversations(), (messages) => {
        const request = { model: "claude-sonnet-4-5", max_tokens: 50, messages };
        const there = chatToAnthropic.translate(request, makeContext());
        const back = asked(JSON.parse(there.body.toString()) as Json);
        assert.deepEqual(back.messages, messages);
      }),
      { numRuns: 300 },
    );
  });
});

/** Conversations of chat completions in the one way of writing them that both translations arrive at. */
function conversations(): fc.Arbitrary<readonly Json[]> {
  const words = fc.string({ unit: "grapheme", minLength: 1 }).filter((each) => each.trim() !== "");
  const question = fc.oneof(
    words,
    words.map((said) => [text(said), imagePart]),
  );
  const input = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 2 });
  const work = fc.record({
    said: fc.option(words),
    inputs: fc.array(input, { minLength: 1, maxLength: 3 }),
    result: words,
  });
  const turn = fc.record({ question, works: fc.array(work, { maxLength: 2 }), answer: words });
  return fc
    .record({ system: fc.option(words), turns: fc.array(turn, { maxLength: 3 }), question })
    .map((talk) => [
      ...(talk.system === null ? [] : [{ role: "system", content: talk.system }]),
      ...talk.turns.flatMap(({ question: asked, works, answer }, index) => [
        { role: "user", content: asked },
        ...works.flatMap((each, place) => workMessages(each, `call_${index}_${place}`)),
        { role: "assistant", content: answer },
      ]),
      { role: "user", content: talk.question },
    ]);
}

function workMessages(work: { said: string | null; inputs: readonly Json[]; result: string }, id: string): Json[] {
  const calls = work.inputs.map((input, index) => ({
    id: `${id}_${index}`,
    type: "function",
    function: { name: "weather", arguments: JSON.stringify(input) },
  }));
  return [
    { role: "assistant", content: work.said, tool_calls: calls },
    ...calls.map(({ id: answered }) => ({ role: "tool", tool_call_id: answered, content: work.result })),
  ];
}
