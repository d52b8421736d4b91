import { connect, type Socket } from "node:net";
import { type AnswerConnection, type AnswerHandler, AnswerReader } from "./answer-reader.ts";
import { type Flushable, flushAtTurnEnd } from "./turn-end.ts";

/** The code of the error of a connection that took too long to make, as undici has it. */
export const connectTimeoutCode = "UND_ERR_CONNECT_TIMEOUT";

/** Where a server listens, and how it is called in requests. */
export interface Origin {
  readonly hostname: string;
  readonly port: number;
  /** For the `host` header. */
  readonly host: string;
}

/** A request whose head is checked and written out. */
export interface WireRequest {
  readonly isHead: boolean;
  /** Request line and headers, with the blank line. */
  readonly head: string;
  readonly body: Buffer | null;
}

/** What a connection tells the pool that it belongs to. */
export interface ConnectionOwner {
  readonly connectMs: number;
  readonly idleMsMax: number;
  /** Ready for the next request. */
  freed(connection: UpstreamConnection): void;
  closed(connection: UpstreamConnection): void;
}

/** Bodies up to this size are copied behind their head: one system call costs more than copying them. */
const copyBytesMax = 32 * 1024;

/**
 * All connections read into the same bytes, one after the other: what is in them is used up before the next read. Made
 * when it is first needed.
 */
let readBytes: Buffer | undefined;
const readBytesSize = 64 * 1024;

function sharedReadBytes(): Buffer {
  readBytes ??= Buffer.allocUnsafeSlow(readBytesSize);
  return readBytes;
}

/** One connection to a server: one request at a time. It is used again only when nothing at all is left over. */
export class UpstreamConnection implements AnswerConnection, Flushable {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  #reader: AnswerReader | undefined;
  /** The request that goes out at the end of this turn. */
  #unsent: WireRequest | undefined;
  /** When it must not be used any more, in ms of `performance.now`. */
  #expiresAt = 0;
  #isStopped = false;
  #error: Error | undefined;

  constructor(origin: Origin, owner: ConnectionOwner) {
    this.#owner = owner;
    const bytes = sharedReadBytes();
    const socket = connect({
      host: origin.hostname,
      port: origin.port,
      noDelay: true,
      onread: {
        buffer: bytes,
        callback: (length) => this.#onRead(bytes.subarray(0, length)),
      },
    });
    this.#socket = socket;
    const timer = setTimeout(() => {
      this.#error = Object.assign(new Error("no connection in time"), { code: connectTimeoutCode });
      socket.destroy();
    }, owner.connectMs);
    socket.once("connect", () => clearTimeout(timer));
    socket.on("end", () => this.#reader?.end());
    socket.on("error", (error) => {
      this.#error ??= error;
    });
    socket.once("close", () => {
      clearTimeout(timer);
      owner.closed(this);
      this.#reader?.fail(this.#error ?? new Error("the server closed the connection"));
    });
  }

  /** Whether a request may be sent now. */
  isUsable(now: number): boolean {
    return now < this.#expiresAt && !this.#socket.destroyed && this.#socket.writable;
  }

  /** Sends a request, at once or as soon as the connection stands. */
  send(request: WireRequest, handler: AnswerHandler): void {
    const reader = new AnswerReader(handler, this, request.isHead);
    this.#reader = reader;
    handler.onRequestStart(reader);
    if (reader.isOver) return;
    this.#unsent = request;
    flushAtTurnEnd(this);
  }

  flush(): void {
    const request = this.#unsent;
    this.#unsent = undefined;
    if (request === undefined || this.#socket.destroyed) return;
    const { head, body } = request;
    const socket = this.#socket;
    if (body === null) {
      socket.write(head, "latin1");
    } else if (body.length <= copyBytesMax) {
      const bytes = Buffer.allocUnsafe(head.length + body.length);
      bytes.set(body, bytes.write(head, 0, "latin1"));
      socket.write(bytes);
    } else {
      socket.cork();
      socket.write(head, "latin1");
      socket.write(body);
      socket.uncork();
    }
  }

  finished(idleMs: number): void {
    this.#reader = undefined;
    const socket = this.#socket;
    // An answer that came before the request was out leaves the rest of it on the way.
    if (idleMs <= 0 || socket.writableLength > 0 || !socket.writable) {
      socket.destroy();
      return;
    }
    if (this.#isStopped) this.resume();
    this.#expiresAt = performance.now() + Math.min(idleMs, this.#owner.idleMsMax);
    this.#owner.freed(this);
  }

  resume(): void {
    this.#isStopped = false;
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #onRead(bytes: Buffer): boolean {
    // Nothing was asked yet: whatever this is, the next answer must not begin with it.
    if (this.#reader === undefined || this.#unsent !== undefined) this.#socket.destroy();
    else this.#isStopped = !this.#reader.read(bytes);
    return !this.#isStopped;
  }
}
