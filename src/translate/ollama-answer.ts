import type { StreamEvent } from "../openai/stream-events.ts";
import { badAnswer, type ChatPiece, ChatPieceReader, type ChatUsage } from "./chat-pieces.ts";
import { nanoseconds } from "./ollama-request.ts";
import { type JsonObject, requiredModel } from "./request-fields.ts";
import type { StreamTranslator, Translation, TranslationContext } from "./translation.ts";

/** What every document of an answer says about itself. */
interface OllamaAnswerOptions {
  /** The name that the client asked for. */
  readonly model: string;
  /** Chat answers with messages, generate with bare text. */
  readonly shape: "chat" | "generate";
  /** False when the client wants no thoughts, whatever the backend does. */
  readonly thinks: boolean;
  readonly context: TranslationContext;
}

/** Collects the pieces of one answer and writes Ollama's documents. */
class OllamaAnswer {
  readonly #options: OllamaAnswerOptions;
  readonly #calls: { name: string; arguments: string; id: string | undefined }[] = [];
  #firstPieceMs: number | undefined;
  #usage: ChatUsage | undefined;
  #reason = "stop";

  constructor(options: OllamaAnswerOptions) {
    this.#options = options;
  }

  /** The documents that go out for a piece of a stream. */
  take(piece: ChatPiece): readonly JsonObject[] {
    this.#note(piece);
    if (piece.kind === "text") return [this.#document(this.#said(piece.text, "", piece.logprobs))];
    if (piece.kind === "refusal") return [this.#document(this.#said(piece.text, "", []))];
    if (piece.kind !== "reasoning" || !this.#options.thinks) return [];
    return [this.#document(this.#said("", piece.text, []))];
  }

  /** The documents that end a stream. */
  finish(): readonly JsonObject[] {
    const calls = this.#toolCalls();
    const called =
      calls.length === 0 ? [] : [this.#document({ message: { role: "assistant", content: "", ...calls[0] } })];
    return [...called, this.#last(this.#said("", "", []), this.#firstPieceMs ?? 0)];
  }

  /** The one document of an answer that is not streamed. */
  whole(pieces: readonly ChatPiece[]): JsonObject {
    for (const piece of pieces) this.#note(piece);
    const joined = (kind: "text" | "reasoning" | "refusal") =>
      pieces.map((piece) => (piece.kind === kind ? piece.text : "")).join("");
    const logprobs = pieces.flatMap((piece) => (piece.kind === "text" ? piece.logprobs : []));
    const text = joined("text") + joined("refusal");
    const said = this.#said(text, this.#options.thinks ? joined("reasoning") : "", logprobs);
    const [calls] = this.#toolCalls();
    const message = this.#options.shape === "chat" ? { message: { ...(said.message as object), ...calls } } : {};
    // Nobody saw the first token: all of the time counts as spent on tokens.
    return this.#last({ ...said, ...message }, 0);
  }

  /** Keeps what is said at the end. */
  #note(piece: ChatPiece): void {
    this.#firstPieceMs ??= this.#options.context.elapsedMs();
    if (piece.kind === "call") this.#calls.push({ name: piece.name, arguments: "", id: piece.id });
    else if (piece.kind === "finish") this.#reason = piece.reason;
    else if (piece.kind === "usage") this.#usage = piece.usage;
    else if (piece.kind === "arguments") {
      const call = this.#calls[piece.call];
      if (call !== undefined) call.arguments += piece.text;
    }
  }

  #said(text: string, thinking: string, logprobs: readonly unknown[]): JsonObject {
    const thought = thinking === "" ? {} : { thinking };
    const chances = logprobs.length === 0 ? {} : { logprobs };
    if (this.#options.shape === "generate") return { response: text, ...thought, ...chances };
    return { message: { role: "assistant", content: text, ...thought }, ...chances };
  }

  #document(said: JsonObject, done = false): JsonObject {
    const { model, context } = this.#options;
    const at = new Date(context.nowSeconds * 1_000 + context.elapsedMs());
    return { model, created_at: at.toISOString(), ...said, done };
  }

  #last(said: JsonObject, firstPieceMs: number): JsonObject {
    const totalMs = this.#options.context.elapsedMs();
    return {
      ...this.#document(said, true),
      done_reason: this.#reason === "length" ? "length" : "stop",
      total_duration: nanoseconds(totalMs),
      load_duration: 0,
      prompt_eval_count: this.#usage?.promptTokens ?? 0,
      prompt_eval_duration: nanoseconds(firstPieceMs),
      eval_count: this.#usage?.completionTokens ?? 0,
      eval_duration: nanoseconds(totalMs - firstPieceMs),
    };
  }

  /** None, or one field with all calls. */
  #toolCalls(): readonly { readonly tool_calls: readonly JsonObject[] }[] {
    if (this.#calls.length === 0 || this.#options.shape === "generate") return [];
    const calls = this.#calls.map(({ id, name, arguments: text }, index) => ({
      ...(id === undefined ? {} : { id }),
      function: { index, name, arguments: parseArguments(text) },
    }));
    return [{ tool_calls: calls }];
  }
}

function parseArguments(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw badAnswer("the arguments of a tool call are not JSON", cause);
  }
}

/** The answer to a chat completion, or a completion, as Ollama gives it at once. @throws NexusError `backend_error` */
function toOllamaAnswer(body: Buffer, options: OllamaAnswerOptions): Buffer {
  const pieces = new ChatPieceReader().whole(body);
  return Buffer.from(JSON.stringify(new OllamaAnswer(options).whole(pieces)));
}

/** The stream of a chat completion, or a completion, as Ollama gives it. */
function toOllamaStream(options: OllamaAnswerOptions): StreamTranslator {
  const reader = new ChatPieceReader();
  const answer = new OllamaAnswer(options);
  const toEvents = (documents: readonly JsonObject[]): readonly StreamEvent[] =>
    documents.map((document) => ({ data: JSON.stringify(document) }));
  return {
    push: (event) => toEvents(reader.event(event).flatMap((piece) => answer.take(piece))),
    end: () => toEvents(answer.finish()),
  };
}

/** A request in the words of a backend, and the way back in Ollama's. @throws NexusError `missing_model` */
export function toOllamaTranslation(
  shape: OllamaAnswerOptions["shape"],
  body: object,
  request: JsonObject,
  context: TranslationContext,
): Translation {
  const options = { model: requiredModel(request), shape, thinks: request.think !== false, context };
  return {
    body: Buffer.from(JSON.stringify(body)),
    whole: (answer) => toOllamaAnswer(answer, options),
    stream: () => toOllamaStream(options),
  };
}
