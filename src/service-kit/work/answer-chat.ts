import { NexusError } from "../../base/errors.ts";
import { eventStream, json } from "../response.ts";
import type { Handler, ServiceRequest } from "../service.ts";
import { countAllWords, countWords, type Fields, isFields, readNumber, wrongField } from "./read-fields.ts";
import type { ChatRequest, Work } from "./work.ts";

/** More tokens than any answer that somebody waits for. */
const tokensMax = 1_000_000;

/** What is said, and whether it ended by itself. */
interface Said {
  tokens: number;
  finish: "stop" | "length";
}

/**
 * Chat completions out of a function that says text. Words are counted as tokens: `max_tokens` is held by cutting, and
 * `usage` counts them.
 */
export function answerChat(work: Work<"chat">): Handler {
  return async (request) => {
    const { body } = request;
    const { messages } = body;
    const asked: ChatRequest = { model: String(body.model), messages: readMessages(messages), body };
    const max = readMax(body);
    const said: Said = { tokens: 0, finish: "stop" };
    const prompt = Math.max(1, countAllWords(asked.messages.map(({ content }) => content)));
    const speak = async () => cut(await work(asked, { signal: request.signal, log: request.log }), max, said);
    if (body.stream === true) return eventStream(chunks(request, await speak(), said, prompt));
    let content = "";
    for await (const piece of await speak()) {
      request.signal.throwIfAborted();
      content += piece;
    }
    const message = { role: "assistant", content };
    return json({
      ...head(request, "chat.completion"),
      choices: [{ index: 0, message, finish_reason: said.finish, logprobs: null }],
      usage: usage(prompt, said),
    });
  };
}

async function* chunks(request: ServiceRequest, pieces: AsyncIterable<string>, said: Said, prompt: number) {
  const start = head(request, "chat.completion.chunk");
  const choice = (delta: Fields, finish: string | null = null) => ({
    ...start,
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  let isBegun = false;
  for await (const piece of pieces) {
    // With the first words, not before: what fails without any is answered with its own status.
    if (!isBegun) yield choice({ role: "assistant", content: "" });
    isBegun = true;
    yield choice({ content: piece });
  }
  yield choice({}, said.finish);
  const options = request.body.stream_options;
  if (isFields(options) && options.include_usage === true) {
    yield { ...start, choices: [], usage: usage(prompt, said) };
  }
}

/** Passes text on until it has so many words, and ends its making then. */
async function* cut(text: string | AsyncIterable<string>, max: number, said: Said): AsyncGenerator<string> {
  if (max === 0) return;
  for await (const piece of typeof text === "string" ? [text] : text) {
    if (typeof piece !== "string") throw new NexusError("backend_error", "The service gave no text.");
    const words = countWords(piece);
    if (said.tokens + words < max) {
      said.tokens += words;
      if (piece !== "") yield piece;
      continue;
    }
    const left = max - said.tokens;
    said.tokens = max;
    said.finish = "length";
    yield new RegExp(`^(?:\\s*\\S+){0,${left}}`).exec(piece)?.[0] ?? "";
    return;
  }
}

function readMax(body: Fields): number {
  const name = body.max_completion_tokens === undefined ? "max_tokens" : "max_completion_tokens";
  if (body[name] === undefined || body[name] === null) return tokensMax;
  return readNumber(body, name, { from: 0, to: tokensMax, otherwise: tokensMax, isWhole: true });
}

function readMessages(value: unknown): ChatRequest["messages"] {
  if (!Array.isArray(value) || value.length === 0) throw wrongField("messages", "a list of messages");
  return value.map((message: unknown, index) => {
    const at = `messages[${index}]`;
    if (!isFields(message) || typeof message.role !== "string") throw wrongField(at, "a message with a `role`");
    return { role: message.role, content: textOf(message.content, `${at}.content`) };
  });
}

function textOf(content: unknown, param: string): string {
  if (content === undefined || content === null) return "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content) || !content.every(isFields)) throw wrongField(param, "a text or a list of parts");
  return content.flatMap((part) => (typeof part.text === "string" ? [part.text] : [])).join("\n");
}

function head(request: ServiceRequest, object: string): Fields {
  const created = Math.floor(Date.now() / 1000);
  return { id: `chatcmpl-${request.requestId}`, object, created, model: request.body.model };
}

function usage(prompt: number, { tokens }: Said): Fields {
  return { prompt_tokens: prompt, completion_tokens: tokens, total_tokens: prompt + tokens };
}
