import type { FakeModel } from "./fake-model.ts";

/** The pieces of an answer: JSON documents of a stream, or the one document of an answer at once. */
export interface FakeGeneration {
  readonly stream: boolean;
  readonly documents: readonly object[];
}

export type GenerationPath = "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings";

export function isGenerationPath(path: string): path is GenerationPath {
  return path === "/v1/chat/completions" || path === "/v1/completions" || path === "/v1/embeddings";
}

/** Text in one to four bytes a letter, so that every way to cut UTF-8 in two is met. */
export const defaultWords: readonly string[] = ["Hello", " from", " Zürich", ",", " 你好", " 🌍", "👩‍🚀", " done", "."];

const created = 1_764_000_000;

/** What a request gets: always the same for the same request. */
export function generate(
  path: GenerationPath,
  body: Readonly<Record<string, unknown>>,
  model: FakeModel,
  words: readonly string[],
): FakeGeneration {
  if (path === "/v1/embeddings") return { stream: false, documents: [embeddings(body, model)] };
  const stream = body.stream === true;
  const answer = path === "/v1/chat/completions" ? chatAnswer(body, words) : textAnswer(body, words);
  return { stream, documents: stream ? streamed(answer, body) : [whole(answer, body)] };
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

function chatAnswer(body: Readonly<Record<string, unknown>>, words: readonly string[]): Answer {
  const toolCall = toolCallFor(body);
  const promptTokens = countWords(body.messages);
  if (toolCall !== undefined) {
    return { object: "chat.completion", words: [], toolCall, finishReason: "tool_calls", promptTokens };
  }
  const wanted = isObject(body.response_format) && body.response_format.type !== "text";
  return cut("chat.completion", wanted ? ['{"answer"', ": ", '"yes"', "}"] : words, body, promptTokens);
}

function textAnswer(body: Readonly<Record<string, unknown>>, words: readonly string[]): Answer {
  return cut("text_completion", words, body, countWords(body.prompt));
}

function cut(
  object: Answer["object"],
  words: readonly string[],
  body: Readonly<Record<string, unknown>>,
  promptTokens: number,
): Answer {
  const limit = body.max_completion_tokens ?? body.max_tokens;
  const kept = typeof limit === "number" ? words.slice(0, limit) : words;
  const finishReason = kept.length < words.length ? "length" : "stop";
  return { object, words: kept, toolCall: undefined, finishReason, promptTokens };
}

/** Calls the tool that the request insists on, else its first one; answers in words once a tool has answered. */
function toolCallFor(body: Readonly<Record<string, unknown>>): ToolCall | undefined {
  const tools = Array.isArray(body.tools) ? body.tools : [];
  const messages = Array.isArray(body.messages) ? body.messages : [];
  const last: unknown = messages.at(-1);
  if (tools.length === 0 || body.tool_choice === "none" || (isObject(last) && last.role === "tool")) {
    return undefined;
  }
  const chosen = isObject(body.tool_choice) ? body.tool_choice.function : tools[0]?.function;
  const name = isObject(chosen) && typeof chosen.name === "string" ? chosen.name : "unnamed";
  return { name, arguments: ['{"city"', ': "Zür', 'ich"}'] };
}

function head(answer: Answer, body: Readonly<Record<string, unknown>>, suffix: string): object {
  const prefix = answer.object === "chat.completion" ? "chatcmpl" : "cmpl";
  return { id: `${prefix}-fake`, object: `${answer.object}${suffix}`, created, model: body.model };
}

function usageOf(answer: Answer): object {
  const completion = answer.words.length + (answer.toolCall?.arguments.length ?? 0);
  return {
    prompt_tokens: answer.promptTokens,
    completion_tokens: completion,
    total_tokens: answer.promptTokens + completion,
  };
}

function whole(answer: Answer, body: Readonly<Record<string, unknown>>): object {
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

function streamed(answer: Answer, body: Readonly<Record<string, unknown>>): readonly object[] {
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

function embeddings(body: Readonly<Record<string, unknown>>, model: FakeModel): object {
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

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Words in every string of a value: a stand-in for tokens. */
function countWords(value: unknown): number {
  if (typeof value === "string") return value.split(/\s+/).filter((word) => word !== "").length;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce<number>((sum, part) => sum + countWords(part), 0);
}
