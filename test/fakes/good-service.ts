import { NexusError } from "../../src/base/errors.ts";
import {
  defineService,
  eventStream,
  type Handler,
  json,
  type Service,
  type ServiceDefinition,
  type ServiceRequest,
} from "../../src/service-kit/index.ts";

type Fields = Record<string, unknown>;

/** Words that the fake model says, one a token, for ever. */
const words = ["the", "grass", "is", "green", "and", "so", "on"];

const contextWindow = 2048;
/** Tokens that a picture is for the fake model. */
const pictureTokens = 64;

/** Awaited before each token, so that a test can hold the model back or count what it makes. */
export type Pace = (token: number, signal: AbortSignal) => Promise<void>;

const nextTurn: Pace = () => new Promise((resolve) => setImmediate(resolve));

/**
 * A service that keeps every rule of the contract: chats, completes and embeds without a model. `overrides` replace
 * parts of its definition.
 */
export function goodService(overrides: Partial<ServiceDefinition> = {}, pace: Pace = nextTurn): Service {
  return defineService({
    name: "good",
    version: "1.2.3",
    description: "Keeps every rule.",
    backend: { name: "fake", vendor: "nexus", version: "1" },
    capabilities: {
      domains: ["chat", "embedding"],
      modalities: { input: ["text"], output: ["text", "vector"] },
      streaming: true,
      max_concurrency: 2,
    },
    models: () => [
      {
        id: "fake-chat",
        aliases: ["fake"],
        domains: ["chat"],
        context_window: contextWindow,
        features: { tools: true, json_schema: true, vision: true },
        state: "loaded",
      },
      { id: "org/fake-embed", domains: ["embedding"], features: { embeddings_dim: 4 }, state: "loaded" },
    ],
    handlers: {
      "chat.completions.create": chatHandler(pace),
      "completions.create": completionHandler(pace),
      "embeddings.create": embed,
    },
    ...overrides,
  });
}

function wrong(param: string, must: string): NexusError {
  return new NexusError("invalid_request", `\`${param}\` must be ${must}.`, { param });
}

function chatHandler(pace: Pace): Handler {
  return (request) => {
    const { messages } = request.body;
    if (!Array.isArray(messages) || messages.length === 0) throw wrong("messages", "a list of messages");
    const tokens = promptTokens(messages);
    if (tokens >= contextWindow) {
      throw new NexusError("context_length_exceeded", `${tokens} tokens do not fit into ${contextWindow}.`);
    }
    return request.body.stream === true ? eventStream(chunks(request, pace)) : wholeChat(request, pace);
  };
}

async function wholeChat(request: ServiceRequest, pace: Pace) {
  const call = demandedCall(request.body);
  const content = demandedJson(request.body) ?? (call === undefined ? await say(request, pace) : null);
  const cut = content === null ? "tool_calls" : "length";
  const message = { role: "assistant", content, ...(call === undefined ? {} : { tool_calls: [call] }) };
  return json({
    ...head(request, "chat.completion"),
    choices: [{ index: 0, message, finish_reason: cut, logprobs: null }],
    usage: usage(promptTokens(request.body.messages), content),
  });
}

async function* chunks(request: ServiceRequest, pace: Pace) {
  const start = head(request, "chat.completion.chunk");
  const choice = (delta: Fields, finish: string | null = null) => ({
    ...start,
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  yield choice({ role: "assistant", content: "" });
  let content = "";
  for await (const token of tokens(request, pace)) {
    content += token;
    yield choice({ content: token });
  }
  yield choice({}, "length");
  const options = request.body.stream_options as Fields | undefined;
  if (options?.include_usage === true)
    yield { ...start, choices: [], usage: usage(promptTokens(request.body.messages), content) };
}

function completionHandler(pace: Pace): Handler {
  return async (request) => {
    if (typeof request.body.prompt !== "string") throw wrong("prompt", "a text");
    const text = await say(request, pace);
    const choices = [{ index: 0, text, finish_reason: "length" }];
    return json({ ...head(request, "text_completion"), choices, usage: usage(wordsIn(request.body.prompt), text) });
  };
}

const embed: Handler = (request) => {
  const { input, model } = request.body;
  const texts = typeof input === "string" ? [input] : input;
  if (!Array.isArray(texts)) throw wrong("input", "a text or a list of texts");
  const data = texts.map((text, index) => ({
    object: "embedding",
    index,
    embedding: [String(text).length, index, 0, 1],
  }));
  return json({ object: "list", model, data, usage: { prompt_tokens: texts.length, total_tokens: texts.length } });
};

function head(request: ServiceRequest, object: string): Fields {
  return { id: `fake-${request.requestId}`, object, created: 1_767_225_600, model: request.body.model };
}

async function* tokens(request: ServiceRequest, pace: Pace): AsyncIterable<string> {
  const max = typeof request.body.max_tokens === "number" ? request.body.max_tokens : 16;
  for (let token = 0; token < max; token++) {
    await pace(token, request.signal);
    request.signal.throwIfAborted();
    yield `${token === 0 ? "" : " "}${words[token % words.length]}`;
  }
}

async function say(request: ServiceRequest, pace: Pace): Promise<string> {
  let text = "";
  for await (const token of tokens(request, pace)) text += token;
  return text;
}

function usage(prompt: number, content: string | null): Fields {
  const completion = content === null ? 1 : wordsIn(content);
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function wordsIn(text: unknown): number {
  return String(text).split(" ").length;
}

/** A token a word, and one for each message's role. */
function promptTokens(messages: unknown): number {
  const ofPart = (part: Fields): number => (part.type === "image_url" ? pictureTokens : wordsIn(part.text));
  const ofMessage = ({ content }: Fields): number =>
    Array.isArray(content) ? (content as Fields[]).reduce((sum, part) => sum + ofPart(part), 1) : 1 + wordsIn(content);
  return (messages as Fields[]).reduce((sum, message) => sum + ofMessage(message), 0);
}

/** A call of the tool that `tool_choice` demands, with the first value that each argument allows. */
function demandedCall({ tools, tool_choice: choice }: Fields): Fields | undefined {
  const name = (choice as { function?: { name: string } } | undefined)?.function?.name;
  const list = (tools ?? []) as { function: { name: string; parameters: SmallSchema } }[];
  const tool = list.find((one) => one.function.name === name)?.function;
  if (tool === undefined) return undefined;
  return {
    id: "call_1",
    type: "function",
    function: { name: tool.name, arguments: JSON.stringify(firstValues(tool.parameters)) },
  };
}

function demandedJson({ response_format: format }: Fields): string | undefined {
  const schema = (format as { json_schema?: { schema: SmallSchema } } | undefined)?.json_schema?.schema;
  return schema === undefined ? undefined : JSON.stringify(firstValues(schema));
}

interface SmallSchema {
  readonly properties: Record<string, { readonly enum: readonly string[] }>;
}

function firstValues({ properties }: SmallSchema): Fields {
  return Object.fromEntries(Object.entries(properties).map(([key, property]) => [key, property.enum[0]]));
}
