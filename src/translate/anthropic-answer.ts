import type { StreamEvent } from "../openai/stream-events.ts";
import { type AnswerBlock, TextBlock, ThinkingBlock, ToolUseBlock } from "./anthropic-blocks.ts";
import { badAnswer, type ChatPiece, ChatPieceReader, type ChatUsage } from "./chat-pieces.ts";
import type { JsonObject } from "./request-fields.ts";
import type { StreamTranslator, TranslationContext } from "./translation.ts";

/** What an answer needs to know of its request. */
export interface AnswerOptions {
  /** As the client named it. */
  readonly model: string;
  readonly showsThoughts: boolean;
  /** About how many tokens the prompt has, for as long as the server has not counted. */
  readonly estimatePromptTokens: () => number;
  readonly context: TranslationContext;
}

/** A whole answer of a chat completion as Anthropic's message. @throws NexusError `backend_error` */
export function toMessage(body: Buffer, options: AnswerOptions): Buffer {
  const answer = new MessageAnswer(options);
  for (const piece of new ChatPieceReader().whole(body)) answer.take(piece);
  return Buffer.from(JSON.stringify(answer.whole()));
}

/** A stream of a chat completion as Anthropic's events, in Anthropic's order. */
export function toMessageStream(options: AnswerOptions): StreamTranslator {
  const reader = new ChatPieceReader();
  const answer = new MessageAnswer(options);
  return {
    push(event) {
      for (const piece of reader.event(event)) answer.take(piece);
      return answer.news().map(toEvent);
    },
    end: () => answer.finish().map(toEvent),
  };
}

function toEvent(event: JsonObject): StreamEvent {
  return { event: String(event.type), data: JSON.stringify(event) };
}

const stopReasons: Readonly<Record<string, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  function_call: "tool_use",
  content_filter: "refusal",
};

/**
 * One message while it is made. Blocks of a message come one after the other, while a chat completion may go on with
 * several calls in turn: the first one that is not complete is told, the others wait in their order.
 */
class MessageAnswer {
  readonly #options: AnswerOptions;
  readonly #id: string;
  readonly #blocks: AnswerBlock[] = [];
  readonly #calls = new Map<number, ToolUseBlock>();
  /** The block that is told to the client, and whether it has begun. */
  #told = 0;
  #isTelling = false;
  #hasBegun = false;
  #usage: ChatUsage | undefined;
  #estimate: number | undefined;
  #reason = "stop";
  #stoppedBy: string | null = null;
  #isRefused = false;

  constructor(options: AnswerOptions) {
    this.#options = options;
    this.#id = options.context.newId("msg");
  }

  take(piece: ChatPiece): void {
    switch (piece.kind) {
      case "reasoning":
        if (this.#options.showsThoughts) this.#last(ThinkingBlock).add(piece.text);
        return;
      case "refusal":
        this.#isRefused = true;
        this.#last(TextBlock).add(piece.text);
        return;
      case "text":
        this.#last(TextBlock).add(piece.text);
        return;
      case "call": {
        const call = new ToolUseBlock(piece.id ?? this.#options.context.newId("toolu"), piece.name);
        this.#calls.set(piece.call, call);
        this.#blocks.push(call);
        return;
      }
      case "arguments":
        this.#continueCall(piece.call, piece.text);
        return;
      case "finish":
        this.#reason = piece.reason;
        this.#stoppedBy = piece.stoppedBy ?? null;
        return;
      case "usage":
        this.#usage = piece.usage;
    }
  }

  /** The events that have become due. */
  news(): readonly JsonObject[] {
    const events = this.#begin();
    for (let block = this.#blocks[this.#told]; block !== undefined; block = this.#blocks[this.#told]) {
      events.push(...this.#tell(block));
      if (this.#told === this.#blocks.length - 1 || !block.isComplete) break;
      events.push(...this.#close(block));
    }
    return events;
  }

  /** The events that are still owed when the backend has said everything. */
  finish(): readonly JsonObject[] {
    const events = this.#begin();
    for (let block = this.#blocks[this.#told]; block !== undefined; block = this.#blocks[this.#told]) {
      events.push(...this.#tell(block), ...this.#close(block));
    }
    const delta = { stop_reason: this.#stopReason(), stop_sequence: this.#stoppedBy };
    return [...events, { type: "message_delta", delta, usage: this.#usageFields() }, { type: "message_stop" }];
  }

  whole(): JsonObject {
    const isCut = this.#reason === "length";
    return {
      ...this.#head(),
      content: this.#blocks.map((block) => block.whole(isCut)),
      stop_reason: this.#stopReason(),
      stop_sequence: this.#stoppedBy,
      usage: this.#usageFields(),
    };
  }

  #last<Block extends TextBlock | ThinkingBlock>(kind: new () => Block): Block {
    const last = this.#blocks.at(-1);
    if (last instanceof kind) return last;
    const block = new kind();
    this.#blocks.push(block);
    return block;
  }

  #continueCall(number: number, text: string): void {
    const call = this.#calls.get(number);
    const isOver = call === undefined || this.#blocks.indexOf(call) < this.#told;
    if (!isOver) call.add(text);
    else if (text.trim() !== "") throw badAnswer("a tool call goes on after its end");
  }

  /** Anthropic sends a ping early, and clients that watch a connection count on it. */
  #begin(): JsonObject[] {
    if (this.#hasBegun) return [];
    this.#hasBegun = true;
    const message = {
      ...this.#head(),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      // Chat completions tell the tokens at the end: then `message_delta` says them all.
      usage: this.#usageFields(),
    };
    return [{ type: "message_start", message }, { type: "ping" }];
  }

  #tell(block: AnswerBlock): readonly JsonObject[] {
    const index = this.#told;
    const start = this.#isTelling ? [] : [{ type: "content_block_start", index, content_block: block.start }];
    this.#isTelling = true;
    return [...start, ...block.take().map((delta) => ({ type: "content_block_delta", index, delta }))];
  }

  #close(block: AnswerBlock): readonly JsonObject[] {
    const index = this.#told++;
    this.#isTelling = false;
    const rest = block.finish().map((delta) => ({ type: "content_block_delta", index, delta }));
    return [...rest, { type: "content_block_stop", index }];
  }

  #head(): JsonObject {
    return { id: this.#id, type: "message", role: "assistant", model: this.#options.model };
  }

  /** Some servers say `stop` after a call. */
  #stopReason(): string {
    if (this.#isRefused) return "refusal";
    const reason = stopReasons[this.#reason] ?? "end_turn";
    if (reason !== "end_turn") return reason;
    if (this.#calls.size > 0) return "tool_use";
    return this.#stoppedBy === null ? "end_turn" : "stop_sequence";
  }

  #promptTokens(): number {
    if (this.#usage !== undefined) return this.#usage.promptTokens;
    this.#estimate ??= this.#options.estimatePromptTokens();
    return this.#estimate;
  }

  /** Anthropic counts the tokens from the cache beside the others, chat completions among them. */
  #usageFields(): JsonObject {
    const { completionTokens = 0, cachedTokens = 0, reasoningTokens = 0 } = this.#usage ?? {};
    return {
      input_tokens: Math.max(this.#promptTokens() - cachedTokens, 0),
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: cachedTokens,
      output_tokens: completionTokens,
      ...(reasoningTokens > 0 ? { output_tokens_details: { thinking_tokens: reasoningTokens } } : {}),
    };
  }
}
