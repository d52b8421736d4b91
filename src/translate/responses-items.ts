import type { JsonObject } from "./request-fields.ts";

/** How an output item ended: `incomplete` when the answer was cut in its middle. */
export type ItemEnd = "completed" | "incomplete";

/** One item of a response's output while it is made. Every method gives the events that its doing causes, in order. */
export interface OutputItem {
  readonly isDone: boolean;
  open(): readonly JsonObject[];
  close(end: ItemEnd): readonly JsonObject[];
  /** The item as it stands. */
  value(): JsonObject;
}

/** Where an item stands: its id, and its place in the output. */
export interface ItemPlace {
  readonly id: string;
  readonly index: number;
}

abstract class Item implements OutputItem {
  readonly #place: ItemPlace;
  protected end: ItemEnd | undefined;

  constructor(place: ItemPlace) {
    this.#place = place;
  }

  get isDone(): boolean {
    return this.end !== undefined;
  }

  open(): readonly JsonObject[] {
    return [{ type: "response.output_item.added", output_index: this.#place.index, item: this.value() }];
  }

  close(end: ItemEnd): readonly JsonObject[] {
    const events = this.closeParts();
    this.end = end;
    return [...events, { type: "response.output_item.done", output_index: this.#place.index, item: this.value() }];
  }

  value(): JsonObject {
    return { id: this.#place.id, ...this.fields(), status: this.end ?? "in_progress" };
  }

  /** An event about this item. */
  protected event(type: string, fields: JsonObject): JsonObject {
    return { type, item_id: this.#place.id, output_index: this.#place.index, ...fields };
  }

  protected abstract fields(): JsonObject;
  protected abstract closeParts(): readonly JsonObject[];
}

/** What a model says to the user: text, or why it refuses. */
export class MessageItem extends Item {
  readonly #parts: { readonly type: "output_text" | "refusal"; text: string; logprobs: unknown[] }[] = [];

  add(type: "output_text" | "refusal", text: string, logprobs: readonly unknown[]): readonly JsonObject[] {
    const events: JsonObject[] = [];
    if (this.#parts.at(-1)?.type !== type) {
      events.push(...this.closeParts());
      this.#parts.push({ type, text: "", logprobs: [] });
      events.push(this.#partEvent("response.content_part.added", { part: this.#lastPart() }));
    }
    const part = this.#parts.at(-1);
    if (part === undefined) return events;
    part.text += text;
    part.logprobs.push(...logprobs);
    const delta = type === "output_text" ? { delta: text, logprobs } : { delta: text };
    return [...events, this.#partEvent(`response.${type}.delta`, delta)];
  }

  protected fields(): JsonObject {
    return { type: "message", role: "assistant", content: this.#parts.map(partValue) };
  }

  protected closeParts(): readonly JsonObject[] {
    const part = this.#parts.at(-1);
    if (part === undefined) return [];
    const { type, text, logprobs } = part;
    return [
      this.#partEvent(`response.${type}.done`, type === "output_text" ? { text, logprobs } : { refusal: text }),
      this.#partEvent("response.content_part.done", { part: this.#lastPart() }),
    ];
  }

  #partEvent(type: string, fields: JsonObject): JsonObject {
    return this.event(type, { content_index: this.#parts.length - 1, ...fields });
  }

  #lastPart(): JsonObject {
    return this.#parts.map(partValue).at(-1) ?? {};
  }
}

function partValue(part: { readonly type: string; readonly text: string; readonly logprobs: readonly unknown[] }) {
  const { type, text, logprobs } = part;
  return type === "output_text" ? { type, annotations: [], logprobs: [...logprobs], text } : { type, refusal: text };
}

/** What a model thought, in the one summary that a chat completion has of it. */
export class ReasoningItem extends Item {
  #text = "";

  add(text: string): readonly JsonObject[] {
    const events =
      this.#text === "" ? [this.#partEvent("response.reasoning_summary_part.added", { part: this.#part() })] : [];
    this.#text += text;
    return [...events, this.#partEvent("response.reasoning_summary_text.delta", { delta: text })];
  }

  protected fields(): JsonObject {
    return { type: "reasoning", summary: this.#text === "" ? [] : [this.#part()] };
  }

  protected closeParts(): readonly JsonObject[] {
    if (this.#text === "") return [];
    return [
      this.#partEvent("response.reasoning_summary_text.done", { text: this.#text }),
      this.#partEvent("response.reasoning_summary_part.done", { part: this.#part() }),
    ];
  }

  #partEvent(type: string, fields: JsonObject): JsonObject {
    return this.event(type, { summary_index: 0, ...fields });
  }

  #part(): JsonObject {
    return { type: "summary_text", text: this.#text };
  }
}

/** A function that the model calls. */
export class CallItem extends Item {
  readonly #callId: string;
  readonly #name: string;
  #arguments = "";

  constructor(place: ItemPlace, callId: string, name: string) {
    super(place);
    this.#callId = callId;
    this.#name = name;
  }

  add(text: string): readonly JsonObject[] {
    this.#arguments += text;
    return [this.event("response.function_call_arguments.delta", { delta: text })];
  }

  /** Whether the arguments can be all that there are. */
  get isWhole(): boolean {
    try {
      JSON.parse(this.#arguments);
      return true;
    } catch {
      return false;
    }
  }

  protected fields(): JsonObject {
    return { type: "function_call", call_id: this.#callId, name: this.#name, arguments: this.#arguments };
  }

  protected closeParts(): readonly JsonObject[] {
    return [this.event("response.function_call_arguments.done", { name: this.#name, arguments: this.#arguments })];
  }
}
