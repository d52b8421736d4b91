import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { tones } from "./fake-audio.ts";
import { type FakeFaults, pauseUnlessGone } from "./fake-faults.ts";
import { isObject } from "./fake-reply.ts";

/** One conversation over a WebSocket. */
export interface FakeSession {
  readonly model: string;
  readonly words: readonly string[];
  readonly faults: FakeFaults;
  /** Called when an answer begins. The function that it returns is called when that one ends, however it does. */
  readonly onAnswer: () => () => void;
  readonly onMessage: (message: Readonly<Record<string, unknown>>) => void;
  readonly onClose: (code: number) => void;
}

const server = new WebSocketServer({ noServer: true, clientTracking: false });

/** Takes over a connection that asked to be upgraded and speaks OpenAI's Realtime API on it. */
export function openRealtime(request: IncomingMessage, socket: Duplex, head: Buffer, session: FakeSession): void {
  server.handleUpgrade(request, socket, head, (client) => {
    const gone = new AbortController();
    const talk = new Talk(client, session, gone.signal);
    client.on("message", (data, isBinary) => void talk.hear(data, isBinary));
    client.on("close", (code) => {
      gone.abort();
      session.onClose(code);
    });
    client.on("error", () => {});
    talk.send({ type: "session.created", session: talk.describe() });
  });
}

class Talk {
  readonly #client: WebSocket;
  readonly #session: FakeSession;
  readonly #gone: AbortSignal;
  #settings: Readonly<Record<string, unknown>> = {};
  #events = 0;
  #answers = 0;
  #pieces = 0;
  #cancelled = false;

  constructor(client: WebSocket, session: FakeSession, gone: AbortSignal) {
    this.#client = client;
    this.#session = session;
    this.#gone = gone;
  }

  describe(): object {
    const { model } = this.#session;
    return {
      type: "realtime",
      object: "realtime.session",
      id: "sess_fake",
      model,
      output_modalities: ["text"],
      ...this.#settings,
    };
  }

  send(event: Readonly<Record<string, unknown>>): void {
    if (this.#gone.aborted) return;
    this.#events += 1;
    this.#client.send(JSON.stringify({ event_id: `event_${this.#events}`, ...event }));
  }

  async hear(data: RawData, isBinary: boolean): Promise<void> {
    const message = isBinary ? undefined : parse(data);
    if (message === undefined) return this.#refuse("The message is no JSON object.", undefined);
    this.#session.onMessage(message);
    switch (message.type) {
      case "session.update":
        this.#settings = { ...this.#settings, ...(isObject(message.session) ? message.session : {}) };
        return this.send({ type: "session.updated", session: this.describe() });
      case "conversation.item.create":
        return this.send({ type: "conversation.item.added", previous_item_id: null, item: message.item });
      case "input_audio_buffer.append":
        return;
      case "input_audio_buffer.commit":
        return this.send({ type: "input_audio_buffer.committed", previous_item_id: null, item_id: "item_heard" });
      case "response.create":
        return await this.#answer(wantsSound(message, this.#settings));
      case "response.cancel":
        this.#cancelled = true;
        return;
      default:
        return this.#refuse(`Unknown type '${String(message.type)}'.`, message.event_id);
    }
  }

  #refuse(message: string, eventId: unknown): void {
    const error = { type: "invalid_request_error", code: "invalid_value", message, param: "type", event_id: eventId };
    this.send({ type: "error", error });
  }

  async #answer(isSound: boolean): Promise<void> {
    const ended = this.#session.onAnswer();
    try {
      await this.#say(isSound);
    } finally {
      ended();
    }
  }

  async #say(isSound: boolean): Promise<void> {
    const { words, faults } = this.#session;
    this.#answers += 1;
    this.#cancelled = false;
    const id = `resp_${this.#answers}`;
    const place = { response_id: id, item_id: `item_${this.#answers}`, output_index: 0, content_index: 0 };
    const item = { id: place.item_id, object: "realtime.item", type: "message", role: "assistant" };
    const response = (status: string, more: object) => ({
      object: "realtime.response",
      id,
      status,
      output: [],
      ...more,
    });
    this.send({ type: "response.created", response: response("in_progress", { usage: null }) });
    this.send({ type: "response.output_item.added", ...place, item: { ...item, status: "in_progress", content: [] } });
    const kind = isSound ? "response.output_audio" : "response.output_text";
    const deltas = isSound ? tones(words).map((piece) => piece.toString("base64")) : words;
    await pauseUnlessGone(faults.delayFirstByteMs, this.#gone);
    for (const delta of deltas) {
      if (this.#gone.aborted || this.#cancelled) break;
      if (faults.truncateAfterChunks === this.#pieces) return this.#client.terminate();
      if (faults.stallAfterChunks === this.#pieces) return await untilGone(this.#gone);
      this.send({ type: `${kind}.delta`, ...place, delta });
      this.#pieces += 1;
      await pauseUnlessGone(faults.chunkDelayMs, this.#gone);
      await nextTurn();
    }
    this.send({ type: `${kind}.done`, ...place, ...(isSound ? {} : { text: words.join("") }) });
    this.send({ type: "response.output_item.done", ...place, item: { ...item, status: "completed" } });
    const usage = { input_tokens: 3, output_tokens: words.length, total_tokens: 3 + words.length };
    const status = this.#cancelled ? "cancelled" : "completed";
    this.send({ type: "response.done", response: response(status, { output: [item], usage }) });
  }
}

function parse(data: RawData): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(data.toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function wantsSound(message: Readonly<Record<string, unknown>>, settings: Readonly<Record<string, unknown>>): boolean {
  const asked = isObject(message.response) ? message.response.output_modalities : undefined;
  const modalities = asked ?? settings.output_modalities;
  return Array.isArray(modalities) && modalities.includes("audio");
}

async function untilGone(gone: AbortSignal): Promise<void> {
  if (gone.aborted) return;
  await new Promise<void>((resolve) => gone.addEventListener("abort", () => resolve(), { once: true }));
}
