import { NexusError } from "../base/errors.ts";
import type { StreamEvent } from "../openai/stream-events.ts";
import { badAnswer, parseAnswer } from "./chat-pieces.ts";
import { isObject, type JsonObject } from "./request-fields.ts";
import type { StreamTranslator } from "./translation.ts";

/** What an answer needs to know of its request. */
export interface ChatAnswerOptions {
  /** The tool whose input is the answer, if one stands for it. */
  readonly answerTool: string | undefined;
  /** Whether the stream's last chunk tells the usage. */
  readonly includesUsage: boolean;
  /** Seconds since 1970. */
  readonly nowSeconds: number;
}

const finishReasons: Readonly<Record<string, string>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  pause_turn: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  refusal: "content_filter",
};

/** Anthropic's message as a whole chat completion. @throws NexusError `backend_error` when it is none. */
export function toChatAnswer(body: Buffer, options: ChatAnswerOptions): Buffer {
  const message = parseAnswer(body.toString("utf8"));
  if (!Array.isArray(message.content)) throw badAnswer("it has no content");
  const blocks = message.content.filter(isObject);
  const isAnswer = ({ type, name }: JsonObject) => type === "tool_use" && name === options.answerTool;
  const text = blocks.map((block) => (isAnswer(block) ? JSON.stringify(block.input) : textOf(block))).join("");
  const thoughts = blocks.filter(({ type }) => type === "thinking" || type === "redacted_thinking");
  const calls = blocks.filter((block) => block.type === "tool_use" && !isAnswer(block)).map(toCall);
  return Buffer.from(
    JSON.stringify({
      id: message.id,
      object: "chat.completion",
      created: options.nowSeconds,
      model: message.model,
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: text === "" && calls.length > 0 ? null : text,
            refusal: null,
            ...(thoughts.length === 0 ? {} : thoughtFields(thoughts)),
            ...(calls.length === 0 ? {} : { tool_calls: calls }),
          },
          logprobs: null,
          finish_reason: finishReason(message.stop_reason, calls.length > 0),
        },
      ],
      usage: toUsage(isObject(message.usage) ? message.usage : {}),
    }),
  );
}

/** Anthropic's events as chunks of a chat completion. @throws NexusError `backend_error` for what is no event of it. */
export function toChatStream(options: ChatAnswerOptions): StreamTranslator {
  const answer = new ChatStream(options);
  return { push: ({ data }) => answer.push(parseAnswer(data)), end: () => [] };
}

class ChatStream {
  readonly #options: ChatAnswerOptions;
  #head: JsonObject = {};
  /** By the index of its block: a call's place among the calls, or -1 for the tool that stands for the answer. */
  readonly #calls = new Map<unknown, number>();
  #callCount = 0;
  /** Thoughts have to be whole when they go back. */
  #thought: Record<string, unknown> | undefined;
  #usage: JsonObject = {};

  constructor(options: ChatAnswerOptions) {
    this.#options = options;
  }

