import type { Socket } from "node:net";
import type { ClientReply, ClientRequest } from "../client-io.ts";
import { FastReply, type ReplyChannel } from "./fast-reply.ts";
import { FastRequest } from "./fast-request.ts";
import { headersTimeoutMs, keepAliveMs, lingerMs, readingMs, refusedBodyMs, requestTimeoutMs } from "./limits.ts";
import { readHead } from "./read-head.ts";

/** What a connection asks of the server that it belongs to. */
export interface ConnectionHost {
  /** Serves one request. Never rejects. */
  serve(request: ClientRequest, reply: ClientReply): void;
  /** Takes the socket over, with what was read of it and not used: this request is not for the fast path. */
  handOver(socket: Socket, unread: Buffer): void;
  /** Milliseconds that never jump. */
  now(): number;
  closed(connection: FastConnection): void;
}

/** Requests that a client sent ahead wait up to this size; after it the connection ends with the present answer. */
const aheadBytesMax = 64 * 1024;
const never = Number.POSITIVE_INFINITY;

/**
 * One client connection on the fast path: one request at a time, in the order in which they came. A connection that
 * has anything out of the ordinary on it leaves for Node's server, between two requests.
 */
export class FastConnection implements ReplyChannel {
  readonly socket: Socket;
  readonly #host: ConnectionHost;
  #request: FastRequest | undefined;
  #reply: FastReply | undefined;
  /** What came after the present request. */
  #ahead: Buffer | undefined;
  #isLast = false;
  #isEnding = false;
  #deadline: number;

  constructor(socket: Socket, host: ConnectionHost) {
    this.socket = socket;
    this.#host = host;
    this.#deadline = host.now() + headersTimeoutMs;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("drain", this.#onDrain);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  /** Cuts the connection if it took longer than it may for what it is doing. */
  check(now: number): void {
    if (now > this.#deadline) this.socket.destroy();
    // All of the answer is ready, and waits for its client to read it.
    else if (this.#deadline === never && this.#reply?.isEnded === true) this.#deadline = now + readingMs;
  }

  /** Makes the next answer the last one. */
  announceEnd(): void {
    this.#isLast = true;
  }

  /** Lets the request under way end, and closes. */
  closeWhenIdle(): void {
    this.#isLast = true;
    if (this.#request === undefined) this.socket.destroySoon();
  }

  keepsAlive(): boolean {
    return !this.#isLast && this.#request?.missing === 0;
  }

  closeAfter(): void {
    this.#isLast = true;
  }

  replied(): void {
    this.#reply?.close(true);
    this.#reply = undefined;
    if (this.#request !== undefined && this.#request.missing > 0) {
      this.#request.drop();
      this.#deadline = this.#host.now() + refusedBodyMs;
      return;
    }
    this.#next();
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#isEnding) return;
    const request = this.#request;
    if (request === undefined) {
      this.#begin(bytes);
      return;
    }
    const missing = request.missing;
    if (missing === 0) {
      this.#keepAhead(bytes);
      return;
    }
    request.push(bytes.length <= missing ? bytes : bytes.subarray(0, missing));
    if (bytes.length > missing) this.#keepAhead(bytes.subarray(missing));
    if (request.missing > 0) return;
    if (this.#reply === undefined) this.#next();
    else this.#deadline = never;
  };

  /** A client that closes its side has left: nothing tells one that still reads from one that does not. */
  readonly #onEnd = (): void => {
    if (this.#reply !== undefined && !this.#reply.isEnded) this.socket.destroy();
    else if (this.#reply === undefined) this.socket.end();
    else this.#isLast = true;
  };

  readonly #onDrain = (): void => this.#reply?.drained();

  /** The close that follows says it all. */
  readonly #onError = (): void => {};

  readonly #onClose = (): void => {
    this.#isEnding = true;
    this.#request?.fail();
    this.#reply?.close(false);
    this.#host.closed(this);
  };

  #begin(bytes: Buffer): void {
    const head = readHead(bytes);
    if (head === undefined) {
      this.#leave(bytes);
      return;
    }
    const bodyEnd = Math.min(bytes.length, head.byteLength + head.contentLength);
    const request = new FastRequest(head, bytes.subarray(head.byteLength, bodyEnd), this.socket);
    if (bodyEnd < bytes.length) this.#keepAhead(bytes.subarray(bodyEnd));
    this.#deadline = request.missing > 0 ? this.#host.now() + requestTimeoutMs : never;
    this.#isLast ||= !head.keepsAlive;
    this.#request = request;
    this.#reply = new FastReply(this);
    this.#host.serve(request, this.#reply);
  }

  #keepAhead(bytes: Buffer): void {
    const known = this.#ahead;
    if ((known?.length ?? 0) + bytes.length > aheadBytesMax) this.#isLast = true;
    // What is dropped was never answered, and its sender sees the connection close: it may send it again.
    else this.#ahead = known === undefined ? bytes : Buffer.concat([known, bytes]);
  }

  /** The present request is over to its last byte, in both directions. */
  #next(): void {
    this.#request = undefined;
    if (this.#isLast) {
      this.#finish();
      return;
    }
    this.#deadline = this.#host.now() + keepAliveMs;
    const ahead = this.#ahead;
    if (ahead === undefined) return;
    this.#ahead = undefined;
    this.#begin(ahead);
  }

  /** Says that nothing more will come. What still arrives is dropped: a reset would take the answer from the client. */
  #finish(): void {
    this.#isEnding = true;
    this.#ahead = undefined;
    this.#deadline = this.#host.now() + lingerMs;
    this.socket.end();
  }

  #leave(unread: Buffer): void {
    const { socket } = this;
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("drain", this.#onDrain);
    socket.off("error", this.#onError);
    socket.off("close", this.#onClose);
    this.#host.closed(this);
    this.#host.handOver(socket, unread);
  }
}
