import { MalformedAnswer } from "./read-answer-head.ts";

const cr = 0x0d;
const lf = 0x0a;
const colon = 0x3a;
/** 268 MB in one chunk: nobody sends more, and no sum can overflow. */
const sizeDigitsMax = 7;
/** For all trailers. */
const trailerBytesMax = 16 * 1024;
const tokenShape = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/;

type State =
  | "size"
  | "size-lf"
  | "data"
  | "data-cr"
  | "data-lf"
  | "trailer-start"
  | "trailer-name"
  | "trailer-value"
  | "trailer-lf"
  | "last-lf"
  | "end";

/**
 * Takes the framing out of a chunked body (RFC 9112, 7.1). Trailers are dropped; extensions, which nobody sends, are
 * refused.
 */
export class ChunkedBody {
  #state: State = "size";
  #size = 0;
  #digits = 0;
  #trailerBytes = 0;

  /** Whether the last byte was read. */
  get isComplete(): boolean {
    return this.#state === "end";
  }

  /**
   * Decodes `bytes` in place: the content is moved to their beginning. Returns how many bytes of content there are and
   * how many bytes were read, which is all of them unless the body is complete.
   * @throws MalformedAnswer
   */
  decode(bytes: Buffer): { readonly length: number; readonly read: number } {
    let length = 0;
    let at = 0;
    while (at < bytes.length && this.#state !== "end") {
      if (this.#state === "data") {
        const end = Math.min(bytes.length, at + this.#size);
        bytes.copyWithin(length, at, end);
        length += end - at;
        this.#size -= end - at;
        at = end;
        if (this.#size === 0) this.#state = "data-cr";
      } else {
        this.#frame(bytes[at] ?? 0);
        at++;
      }
    }
    return { length, read: at };
  }

  /** One byte that is not content. */
  #frame(byte: number): void {
    switch (this.#state) {
      case "size":
        this.#readSize(byte);
        return;
      case "size-lf":
        this.#expect(byte, lf, this.#size === 0 ? "trailer-start" : "data");
        return;
      case "data-cr":
        this.#expect(byte, cr, "data-lf");
        return;
      case "data-lf":
        this.#expect(byte, lf, "size");
        this.#digits = 0;
        return;
      case "trailer-start":
        if (byte === cr) this.#state = "last-lf";
        else this.#readTrailerName(byte, false);
        return;
      case "trailer-name":
        this.#readTrailerName(byte, true);
        return;
      case "trailer-value":
        if (byte === cr) this.#state = "trailer-lf";
        else this.#drop(byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));
        return;
      case "trailer-lf":
        this.#expect(byte, lf, "trailer-start");
        return;
      default:
        this.#expect(byte, lf, "end");
    }
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== -1 && this.#digits < sizeDigitsMax) {
      this.#size = this.#size * 16 + digit;
      this.#digits++;
      return;
    }
    if (this.#digits === 0 || byte !== cr) throw new MalformedAnswer("a chunk has no plain size");
    this.#state = "size-lf";
  }

  #expect(byte: number, wanted: number, next: State): void {
    if (byte !== wanted) throw new MalformedAnswer("a chunk does not end where it should");
    this.#state = next;
  }

  #readTrailerName(byte: number, mayEnd: boolean): void {
    if (byte === colon && mayEnd) {
      this.#state = "trailer-value";
      return;
    }
    this.#drop(tokenShape.test(String.fromCharCode(byte)));
    this.#state = "trailer-name";
  }

  #drop(isFit: boolean): void {
    this.#trailerBytes++;
    if (!isFit || this.#trailerBytes > trailerBytesMax) throw new MalformedAnswer("a trailer is odd or long");
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}