  push(event: JsonObject): readonly StreamEvent[] {
    switch (event.type) {
      case "message_start":
        return this.#begin(objectOf(event.message));
      case "content_block_start":
        return this.#open(event.index, objectOf(event.content_block));
      case "content_block_delta":
        return this.#add(event.index, objectOf(event.delta));
      case "content_block_stop":
        return this.#close();
      case "message_delta": {
        this.#usage = { ...this.#usage, ...withoutNull(objectOf(event.usage)) };
        const reason = finishReason(objectOf(event.delta).stop_reason, this.#callCount > 0);
        return [this.#chunk({}, reason)];
      }
      case "message_stop":
        return this.#end();
      case "error":
        throw failedInStream(objectOf(event.error));
      default:
        // `ping`, and whatever is added: Anthropic asks clients to ignore events that they do not know.
        return [];
    }
  }

  #begin({ id, model, usage }: JsonObject): readonly StreamEvent[] {
    this.#head = { id, object: "chat.completion.chunk", created: this.#options.nowSeconds, model };
    this.#usage = objectOf(usage);
    return [this.#chunk({ role: "assistant", content: "" })];
  }

  #open(index: unknown, block: JsonObject): readonly StreamEvent[] {
    switch (block.type) {
      case "text":
        return this.#text(block.text);
      case "thinking":
      case "redacted_thinking":
        this.#thought = { ...block };
        return [];
      case "tool_use": {
        const isAnswer = block.name === this.#options.answerTool;
        const call = isAnswer ? -1 : this.#callCount++;
        this.#calls.set(index, call);
        if (isAnswer) return [];
        const told = { name: block.name, arguments: "" };
        return [this.#chunk({ tool_calls: [{ index: call, id: block.id, type: "function", function: told }] })];
      }
      default:
        return [];
    }
  }

  #add(index: unknown, delta: JsonObject): readonly StreamEvent[] {
    switch (delta.type) {
      case "text_delta":
        return this.#text(delta.text);
      case "input_json_delta":
        return this.#input(this.#calls.get(index), delta.partial_json);
      case "thinking_delta":
        this.#think("thinking", delta.thinking);
        return typeof delta.thinking === "string" ? [this.#chunk({ reasoning_content: delta.thinking })] : [];
      case "signature_delta":
        this.#think("signature", delta.signature);
        return [];
      default:
        return [];
    }
  }

  #input(call: number | undefined, json: unknown): readonly StreamEvent[] {
    if (typeof json !== "string" || json === "" || call === undefined) return [];
    if (call === -1) return this.#text(json);
    return [this.#chunk({ tool_calls: [{ index: call, function: { arguments: json } }] })];
  }

  #text(text: unknown): readonly StreamEvent[] {
    return typeof text === "string" && text !== "" ? [this.#chunk({ content: text })] : [];
  }

  #think(field: "thinking" | "signature", text: unknown): void {
    if (this.#thought === undefined || typeof text !== "string") return;
    this.#thought[field] = `${String(this.#thought[field] ?? "")}${text}`;
  }

  #close(): readonly StreamEvent[] {
    if (this.#thought === undefined) return [];
    const thought = this.#thought;
    this.#thought = undefined;
    return [this.#chunk({ thinking_blocks: [thought] })];
  }

  #end(): readonly StreamEvent[] {
    const usage = { ...this.#head, choices: [], usage: toUsage(this.#usage) };
    return [...(this.#options.includesUsage ? [{ data: JSON.stringify(usage) }] : []), { data: "[DONE]" }];
  }

  #chunk(delta: JsonObject, reason: string | null = null): StreamEvent {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: reason }];
    return { data: JSON.stringify({ ...this.#head, choices }) };
  }
}

function textOf({ type, text }: JsonObject): string {
  return type === "text" && typeof text === "string" ? text : "";
}

function toCall({ id, name, input }: JsonObject): JsonObject {
  return { id, type: "function", function: { name, arguments: JSON.stringify(input ?? {}) } };
}

/** As text for everybody, and as the signed blocks that have to go back while the model works with tools. */
function thoughtFields(blocks: readonly JsonObject[]): JsonObject {
  const text = blocks.map(({ thinking }) => (typeof thinking === "string" ? thinking : "")).join("");
  return { ...(text === "" ? {} : { reasoning_content: text }), thinking_blocks: blocks };
}

/** Where a tool stood for the answer, there was no call. */
function finishReason(reason: unknown, hasCalls: boolean): string {
  const finish = finishReasons[String(reason)] ?? "stop";
  return finish === "tool_calls" && !hasCalls ? "stop" : finish;
}

/** Tokens from the cache are counted apart by Anthropic, and among the others by OpenAI. */
function toUsage(usage: JsonObject): JsonObject {
  const count = (value: unknown) => (typeof value === "number" && value > 0 ? value : 0);
  const cached = count(usage.cache_read_input_tokens);
  const prompt = count(usage.input_tokens) + count(usage.cache_creation_input_tokens) + cached;
  const completion = count(usage.output_tokens);
  const thoughts = count(objectOf(usage.output_tokens_details).thinking_tokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
    ...(thoughts > 0 ? { completion_tokens_details: { reasoning_tokens: thoughts } } : {}),
  };
}

function withoutNull(usage: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null));
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

function failedInStream({ type, message }: JsonObject): NexusError {
  return new NexusError("backend_error", "The service failed in the middle of its answer.", {
    source: "service",
    detail: `${String(type)}: ${String(message).slice(0, 1_000)}`,
  });
}
