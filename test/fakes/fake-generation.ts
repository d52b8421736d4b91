import type { FakeModel } from "./fake-model.ts";
import { countWords, created, doneEvents, type FakeAsked, type FakeReply, isObject, jsonReply } from "./fake-reply.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Text in one to four bytes a letter, so that every way to cut UTF-8 in two is met. */
export const defaultWords: readonly string[] = ["Hello", " from", " Zürich", ",", " 你好", " 🌍", "👩‍🚀", " done", "."];

/** Chats, and completions of a text: always the same for the same request. */
export function generate({ operation, fields, words }: FakeAsked): FakeReply {
  const isChat = operation === "chat.completions.create";
  const answer = isChat ? chatAnswer(fields, words) : textAnswer(fields, words);
  return fields.stream === true ? doneEvents(streamed(answer, fields)) : jsonReply(whole(answer, fields));
}

export function embed({ fields, model }: FakeAsked): FakeReply {
  return jsonReply(embeddings(fields, model));
}

/** What a model says to a conversation, in whichever words its API has for that. */
export interface FakeSaying {
  readonly words: readonly string[];
  readonly toolCall: ToolCall | undefined;
  readonly finishReason: "stop" | "length" | "tool_calls";
  /** Tokens that it took to say so. */
  readonly tokens: number;
}

/** `fields` are those of a chat completion: `messages`, `tools`, `tool_choice`, `max_tokens`. */
export function sayingOf(fields: Fields, words: readonly string[]): FakeSaying {
  const answer = chatAnswer(fields, words);
  return { ...answer, tokens: tokensOf(answer) };
}

interface ToolCall {
  readonly name: string;
  readonly arguments: readonly string[];
}

interface Answer {
  readonly object: "chat.completion" | "text_completion";
  readonly words: readonly string[];
  readonly toolCall: ToolCall | undefined;
  readonly finishReason: "stop" | "length" | "tool_calls";
  readonly promptTokens: number;
}

function chatAnswer(body: Fields, words: readonly string[]): Answer {
  const toolCall = toolCallFor(body);
  const promptTokens = countWords(body.messages);
  if (toolCall !== undefined) {
    return { object: "chat.completion", words: [], toolCall, finishReason: "tool_calls", promptTokens };
  }
  const wanted = isObject(body.response_format) && body.response_format.type !== "text";
  return cut("chat.completion", wanted ? ['{"answer"', ": ", '"yes"', "}"] : words, body, promptTokens);
}

function textAnswer(body: Fields, words: readonly string[]): Answer {
  return cut("text_completion", words, body, countWords(body.prompt));
}

function cut(object: Answer["object"], words: readonly string[], body: Fields, promptTokens: number): Answer {
  const limit = body.max_completion_tokens ?? body.max_tokens;
  const kept = typeof limit === "number" ? words.slice(0, limit) : words;
  const finishReason = kept.length < words.length ? "length" : "stop";
  return { object, words: kept, toolCall: undefined, finishReason, promptTokens };
}

/** Calls the tool that the request insists on, else its first one; answers in words once a tool has answered. */
function toolCallFor(body: Fields): ToolCall | undefined {
  const tools = Array.isArray(body.tools) ? body.tools : [];
  const messages = Array.isArray(body.messages) ? body.messages : [];
  const last: unknown = messages.at(-1);
  if (tools.length === 0 || body.tool_choice === "none" || hasToolAnswer(last)) {
    return undefined;
  }
  // The Responses API has the name of a function at the top.
  const [first]: unknown[] = tools;
  const tool = isObject(body.tool_choice) ? body.tool_choice : first;
  const chosen = isObject(tool) && isObject(tool.function) ? tool.function : tool;
  const name = isObject(chosen) && typeof chosen.name === "string" ? chosen.name : "unnamed";
  return { name, arguments: ['{"city"', ': "Zür', 'ich"}'] };
}

/** In the words of chat completions, responses or messages. */
function hasToolAnswer(message: unknown): boolean {
  if (!isObject(message)) return false;
  if (message.role === "tool" || message.type === "function_call_output") return true;
  return (
    Array.isArray(message.content) && message.content.some((part) => isObject(part) && part.type === "tool_result")
  );
}

function head(answer: Answer, body: Fields, suffix: string): object {
  const prefix = answer.object === "chat.completion" ? "chatcmpl" : "cmpl";
  return { id: `${prefix}-fake`, object: `${answer.object}${suffix}`, created, model: body.model };
}

function usageOf(answer: Answer): object {
  const completion = tokensOf(answer);
  return {
    prompt_tokens: answer.promptTokens,
    completion_tokens: completion,
    total_tokens: answer.promptTokens + completion,
  };
}

function tokensOf({ words, toolCall }: Pick<Answer, "words" | "toolCall">): number {
  return words.length + (toolCall?.arguments.length ?? 0);
}

function whole(answer: Answer, body: Fields): object {
  const text = answer.words.join("");
  const { toolCall } = answer;
  const message =
    toolCall === undefined
      ? { role: "assistant", content: text }
      : {
          role: "assistant",
          content: null,
          tool_calls: [
            {
              id: "call_fake",
              type: "function",
              function: { name: toolCall.name, arguments: toolCall.arguments.join("") },
            },
          ],
        };
  const choice = answer.object === "chat.completion" ? { message } : { text };
  return {
    ...head(answer, body, ""),
    choices: [{ index: 0, ...choice, logprobs: null, finish_reason: answer.finishReason }],
    usage: usageOf(answer),
  };
}

function streamed(answer: Answer, body: Fields): readonly object[] {
  const isChat = answer.object === "chat.completion";
  const start = head(answer, body, isChat ? ".chunk" : "");
  const chunk = (choice: object, finishReason: string | null): object => ({
    ...start,
    choices: [{ index: 0, ...choice, logprobs: null, finish_reason: finishReason }],
  });
  const documents: object[] = isChat ? [chunk({ delta: { role: "assistant", content: "" } }, null)] : [];
  for (const word of answer.words) documents.push(chunk(isChat ? { delta: { content: word } } : { text: word }, null));
  if (answer.toolCall !== undefined) documents.push(...toolCallChunks(answer.toolCall, chunk));
  documents.push(chunk(isChat ? { delta: {} } : { text: "" }, answer.finishReason));
  const options = body.stream_options;
  if (isObject(options) && options.include_usage === true) {
    documents.push({ ...start, choices: [], usage: usageOf(answer) });
  }
  return documents;
}

function toolCallChunks(call: ToolCall, chunk: (choice: object, finishReason: null) => object): readonly object[] {
  const delta = (part: object) => chunk({ delta: { tool_calls: [{ index: 0, ...part }] } }, null);
  return [
    delta({ id: "call_fake", type: "function", function: { name: call.name, arguments: "" } }),
    ...call.arguments.map((part) => delta({ function: { arguments: part } })),
  ];
}

function embeddings(body: Fields, model: FakeModel): object {
  const inputs = Array.isArray(body.input) ? body.input : [body.input];
  const tokens = countWords(inputs);
  return {
    object: "list",
    data: inputs.map((_, index) => ({
      object: "embedding",
      index,
      embedding: Array.from({ length: model.embeddingDim }, (__, place) => ((index + 1) * (place + 1)) / 1024),
    })),
    model: body.model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}
