import { badAnswer } from "./chat-pieces.ts";
import { JsonEnd } from "./json-end.ts";
import { isObject, type JsonObject } from "./request-fields.ts";

/**
 * Anthropic signs thoughts, so that it knows them again; nobody checks this one. It is there because clients drop
 * thoughts without a signature instead of sending them back, which models want while they work with tools.
 */
const signature = "unsigned";

/** One block of an answer while it is made. What it has to say waits in it until its turn. */
export interface AnswerBlock {
  /** What a client sees when it begins. */
  readonly start: JsonObject;
  /** Whether the next block may begin. */
  readonly isComplete: boolean;
  /** The deltas that have come since the last call. */
  take(): readonly JsonObject[];
  /** The deltas that end it. */
  finish(): readonly JsonObject[];
  /** The block as a whole answer has it. `isCut`: the answer ended before its time. */
  whole(isCut: boolean): JsonObject;
}

/** Text as it comes, told to the client in the same pieces. */
class Pieces {
  text = "";
  #waiting = "";

  add(text: string): void {
    this.text += text;
    this.#waiting += text;
  }

  take(): string {
    const taken = this.#waiting;
    this.#waiting = "";
    return taken;
  }
}

export class TextBlock implements AnswerBlock {
  readonly start = { type: "text", text: "" };
  readonly isComplete = true;
  readonly #pieces = new Pieces();

  add(text: string): void {
    this.#pieces.add(text);
  }

  take(): readonly JsonObject[] {
    const text = this.#pieces.take();
    return text === "" ? [] : [{ type: "text_delta", text }];
  }

  finish(): readonly JsonObject[] {
    return [];
  }

  whole(): JsonObject {
    return { type: "text", text: this.#pieces.text };
  }
}

export class ThinkingBlock implements AnswerBlock {
  readonly start = { type: "thinking", thinking: "", signature: "" };
  readonly isComplete = true;
  readonly #pieces = new Pieces();

  add(text: string): void {
    this.#pieces.add(text);
  }

  take(): readonly JsonObject[] {
    const thinking = this.#pieces.take();
    return thinking === "" ? [] : [{ type: "thinking_delta", thinking }];
  }

  finish(): readonly JsonObject[] {
    return [{ type: "signature_delta", signature }];
  }

  whole(): JsonObject {
    return { type: "thinking", thinking: this.#pieces.text, signature };
  }
}

export class ToolUseBlock implements AnswerBlock {
  readonly start: JsonObject;
  readonly #pieces = new Pieces();
  readonly #end = new JsonEnd();

  constructor(id: string, name: string) {
    this.start = { type: "tool_use", id, name, input: {} };
  }

  /** Its arguments are whole: servers may still go on with it while another call has begun. */
  get isComplete(): boolean {
    return this.#end.isComplete;
  }

  add(text: string): void {
    this.#pieces.add(text);
    this.#end.push(text);
  }

  take(): readonly JsonObject[] {
    const json = this.#pieces.take();
    return json === "" ? [] : [{ type: "input_json_delta", partial_json: json }];
  }

  finish(): readonly JsonObject[] {
    return [];
  }

  whole(isCut: boolean): JsonObject {
    return { ...this.start, input: inputOf(this.#pieces.text, isCut) };
  }
}

/** Some models leave out the arguments of a tool that needs none. */
function inputOf(json: string, isCut: boolean): JsonObject {
  if (json.trim() === "") return {};
  try {
    const input: unknown = JSON.parse(json);
    if (isObject(input)) return input;
    if (input === null) return {};
  } catch (cause) {
    if (isCut) return {};
    throw badAnswer("the arguments of a tool call are no JSON", cause);
  }
  throw badAnswer("the arguments of a tool call are no object");
}
