import type { ErrorBody } from "../base/error-body.ts";
import type { StreamEvent } from "../openai/stream-events.ts";
import { badAnswer, type ChatPiece, ChatPieceReader, type ChatUsage } from "./chat-pieces.ts";
import type { JsonObject } from "./request-fields.ts";
import { CallItem, type ItemEnd, MessageItem, type OutputItem, ReasoningItem } from "./responses-items.ts";
import { type ResponseIdentity, type ResponseState, responseObject } from "./responses-object.ts";
import type { StreamTranslator, TranslationContext } from "./translation.ts";

/** Why an answer is not all that the model had to say, by the chat completion's `finish_reason`. */
const incompleteReasons: Readonly<Record<string, NonNullable<ResponseState["incompleteReason"]>>> = {
  length: "max_output_tokens",
  content_filter: "content_filter",
};

/**
 * One response while it is made: takes the pieces of a chat completion and gives the events of OpenAI's stream in
 * OpenAI's order. A whole answer is what the last of them holds, so that both say the same.
 */
class ResponsesAnswer {
  readonly #identity: ResponseIdentity;
  readonly #context: TranslationContext;
  /** In the order of the output. */
  readonly #items: OutputItem[] = [];
  readonly #calls = new Map<number, CallItem>();
  #hasBegun = false;
  #eventCount = 0;
  #usage: ChatUsage | undefined;
  #reason = "stop";

  constructor(request: JsonObject, context: TranslationContext) {
    this.#identity = { id: context.newId("resp"), createdAt: context.nowSeconds, request };
    this.#context = context;
  }

  begin(): readonly JsonObject[] {
    if (this.#hasBegun) return [];
    this.#hasBegun = true;
    const response = this.#snapshot({ status: "in_progress" });
    return this.#numbered([
      { type: "response.created", response },
      { type: "response.in_progress", response },
    ]);
  }

  take(piece: ChatPiece): readonly JsonObject[] {
    return this.#numbered(this.#eventsOf(piece));
  }

  /** The last event; its `response` is the whole answer. */
  finish(): readonly JsonObject[] {
    const incompleteReason = incompleteReasons[this.#reason];
    const status = incompleteReason === undefined ? "completed" : "incomplete";
    const closed = this.#closeItems(status);
    const response = this.#snapshot(
      incompleteReason === undefined ? { status, completedAt: this.#now() } : { status, incompleteReason },
    );
    return this.#numbered([...closed, { type: `response.${status}`, response }]);
  }

  /** The backend broke off: the response as far as it came, then the error, which makes clients throw. */
  fail({ error: { code, message, param } }: ErrorBody): readonly JsonObject[] {
    const closed = this.#closeItems("incomplete");
    const response = this.#snapshot({ status: "failed", error: { code: "server_error", message } });
    return this.#numbered([...closed, { type: "response.failed", response }, { type: "error", code, message, param }]);
  }

  #eventsOf(piece: ChatPiece): readonly JsonObject[] {
    switch (piece.kind) {
      case "finish":
        this.#reason = piece.reason;
        return [];
      case "usage":
        this.#usage = piece.usage;
        return [];
      case "text":
        return this.#say("output_text", piece.text, piece.logprobs);
      case "refusal":
        return this.#say("refusal", piece.text, []);
      case "reasoning":
        return this.#think(piece.text);
      case "call":
        return this.#call(piece.call, piece.id ?? this.#context.newId("call"), piece.name);
      case "arguments":
        return this.#addArguments(piece.call, piece.text);
    }
  }

  #say(type: "output_text" | "refusal", text: string, logprobs: readonly unknown[]): readonly JsonObject[] {
    const last = this.#items.at(-1);
    if (last instanceof MessageItem) return last.add(type, text, logprobs);
    const closed = this.#closeItems("completed");
    const item = new MessageItem(this.#place("msg"));
    return [...closed, ...this.#open(item), ...item.add(type, text, logprobs)];
  }

  #think(text: string): readonly JsonObject[] {
    const last = this.#items.at(-1);
    if (last instanceof ReasoningItem) return last.add(text);
    const closed = this.#closeItems("completed");
    const item = new ReasoningItem(this.#place("rs"));
    return [...closed, ...this.#open(item), ...item.add(text)];
  }

  /** Calls come one after the other; where a server mixes their pieces, the unfinished ones stay open. */
  #call(number: number, callId: string, name: string): readonly JsonObject[] {
    const closed = this.#closeItems("completed", (item) => !(item instanceof CallItem) || item.isWhole);
    const item = new CallItem(this.#place("fc"), callId, name);
    this.#calls.set(number, item);
    return [...closed, ...this.#open(item)];
  }

  #addArguments(number: number, text: string): readonly JsonObject[] {
    const item = this.#calls.get(number);
    if (item !== undefined && !item.isDone) return item.add(text);
    if (text.trim() === "") return [];
    throw badAnswer("a tool call goes on after its end");
  }

  #place(prefix: string) {
    return { id: this.#context.newId(prefix), index: this.#items.length };
  }

  #open(item: OutputItem): readonly JsonObject[] {
    this.#items.push(item);
    return item.open();
  }

  /** Cut is the item that was last; those before it are what they should be. */
  #closeItems(end: ItemEnd, isOver: (item: OutputItem) => boolean = () => true): readonly JsonObject[] {
    const last = this.#items.at(-1);
    return this.#items
      .filter((item) => !item.isDone && isOver(item))
      .flatMap((item) => item.close(item === last ? end : "completed"));
  }

  #snapshot(state: Omit<ResponseState, "output" | "usage">): JsonObject {
    const output = this.#items.map((item) => item.value());
    return responseObject(this.#identity, { ...state, output, usage: this.#usage });
  }

  #numbered(events: readonly JsonObject[]): readonly JsonObject[] {
    return events.map(({ type, ...fields }) => ({ type, sequence_number: this.#eventCount++, ...fields }));
  }

  #now(): number {
    return this.#context.nowSeconds + Math.floor(this.#context.elapsedMs() / 1_000);
  }
}

/** A chat completion as a Response object. @throws NexusError `backend_error` */
export function toResponse(body: Buffer, request: JsonObject, context: TranslationContext): Buffer {
  const answer = new ResponsesAnswer(request, context);
  for (const piece of new ChatPieceReader().whole(body)) answer.take(piece);
  return Buffer.from(JSON.stringify(answer.finish().at(-1)?.response));
}

/** The stream of a chat completion as the events of a response. */
export function toResponseStream(request: JsonObject, context: TranslationContext): StreamTranslator {
  const reader = new ChatPieceReader();
  const answer = new ResponsesAnswer(request, context);
  return {
    push(event) {
      const begun = answer.begin();
      return toEvents([...begun, ...reader.event(event).flatMap((piece) => answer.take(piece))]);
    },
    end: () => toEvents([...answer.begin(), ...answer.finish()]),
    fail: (error) => toEvents([...answer.begin(), ...answer.fail(error)]),
  };
}

function toEvents(events: readonly JsonObject[]): readonly StreamEvent[] {
  return events.map((event) => ({ event: String(event.type), data: JSON.stringify(event) }));
}
