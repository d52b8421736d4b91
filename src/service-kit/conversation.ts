import type { RawData, WebSocket } from "ws";
import type { Clock } from "../base/clock.ts";
import { toErrorBody } from "../base/error-body.ts";
import { NexusError } from "../base/errors.ts";
import type { RealtimeEvent, RealtimeSocket } from "./realtime.ts";

/** Why a WebSocket is closed (RFC 6455, 7.4.1). */
export const closeCodes = { done: 1000, goingAway: 1001, lost: 1006, failed: 1011 } as const;

/** Events that wait to be read; further ones stay with the client. */
const unreadMax = 32;
/** What a listener has not taken yet. Whoever sends without waiting for it would fill the memory otherwise. */
const unsentBytesMax = 16 * 1024 * 1024;
/** How long a client may take to answer the closing of its WebSocket before it is cut off. */
const closeMs = 1_000;

export interface ConversationOptions {
  readonly clock: Clock;
  /** Pause between pings. A client that misses two is gone: whatever else it does, its own library answers them. */
  readonly pingMs: number;
  /** Aborts when the conversation is over. */
  readonly signal: AbortSignal;
  /** Called once, when the WebSocket is closed, with the code of its end. */
  readonly onClose: (code: number) => void;
}

/** What the kit makes of an open WebSocket. */
export class Conversation implements RealtimeSocket {
  readonly events: AsyncIterable<RealtimeEvent>;
  readonly #socket: WebSocket;
  readonly #options: ConversationOptions;
  readonly #closed = Promise.withResolvers<void>();
  readonly #unread: RealtimeEvent[] = [];
  readonly #work = new Set<Promise<unknown>>();
  #isHeard = true;
  #wake = (): void => {};
  #stopPings = (): void => {};
  #missedPings = 0;
  #sent = 0;
  #failWork: (error: unknown) => void;
  /** Rejects with what failed beside the reading. */
  readonly failure: Promise<never>;

  constructor(socket: WebSocket, options: ConversationOptions) {
    const failed = Promise.withResolvers<never>();
    this.#socket = socket;
    this.#options = options;
    this.#failWork = failed.reject;
    this.failure = failed.promise;
    this.failure.catch(() => {});
    this.events = this.#read();
    socket.on("message", (data, isBinary) => this.#hear(data, isBinary));
    socket.on("pong", () => {
      this.#missedPings = 0;
    });
    // What is wrong with a frame closes the connection by itself, with a code that says so.
    socket.on("error", () => {});
    socket.on("close", (code) => {
      this.#stopPings();
      this.stopListening();
      options.onClose(code);
      this.#closed.resolve();
    });
    this.#ping();
  }

  async send(event: RealtimeEvent): Promise<void> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    this.#sent += 1;
    const text = JSON.stringify({ event_id: `event_${this.#sent}`, ...event });
    if (this.#socket.bufferedAmount > unsentBytesMax) this.#socket.terminate();
    await new Promise<void>((resolve) => this.#socket.send(text, () => resolve()));
    signal.throwIfAborted();
  }

  async refuse(event: Partial<RealtimeEvent>, error: NexusError): Promise<void> {
    const about = typeof event.event_id === "string" ? event.event_id : null;
    await this.send({ type: "error", error: { ...toErrorBody(error).error, event_id: about } });
  }

  waitUntil(work: Promise<unknown>): void {
    const ended = work.catch(this.#failWork).finally(() => this.#work.delete(ended));
    this.#work.add(ended);
  }

  /** Resolves when all work that is waited for has ended, also what has begun meanwhile. */
  async settled(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /** Ends `events`, once those that have come already are read. */
  stopListening(): void {
    this.#isHeard = false;
    this.#wake();
  }

  /** Closes the WebSocket and waits for its end. Whoever does not answer the closing is cut off. */
  async close(code: number, reason = ""): Promise<void> {
    // A socket that is held back would not hear the client's own closing words.
    this.#socket.resume();
    this.#socket.close(code, reason);
    const giveUp = this.#options.clock.after(closeMs, () => this.#socket.terminate());
    await this.#closed.promise;
    giveUp();
  }

  async *#read(): AsyncGenerator<RealtimeEvent> {
    for (;;) {
      const event = this.#unread.shift();
      if (event !== undefined) {
        if (this.#unread.length < unreadMax / 2) this.#socket.resume();
        yield event;
      } else if (this.#isHeard) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else return;
    }
  }

  #hear(data: RawData, isBinary: boolean): void {
    if (!this.#isHeard) return;
    const event = isBinary ? undefined : parseEvent(data);
    if (event === undefined) {
      const error = new NexusError("invalid_json", "A message must be a JSON object, as text, with a `type`.");
      this.refuse({}, error).catch(() => {});
      return;
    }
    this.#unread.push(event);
    if (this.#unread.length >= unreadMax) this.#socket.pause();
    this.#wake();
  }

  /** A socket that is held back hears no pongs either, which is not its client's fault. */
  #ping(): void {
    const { clock, pingMs } = this.#options;
    this.#stopPings = clock.after(pingMs, () => {
      if (this.#socket.isPaused) this.#missedPings = 0;
      else if (this.#missedPings >= 2) return this.#socket.terminate();
      this.#missedPings += 1;
      if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
      this.#ping();
    });
  }
}

function parseEvent(data: RawData): RealtimeEvent | undefined {
  try {
    const value: unknown = JSON.parse(data.toString());
    const isEvent = typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
    return isEvent ? (value as RealtimeEvent) : undefined;
  } catch {
    return undefined;
  }
}
