import type { BodySink, ClientRequest } from "../client-io.ts";
import type { RequestHead } from "./read-head.ts";

/** The connection that a body comes over. */
export interface BodySource {
  readonly remoteAddress?: string | undefined;
  pause(): void;
  resume(): void;
}

/** A request that the fast path read. Its body is held back at the sender until somebody wants it. */
export class FastRequest implements ClientRequest {
  readonly method: string;
  readonly target: string;
  readonly #head: RequestHead;
  readonly #source: BodySource;
  #sink: BodySink | undefined;
  /** What came with the head. */
  #first: Buffer | undefined;
  #missing: number;
  #isGone = false;

  constructor(head: RequestHead, first: Buffer, source: BodySource) {
    this.method = head.method;
    this.target = head.target;
    this.#head = head;
    this.#source = source;
    this.#first = first;
    this.#missing = head.contentLength - first.length;
    if (this.#missing > 0) source.pause();
  }

  get remoteAddress(): string {
    return this.#source.remoteAddress ?? "";
  }

  get rawHeaders(): readonly string[] {
    return this.#head.rawHeaders;
  }

  get hasBody(): boolean {
    return this.#head.contentLength > 0;
  }

  /** Bytes of the body that have not come yet. */
  get missing(): number {
    return this.#missing;
  }

  header(name: string): string | undefined {
    const index = this.#head.names.indexOf(name);
    return index === -1 ? undefined : this.#head.values[index];
  }

  receiveBody(sink: BodySink): void {
    this.#sink = sink;
    const first = this.#first;
    this.#first = undefined;
    if (this.#isGone) this.fail();
    else if (first === undefined || first.length === 0) this.resumeBody();
    else this.#pass(first);
  }

  resumeBody(): void {
    if (this.#missing > 0) this.#source.resume();
    else this.#end();
  }

  /** Takes a piece that came later, of no more than `missing` bytes. */
  push(piece: Buffer): void {
    this.#missing -= piece.length;
    if (this.#sink !== undefined) this.#pass(piece);
  }

  /** Nobody wants the body any more: what is missing of it is read and thrown away. */
  drop(): void {
    this.#sink = undefined;
    this.#first = undefined;
    if (this.#missing > 0) this.#source.resume();
  }

  /** The connection is gone. */
  fail(): void {
    this.#isGone = true;
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.fail();
  }

  #pass(piece: Buffer): void {
    if (this.#sink?.data(piece)) this.resumeBody();
    else if (this.#missing > 0) this.#source.pause();
  }

  #end(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.end();
  }
}
