import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { systemClock } from "../../src/base/clock.ts";
import { NexusError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { operationById } from "../../src/contract/operations.ts";
import { type AskedOperation, readJsonAsk } from "../../src/gateway/ask.ts";
import { ClientAnswer } from "../../src/gateway/client-answer.ts";
import type { ClientReply, ClientRequest } from "../../src/gateway/client-io.ts";
import { Exchange } from "../../src/gateway/exchange.ts";
import { StreamRelay } from "../../src/gateway/stream-relay.ts";
import { translators } from "../../src/gateway/translators.ts";
import type { UpstreamAnswer } from "../../src/gateway/upstream-call.ts";
import { anthropicDialect } from "../../src/translate/anthropic-dialect.ts";
import { ollamaChatToChat } from "../../src/translate/ollama-chat-to-chat.ts";
import { ollamaDialect } from "../../src/translate/ollama-dialect.ts";
import { ollamaGenerateToChat } from "../../src/translate/ollama-generate.ts";
import { openaiDialect } from "../../src/translate/openai-dialect.ts";
import type { ClientDialect, Translator } from "../../src/translate/translation.ts";
import { anthropicEventsOf, anthropicMessageOf } from "../support/anthropic-messages.ts";
import { type ChatSaying, chatChunksOf, chatSayings } from "../support/chat-sayings.ts";
import { randomFrom } from "../support/random.ts";
import { scenarioMs, sized } from "../support/size.ts";
import { makeContext } from "../support/translation.ts";

type Json = Readonly<Record<string, unknown>>;

/** A client's API over a server's: what is asked, and how the client sees the end. */
interface Pair {
  readonly name: string;
  readonly operation: AskedOperation;
  readonly isNative: boolean;
  readonly dialect: ClientDialect;
  readonly request: Json;
  readonly table: readonly Translator[];
  /** The operation that the server is asked for. */
  readonly via: "chat.completions.create" | "messages.create";
}

const messages = [{ role: "user", content: "hi" }];
const chat = operationById("chat.completions.create");
const claude = operationById("messages.create");
const responses = operationById("responses.create");
const own = { isNative: true, table: translators } as const;
const ollama = (id: string, path: string, translator: Translator) => ({
  operation: { ...chat, id, path },
  isNative: false,
  dialect: ollamaDialect,
  table: [translator, ...translators],
});

const apis = [
  { ...own, operation: chat, dialect: openaiDialect, request: { messages } },
  { ...own, operation: claude, dialect: anthropicDialect, request: { messages, max_tokens: 9 } },
  { ...own, operation: responses, dialect: openaiDialect, request: { input: "hi" } },
  { ...ollama("ollama.chat", "/api/chat", ollamaChatToChat), request: { messages } },
  { ...ollama("ollama.generate", "/api/generate", ollamaGenerateToChat), request: { prompt: "hi" } },
];

const pairs: readonly Pair[] = apis.flatMap((api) =>
  (["chat.completions.create", "messages.create"] as const).map((via) => ({
    ...api,
    name: `${api.operation.id} over ${via}`,
    via,
  })),
);

/** What a server streams that says this, in pieces as long as `length()` says. */
function streamOf({ via }: Pair, saying: ChatSaying, length: () => number): Buffer {
  if (via === "messages.create") {
    const events = anthropicEventsOf(anthropicMessageOf(saying), length);
    return Buffer.from(
      events.map((event) => `event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`).join(""),
    );
  }
  const chunks = chatChunksOf(saying, length).map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
  return Buffer.from(`${chunks.join("")}data: [DONE]\n\n`);
}

const nobody: ClientRequest = {
  method: "POST",
  target: "/",
  rawHeaders: [],
  remoteAddress: "127.0.0.1",
  header: () => undefined,
  hasBody: true,
  receiveBody() {},
  resumeBody() {},
};

/** A client that keeps what it gets. */
function openReply(): { reply: ClientReply; text: () => string } {
  const got: (Buffer | string)[] = [];
  let headersSent = false;
  const reply: ClientReply = {
    status: 200,
    get headersSent() {
      return headersSent;
    },
    setHeader() {},
    writeHead() {
      headersSent = true;
    },
    write(chunk) {
      got.push(chunk);
      return true;
    },
    onDrain() {},
    end(chunk) {
      if (chunk !== undefined) got.push(chunk);
    },
    destroy: () => assert.fail("the connection was cut"),
    onClose() {},
  };
  return { reply, text: () => Buffer.concat(got.map((part) => Buffer.from(part))).toString("utf8") };
}

/** The server's stream, in these pieces, as the client gets it. `isBroken`: the connection is lost after the last one. */
async function relay(pair: Pair, pieces: readonly Buffer[], isBroken = false): Promise<string> {
  const { operation, isNative, dialect, request, table: translatorTable, via } = pair;
  const { reply, text } = openReply();
  const exchange = new Exchange(nobody, reply, { log: silentLogger, clock: systemClock });
  exchange.dialect = dialect;
  const { ways } = readJsonAsk({
    operation,
    isNative,
    translators: translatorTable,
    body: Buffer.from(JSON.stringify({ model: "m", stream: true, ...request })),
    context: makeContext(),
  });
  const way = ways.find(({ operationId }) => operationId === via);
  assert.ok(way, `there is no way from ${operation.id} to ${via}`);
  const answer: UpstreamAnswer = {
    status: 200,
    headers: { "content-type": "text/event-stream" },
    pipe(sink) {
      for (const piece of pieces) sink.data(piece);
      if (isBroken) sink.fail(new NexusError("backend_disconnected", "It broke off.", { source: "service" }));
      else sink.end();
    },
    resume() {},
    discard() {},
  };
  const client = new ClientAnswer(exchange, 60_000);
  const options = { exchange, client, way, observer: undefined, promptBytes: 0, mayContinue: false };
  try {
    await new StreamRelay(options, "text/event-stream").pass(answer);
  } catch (error) {
    if (!(error instanceof NexusError)) throw error;
    client.fail(error);
  }
  return text();
}

/** What a client makes of a stream. Throws when there is half an event in it. */
function read({ dialect, operation }: Pair, text: string) {
  const isLines = dialect.framing === "ndjson";
  const mark = isLines ? "\n" : "\n\n";
  assert.ok(text === "" || text.endsWith(mark), `half an event: ${JSON.stringify(text.slice(-80))}`);
  const datas = text
    .split(mark)
    .filter((event) => event !== "")
    .map((event) => (isLines ? event : event.replace(/^event: .*\n/, "").replace(/^data: /, "")));
  const isDone = (data: string) => data === "[DONE]";
  const documents = datas.filter((data) => !isDone(data)).map((data) => JSON.parse(data) as Json);
  const types = documents.map(({ type }) => type);
  const isTold =
    documents.some((document) => "error" in document && document.error !== null) || types.includes("response.failed");
  const isWhole =
    operation.id === "chat.completions.create"
      ? datas.filter(isDone).length === 1 && isDone(datas.at(-1) ?? "")
      : isLines
        ? documents.at(-1)?.done === true
        : /^(?:message_stop|response\.completed|response\.incomplete)$/.test(String(types.at(-1)));
  return { isTold, isWhole, words: documents.map(wordsOf).join("") };
}

/** The text that one event adds, whatever its API. */
function wordsOf(document: Json): string {
  const { type, delta, choices, message, response } = document as {
    type?: string;
    delta?: string | { text?: string };
    choices?: readonly { delta?: { content?: string | null } }[];
    message?: { content?: string };
    response?: string | object;
  };
  if (type === "response.output_text.delta") return String(delta);
  if (type === "content_block_delta" && typeof delta === "object") return delta.text ?? "";
  if (typeof response === "string") return response;
  return choices?.[0]?.delta?.content ?? (typeof message?.content === "string" ? message.content : "");
}

/** A little of everything, in one to four bytes a letter. */
const example: ChatSaying = {
  reasoning: "Hm: ü",
  text: "Grüße, 你好 🌍",
  calls: [{ name: "weather", input: { city: "Zürich" } }],
  finish: "stop",
  usage: { prompt_tokens: 3, completion_tokens: 5 },
};

async function assertToldOrWhole(pair: Pair, stream: Buffer, at: number, whole: string): Promise<void> {
  const expected = read(pair, whole);
  for (const isBroken of [false, true]) {
    const text = await relay(pair, [stream.subarray(0, at)], isBroken);
    const seen = read(pair, text);
    const where = `${pair.name}, ${isBroken ? "broken" : "ended"} after byte ${at} of ${stream.length}: ${text}`;
    assert.notEqual(seen.isTold, seen.isWhole, where);
    if (seen.isWhole) assert.equal(seen.words, expected.words, where);
    else assert.ok(expected.words.startsWith(seen.words), where);
  }
}

for (const pair of pairs) {
  // proves: gateway.framing, gateway.cut-stream
  test(`${pair.name}: the same to the client wherever it is cut, and never half a truth`, {
    timeout: scenarioMs,
  }, async () => {
    const stream = streamOf(pair, example, () => 4);
    const whole = await relay(pair, [stream]);
    const { isTold, isWhole, words } = read(pair, whole);
    assert.deepEqual({ isTold, isWhole }, { isTold: false, isWhole: true });
    assert.ok(words.endsWith(example.text), words);
    for (let at = 1; at < stream.length; at += sized(3, 1)) {
      // The runner wants to hear now and then that a test goes on.
      await setImmediate();
      assert.equal(await relay(pair, [stream.subarray(0, at), stream.subarray(at)]), whole, `cut at byte ${at}`);
      await assertToldOrWhole(pair, stream, at, whole);
    }
    const bytes = Array.from(stream, (byte) => Buffer.of(byte));
    assert.equal(await relay(pair, bytes), whole, "byte by byte");
  });
}

// proves: gateway.framing, gateway.cut-stream
test("whatever a model says, cut anywhere and lost anywhere, every client gets all of it or is told", {
  timeout: scenarioMs,
}, async () => {
  const cases = fc.record({
    saying: chatSayings(),
    pair: fc.constantFrom(...pairs),
    seed: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ saying, pair, seed }) => {
      await setImmediate();
      const random = randomFrom(seed);
      const stream = streamOf(pair, saying, () => 1 + random.below(5));
      const whole = await relay(pair, [stream]);
      const pieces: Buffer[] = [];
      for (let at = 0; at < stream.length; ) {
        const end = at + 1 + random.below(random.pick([3, 40, 400]));
        pieces.push(stream.subarray(at, end));
        at = end;
      }
      assert.equal(await relay(pair, pieces), whole);
      await assertToldOrWhole(pair, stream, 1 + random.below(stream.length - 1), whole);
    }),
    { seed: 3, numRuns: sized(300, 100_000) },
  );
});
