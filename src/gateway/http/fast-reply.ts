import type { OutgoingHttpHeader } from "node:http";
import type { Socket } from "node:net";
import { http } from "../../base/node-http.ts";
import type { ClientReply } from "../client-io.ts";
import { httpDate } from "./http-date.ts";
import { keepAliveMs } from "./limits.ts";
import { type Flushable, flushAtTurnEnd } from "./turn-end.ts";

/** What an answer needs of the connection that it goes out over. */
export interface ReplyChannel {
  readonly socket: Socket;
  /** Whether another request may follow on the connection; asked when the head is written. */
  keepsAlive(): boolean;
  /** This answer is to be the last one on the connection. */
  closeAfter(): void;
  /** The answer was handed to the system, to its last byte. */
  replied(): void;
}

/** What no header may carry: it would end the header, or be read differently by two readers. */
const unsendable = /[^\t\x20-\x7e\x80-\xff]/;
/** More than this waiting for a client means that it reads too slowly. The same as Node's sockets. */
const waitingBytesMax = 64 * 1024;
/** Pieces up to this size are copied together: one system call costs more than copying them. */
const copyBytesMax = 32 * 1024;
const keepingEnd = `connection: keep-alive\r\nkeep-alive: timeout=${keepAliveMs / 1_000}\r\n\r\n`;
const closingEnd = "connection: close\r\n\r\n";

/**
 * An answer of the fast path. The head and all pieces of one turn of the event loop leave in one write; an answer
 * without a `content-length` goes out in chunks.
 */
export class FastReply implements ClientReply, Flushable {
  status = 200;
  headersSent = false;
  readonly #channel: ReplyChannel;
  readonly #names: string[] = [];
  readonly #values: OutgoingHttpHeader[] = [];
  readonly #closeListeners: ((finished: boolean) => void)[] = [];
  #drainListeners: (() => void)[] = [];
  #isChunked = false;
  /** Bytes of the body that the head promised and that were not written yet. */
  #promised = 0;
  #head = "";
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isFlushPlanned = false;
  #isEnded = false;
  #isLastSent = false;
  #isClosed = false;

  constructor(channel: ReplyChannel) {
    this.#channel = channel;
  }

  /** Whether all of the answer is on its way. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  setHeader(name: string, value: OutgoingHttpHeader): void {
    const lower = name.toLowerCase();
    const index = this.#names.indexOf(lower);
    if (index === -1) {
      this.#names.push(lower);
      this.#values.push(value);
    } else this.#values[index] = value;
  }

  writeHead(status: number, headers: Readonly<Record<string, OutgoingHttpHeader>> = {}): void {
    if (this.headersSent) throw new TypeError("the head was sent before");
    for (const name in headers) this.setHeader(name, headers[name] ?? "");
    this.status = status;
    this.headersSent = true;
    const hasBody = status !== 204 && status !== 304;
    let length: number | undefined = hasBody ? undefined : 0;
    let closes = false;
    let text = `HTTP/1.1 ${status} ${http().STATUS_CODES[status] ?? ""}\r\n`;
    for (let index = 0; index < this.#names.length; index++) {
      const name = this.#names[index] ?? "";
      const value = this.#values[index] ?? "";
      if (name === "content-length") {
        // Where there is no body, its length would be the beginning of the next answer to some readers.
        if (!hasBody) continue;
        length = Number(value);
      }
      if (name === "connection") closes = value === "close";
      else if (Array.isArray(value)) for (const one of value) text += headerLine(name, one);
      else text += headerLine(name, String(value));
    }
    this.#isChunked = length === undefined;
    this.#promised = length ?? 0;
    if (this.#isChunked) text += "transfer-encoding: chunked\r\n";
    if (closes || !this.#channel.keepsAlive()) {
      this.#channel.closeAfter();
      closes = true;
    }
    this.#head = `${text}date: ${httpDate()}\r\n${closes ? closingEnd : keepingEnd}`;
    this.#planFlush();
  }

  write(chunk: Buffer | string): boolean {
    this.#push(chunk);
    this.#planFlush();
    return this.#waitingBytes + this.#channel.socket.writableLength <= waitingBytesMax;
  }

  onDrain(run: () => void): void {
    this.#drainListeners.push(run);
  }

  end(chunk?: Buffer | string): void {
    if (this.#isEnded || this.#isClosed) return;
    if (!this.headersSent) this.writeHead(this.status, { "content-length": lengthOf(chunk) });
    if (chunk !== undefined) this.#push(chunk);
    this.#isEnded = true;
    this.#planFlush();
  }

  destroy(): void {
    this.#channel.socket.destroy();
  }

  onClose(run: (finished: boolean) => void): void {
    this.#closeListeners.push(run);
  }

  /** Hands to the system what was written since the last time. */
  flush(): void {
    this.#isFlushPlanned = false;
    const isNothingNew = this.#head === "" && this.#waitingBytes === 0 && !this.#isEnded;
    if (this.#isClosed || this.#isLastSent || isNothingNew) return;
    this.#isLastSent = this.#isEnded;
    if (this.#promised < 0 || (this.#isEnded && this.#promised !== 0)) {
      // The client would take a part of the next answer for the end of this one.
      this.destroy();
      return;
    }
    this.#send();
    if (this.#channel.socket.writableNeedDrain) return;
    this.drained();
  }

  /** The socket has room again. */
  drained(): void {
    if (this.#drainListeners.length === 0) return;
    const listeners = this.#drainListeners;
    this.#drainListeners = [];
    for (const listener of listeners) listener();
  }

  /** Nothing more can go out: the answer is complete, or the connection is gone. */
  close(finished: boolean): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting = [];
    for (const listener of this.#closeListeners) listener(finished);
  }

  #push(chunk: Buffer | string): void {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    if (bytes.length === 0 || this.#isEnded || this.#isClosed) return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (!this.#isChunked) this.#promised -= bytes.length;
  }

  #planFlush(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    flushAtTurnEnd(this);
  }

  #send(): void {
    const { socket } = this.#channel;
    const pieces = this.#waiting;
    const bytes = this.#waitingBytes;
    const before = this.#isChunked && bytes > 0 ? `${this.#head}${bytes.toString(16)}\r\n` : this.#head;
    const after = this.#isChunked ? (bytes > 0 ? "\r\n" : "") + (this.#isEnded ? "0\r\n\r\n" : "") : "";
    this.#head = "";
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (bytes <= copyBytesMax) {
      socket.write(joined(before, pieces, before.length + bytes + after.length, after), this.#onSent());
      return;
    }
    socket.cork();
    socket.write(before, "latin1");
    for (const piece of pieces) socket.write(piece);
    socket.write(after, "latin1", this.#onSent());
    socket.uncork();
  }

  #onSent(): ((error?: Error | null) => void) | undefined {
    if (!this.#isEnded) return undefined;
    return (error) => {
      if (!error) this.#channel.replied();
    };
  }
}

function joined(before: string, pieces: readonly Buffer[], length: number, after: string): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let at = bytes.write(before, 0, "latin1");
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  if (after !== "") bytes.write(after, at, "latin1");
  return bytes;
}

function headerLine(name: string, value: string): string {
  if (unsendable.test(value)) throw new TypeError(`the value of the header '${name}' cannot be sent`);
  return `${name}: ${value}\r\n`;
}

function lengthOf(chunk: Buffer | string | undefined): number {
  return chunk === undefined ? 0 : Buffer.byteLength(chunk);
}
