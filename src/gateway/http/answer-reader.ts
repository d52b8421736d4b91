import { ChunkedBody } from "./chunked-body.ts";
import { type AnswerHead, MalformedAnswer, readAnswerHead } from "./read-answer-head.ts";

/** Steers an answer that is under way. */
export interface AnswerControl {
  /** Gives the answer up, and its connection with it. */
  abort(reason: Error): void;
  pause(): void;
  resume(): void;
}

/** Takes an answer. The same methods as undici's handlers have, so that one handler serves both clients. */
export interface AnswerHandler {
  /** Called again with another control when a request that has waited for a connection goes out. */
  onRequestStart(control: AnswerControl): void;
  onResponseStart(control: AnswerControl, status: number, headers: Readonly<Record<string, string>>): void;
  onResponseData(control: AnswerControl, chunk: Buffer): void;
  onResponseEnd(): void;
  /** Called at most once, also after `abort`, and never after `onResponseEnd`. */
  onResponseError(control: AnswerControl, error: Error): void;
}

/** What a reader asks of its connection. */
export interface AnswerConnection {
  /** The answer was read to its end. `idleMs`: for how long the connection may be used again, 0 for never. */
  finished(idleMs: number): void;
  resume(): void;
  destroy(error: Error): void;
}

/** Announcements before the real answer. More are nonsense. */
const interimMax = 16;

/** Reads one answer from what comes over a connection, and hands it to its handler. */
export class AnswerReader implements AnswerControl {
  readonly #handler: AnswerHandler;
  readonly #connection: AnswerConnection;
  readonly #isHeadRequest: boolean;
  #head: AnswerHead | undefined;
  #interim = 0;
  #missing = 0;
  #chunked: ChunkedBody | undefined;
  #isPaused = false;
  /** What came while the head was incomplete, or while nobody wanted it. */
  #held: Buffer | undefined;
  #isOver = false;

  constructor(handler: AnswerHandler, connection: AnswerConnection, isHeadRequest: boolean) {
    this.#handler = handler;
    this.#connection = connection;
    this.#isHeadRequest = isHeadRequest;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Takes bytes that are the reader's to change during this call, and not after it. Returns false to be spared until
   * it calls `resume` on the connection.
   */
  read(bytes: Buffer): boolean {
    if (this.#isPaused) {
      this.#hold(bytes);
      return false;
    }
    try {
      this.#advance(this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes]));
    } catch (error) {
      if (!(error instanceof MalformedAnswer)) throw error;
      this.abort(error);
    }
    return true;
  }

  /** The server closed its side. */
  end(): void {
    if (this.#isOver) return;
    if (this.#head?.framing === "close") this.#finish(0);
    else this.abort(new Error("the server closed the connection before its answer was complete"));
  }

  /** The connection is gone. */
  fail(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.onResponseError(this, error);
  }

  abort(reason: Error): void {
    if (this.#isOver) return;
    this.#connection.destroy(reason);
    this.fail(reason);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused || this.#isOver) return;
    this.#isPaused = false;
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.read(held);
    if (!this.#isPaused && !this.#isOver) this.#connection.resume();
  }

  #hold(bytes: Buffer): void {
    this.#held = this.#held === undefined ? Buffer.from(bytes) : Buffer.concat([this.#held, bytes]);
  }

  #advance(bytes: Buffer): void {
    this.#held = undefined;
    const body = this.#head === undefined ? this.#readHead(bytes) : bytes;
    if (body === undefined || this.#isOver) return;
    switch (this.#head?.framing) {
      case "none":
        this.#finishUnlessMore(body.length);
        return;
      case "length":
        this.#readLength(body);
        return;
      case "chunked":
        this.#readChunks(body);
        return;
      default:
        this.#give(body);
    }
  }

  /** Returns what follows the head once that is complete. */
  #readHead(bytes: Buffer): Buffer | undefined {
    let rest = bytes;
    for (;;) {
      const head = readAnswerHead(rest, this.#isHeadRequest);
      if (head === undefined) {
        if (rest.length > 0) this.#hold(rest);
        return undefined;
      }
      rest = rest.subarray(head.byteLength);
      if (head.status === 101) throw new MalformedAnswer("the server changed the protocol without being asked");
      if (head.status >= 200) {
        this.#head = head;
        this.#missing = head.contentLength;
        if (head.framing === "chunked") this.#chunked = new ChunkedBody();
        this.#handler.onResponseStart(this, head.status, head.headers);
        return rest;
      }
      if (++this.#interim > interimMax) throw new MalformedAnswer("too many interim answers");
    }
  }

  #readLength(bytes: Buffer): void {
    const length = Math.min(bytes.length, this.#missing);
    this.#missing -= length;
    this.#give(bytes.subarray(0, length));
    if (this.#missing === 0) this.#finishUnlessMore(bytes.length - length);
  }

  #readChunks(bytes: Buffer): void {
    if (this.#chunked === undefined) return;
    const { length, read } = this.#chunked.decode(bytes);
    this.#give(bytes.subarray(0, length));
    if (this.#chunked.isComplete) this.#finishUnlessMore(bytes.length - read);
  }

  /** What a handler gets is its own: the bytes of the connection are written over with the next read. */
  #give(bytes: Buffer): void {
    if (bytes.length > 0 && !this.#isOver) this.#handler.onResponseData(this, Buffer.from(bytes));
  }

  /** A server that says more than it was asked does not get another question. */
  #finishUnlessMore(unexpected: number): void {
    this.#finish(unexpected === 0 ? (this.#head?.idleMs ?? 0) : 0);
  }

  #finish(idleMs: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // First the connection, so that a handler that sends the next request at once finds it free.
    this.#connection.finished(idleMs);
    this.#handler.onResponseEnd();
  }
}
