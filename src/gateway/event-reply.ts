import type { OutgoingHttpHeader } from "node:http";
import { parseEvents, type StreamEvent } from "../openai/stream-events.ts";
import { CollectedReply } from "./collected-reply.ts";

/**
 * Hands the events of an answer on as they come, and collects an answer that is no stream. The gateway writes whole
 * events.
 */
export class EventReply extends CollectedReply {
  readonly #onEvent: (event: StreamEvent) => void;
  #isStream = false;

  constructor(bytesMax: number, onEvent: (event: StreamEvent) => void) {
    super(bytesMax);
    this.#onEvent = onEvent;
  }

  override writeHead(status: number, headers: Readonly<Record<string, OutgoingHttpHeader>> = {}): void {
    this.#isStream = String(headers["content-type"]).startsWith("text/event-stream");
    super.writeHead(status, headers);
  }

  override write(chunk: Buffer | string): boolean {
    if (!this.#isStream) return super.write(chunk);
    parseEvents(typeof chunk === "string" ? Buffer.from(chunk) : chunk).forEach(this.#onEvent);
    return true;
  }
}
