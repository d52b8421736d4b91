import { parseEvents } from "./stream-events.ts";
import type { StreamKind } from "./stream-kinds.ts";
import { mergeUsage, type Usage, usageOf } from "./usage.ts";

/** An event larger than this is passed on in pieces: memory stays bounded whatever a backend sends. */
const eventBytesMax = 1024 * 1024;

const unixBlankLine = Buffer.from("\n\n");
const dosBlankLine = Buffer.from("\r\n\r\n");

/** How a stream ended, as far as its own bytes tell. */
export interface StreamEnding {
  /**
   * The last event, when nothing but its line breaks was missing: they are there now. Empty where it was cut in the
   * middle, which nobody may see.
   */
  readonly rest: Buffer;
  /** `[DONE]` came: the backend said everything. */
  readonly sawDone: boolean;
  /** Nothing is missing, even if the backend never says `[DONE]`. */
  readonly isComplete: boolean;
  /** The backend reported an error in the stream. */
  readonly sawError: boolean;
}

/** What a stream has cost so far, as far as its own bytes tell. */
export interface StreamTally {
  readonly usage: Usage | undefined;
  /** Events with data, the marker included: most carry a token, and none carries less. */
  readonly events: number;
}

/**
 * Cuts a stream of server-sent events (WHATWG HTML, 9.2) at event boundaries, so that a client never gets half an
 * event before an error, and notes on the way what the events say. The bytes themselves stay as they are.
 */
export class EventStreamFramer {
  readonly #kind: StreamKind;
  #held: Buffer = Buffer.alloc(0);
  #usage: Usage | undefined;
  #events = 0;
  #sawDone = false;
  #sawFinish = false;
  #sawError = false;

  constructor(kind: StreamKind) {
    this.#kind = kind;
  }

  /** Takes what the backend sent and returns all whole events so far; empty when none is whole yet. */
  push(chunk: Buffer): Buffer {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const end = lastBoundary(bytes);
    if (end === 0 && bytes.length <= eventBytesMax) {
      this.#held = bytes;
      return Buffer.alloc(0);
    }
    const whole = end === 0 ? bytes : bytes.subarray(0, end);
    this.#held = end === 0 ? Buffer.alloc(0) : bytes.subarray(end);
    this.#observe(whole);
    return whole;
  }

  /** Call once, after the last chunk. */
  end(): StreamEnding {
    const rest = finishedEvent(this.#held);
    this.#held = Buffer.alloc(0);
    this.#observe(rest);
    const { endsWithDone, lastEvents } = this.#kind;
    return {
      rest,
      sawDone: this.#sawDone,
      isComplete: this.#sawDone || this.#sawFinish || (!endsWithDone && lastEvents.length === 0),
      sawError: this.#sawError,
    };
  }

  get tally(): StreamTally {
    return { usage: this.#usage, events: this.#events };
  }

  #observe(events: Buffer): void {
    this.#events += countEvents(events);
    this.#sawDone ||= lineStarts(events, "[DONE]");
    this.#sawError ||= lineStarts(events, '{"error"') || events.includes("event: error");
    this.#sawFinish ||= this.#kind.endsWithDone ? sawFinishReason(events) : sawLastEvent(events, this.#kind.lastEvents);
    for (let at = events.indexOf('"usage"'); at !== -1; at = events.indexOf('"usage"', at + 1)) {
      this.#usage = mergeUsage(this.#usage, readUsageLine(events, at));
    }
  }
}

function lastBoundary(bytes: Buffer): number {
  const unix = bytes.lastIndexOf(unixBlankLine);
  const dos = bytes.lastIndexOf(dosBlankLine);
  return Math.max(unix === -1 ? 0 : unix + unixBlankLine.length, dos === -1 ? 0 : dos + dosBlankLine.length);
}

/** What only lacks its line breaks, with them. JSON that was cut anywhere is none. */
function finishedEvent(held: Buffer): Buffer {
  const text = held.toString("utf8").replace(/[\r\n]+$/, "");
  const data = parseEvents(Buffer.from(text)).at(-1)?.data;
  return data !== undefined && (data === "[DONE]" || isJson(data)) ? Buffer.from(`${text}\n\n`) : Buffer.alloc(0);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const dataField = Buffer.from("data:");

function countEvents(events: Buffer): number {
  let count = 0;
  for (let at = events.indexOf(dataField); at !== -1; at = events.indexOf(dataField, at + dataField.length)) {
    if (at === 0 || events[at - 1] === 0x0a) count++;
  }
  return count;
}

/** Whether a `data:` line begins with `text`. Inside JSON a line break is escaped, so content cannot fake one. */
function lineStarts(events: Buffer, text: string): boolean {
  return hasLine(events, [`data: ${text}`, `data:${text}`]);
}

function sawLastEvent(events: Buffer, names: readonly string[]): boolean {
  return names.some((name) =>
    hasLine(events, [`event: ${name}`, `event:${name}`, `data: {"type":"${name}"`, `data: {"type": "${name}"`]),
  );
}

function hasLine(events: Buffer, beginnings: readonly string[]): boolean {
  for (const field of beginnings) {
    for (let at = events.indexOf(field); at !== -1; at = events.indexOf(field, at + 1)) {
      if (at === 0 || events[at - 1] === 0x0a || events[at - 1] === 0x0d) return true;
    }
  }
  return false;
}

function sawFinishReason(events: Buffer): boolean {
  const at = events.lastIndexOf('"finish_reason"');
  return at !== -1 && /^"finish_reason":\s*"/.test(events.toString("latin1", at, at + 32));
}

function readUsageLine(events: Buffer, at: number): Partial<Usage> | undefined {
  const lineEnd = events.indexOf(0x0a, at);
  const line = events.toString("utf8", events.lastIndexOf(0x0a, at) + 1, lineEnd === -1 ? events.length : lineEnd);
  if (!line.startsWith("data:")) return undefined;
  try {
    return usageOf(JSON.parse(line.slice("data:".length)));
  } catch {
    return undefined;
  }
}
