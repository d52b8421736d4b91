import { jsonDepthMax } from "../base/json-depth.ts";

/** The text is not JSON as RFC 8259 defines it. `offset` is the byte at fault. */
export class JsonSyntaxError extends Error {
  readonly offset: number;
  constructor(what: string, offset: number) {
    super(`${what} at byte ${offset}`);
    this.name = "JsonSyntaxError";
    this.offset = offset;
  }
}

/**
 * Hears of every object member before its value is read: where its key stands (quotes included), where its value
 * begins, and how deep its object lies (1 is the outermost).
 */
export type MemberListener = (keyStart: number, keyEnd: number, valueStart: number, depth: number) => void;

/** Hears of every object member after its value was read: where the value began and ended, and how deep it lies. */
export type MemberEndListener = (valueStart: number, valueEnd: number, depth: number) => void;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;

const isDigit = (byte: number | undefined) => byte !== undefined && byte >= zero && byte <= nine;
const isHex = (byte: number | undefined) =>
  isDigit(byte) || (byte !== undefined && ((byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66)));

/** `"\/bfnrt`: what may follow a backslash, besides `u`. */
const escapable = new Set([...'"\\/bfnrt'].map((character) => character.charCodeAt(0)));

/**
 * Walks over JSON bytes without building values: every method takes the offset where its part begins and returns the
 * offset after it. Accepts exactly what `JSON.parse` accepts (held by a property test), except nesting deeper than
 * `jsonDepthMax`. The caller checks UTF-8.
 */
export class JsonScanner {
  readonly #bytes: Uint8Array;
  readonly #onMember: MemberListener;
  readonly #onMemberEnd: MemberEndListener;
  /** The same memory, four bytes at a time, from the first whole word on. */
  readonly #words: Int32Array;
  /** Bytes before that word. */
  readonly #wordStart: number;

  constructor(bytes: Uint8Array, onMember: MemberListener, onMemberEnd: MemberEndListener = () => {}) {
    this.#bytes = bytes;
    this.#onMember = onMember;
    this.#onMemberEnd = onMemberEnd;
    this.#wordStart = Math.min(-bytes.byteOffset & 3, bytes.length);
    const start = bytes.byteOffset + this.#wordStart;
    // An empty view has no place to stand on, wherever its bytes began.
    const words = (bytes.length - this.#wordStart) >> 2;
    this.#words = words === 0 ? new Int32Array(0) : new Int32Array(bytes.buffer, start, words);
  }

  /** One value with nothing but white space around it. */
  document(): void {
    const end = this.space(this.value(this.space(0), 0));
    if (end !== this.#bytes.length) throw new JsonSyntaxError("unexpected text after the end", end);
  }

  space(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    for (let byte = bytes[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = bytes[at]) at++;
    return at;
  }

  value(at: number, depth: number): number {
    switch (this.#bytes[at]) {
      case quote:
        return this.string(at);
      case openBrace:
        return this.#object(at, depth + 1);
      case openBracket:
        return this.#array(at, depth + 1);
      case 0x74:
        return this.#literal(at, "true");
      case 0x66:
        return this.#literal(at, "false");
      case 0x6e:
        return this.#literal(at, "null");
      default:
        return this.#number(at);
    }
  }

  string(start: number): number {
    const bytes = this.#bytes;
    if (bytes[start] !== quote) throw new JsonSyntaxError("expected a string", start);
    let at = start + 1;
    for (;;) {
      const byte = bytes[at];
      if (byte === quote) return at + 1;
      if (byte === undefined) throw new JsonSyntaxError("unterminated string", start);
      if (byte < 0x20) throw new JsonSyntaxError("control character in a string", at);
      at = byte === backslash ? this.#escape(at) : this.#plainEnd(at + 1);
    }
  }

  /**
   * Where the next byte of a string that is not plain stands, or a few bytes before it. Prompts are long strings, so
   * they are walked over by the word: Mycroft's test finds a byte below a bound in four of them at once.
   */
  #plainEnd(start: number): number {
    const offset = start - this.#wordStart;
    if (offset < 0 || (offset & 3) !== 0) return start;
    const words = this.#words;
    let index = offset >> 2;
    for (; index < words.length; index++) {
      const word = words[index] ?? 0;
      const quoted = word ^ 0x22222222;
      const escaped = word ^ 0x5c5c5c5c;
      const found =
        ((word - 0x20202020) & ~word) | ((quoted - 0x01010101) & ~quoted) | ((escaped - 0x01010101) & ~escaped);
      if ((found & 0x80808080) !== 0) break;
    }
    return this.#wordStart + (index << 2);
  }

  #escape(at: number): number {
    const bytes = this.#bytes;
    const kind = bytes[at + 1];
    if (kind === 0x75) {
      for (let digit = at + 2; digit < at + 6; digit++) {
        if (!isHex(bytes[digit])) throw new JsonSyntaxError("bad unicode escape", at);
      }
      return at + 6;
    }
    if (kind === undefined || !escapable.has(kind)) throw new JsonSyntaxError("bad escape", at);
    return at + 2;
  }

  #object(start: number, depth: number): number {
    if (depth > jsonDepthMax) throw new JsonSyntaxError("nested too deep", start);
    const bytes = this.#bytes;
    let at = this.space(start + 1);
    if (bytes[at] === closeBrace) return at + 1;
    for (;;) {
      const keyStart = at;
      const keyEnd = this.string(at);
      at = this.space(keyEnd);
      if (bytes[at] !== colon) throw new JsonSyntaxError("expected ':'", at);
      at = this.space(at + 1);
      const valueStart = at;
      this.#onMember(keyStart, keyEnd, valueStart, depth);
      at = this.value(valueStart, depth);
      this.#onMemberEnd(valueStart, at, depth);
      at = this.space(at);
      if (bytes[at] === closeBrace) return at + 1;
      if (bytes[at] !== comma) throw new JsonSyntaxError("expected ',' or '}'", at);
      at = this.space(at + 1);
    }
  }

  #array(start: number, depth: number): number {
    if (depth > jsonDepthMax) throw new JsonSyntaxError("nested too deep", start);
    const bytes = this.#bytes;
    let at = this.space(start + 1);
    if (bytes[at] === closeBracket) return at + 1;
    for (;;) {
      at = this.space(this.value(at, depth));
      if (bytes[at] === closeBracket) return at + 1;
      if (bytes[at] !== comma) throw new JsonSyntaxError("expected ',' or ']'", at);
      at = this.space(at + 1);
    }
  }

  #literal(at: number, text: string): number {
    for (let index = 0; index < text.length; index++) {
      if (this.#bytes[at + index] !== text.charCodeAt(index)) throw new JsonSyntaxError("unexpected text", at);
    }
    return at + text.length;
  }

  #number(start: number): number {
    const bytes = this.#bytes;
    let at = bytes[start] === minus ? start + 1 : start;
    if (bytes[at] === zero) at++;
    else at = this.#digits(at, start);
    if (bytes[at] === 0x2e) at = this.#digits(at + 1, start);
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      const sign = bytes[at + 1];
      at = this.#digits(sign === 0x2b || sign === minus ? at + 2 : at + 1, start);
    }
    return at;
  }

  #digits(start: number, numberStart: number): number {
    let at = start;
    while (isDigit(this.#bytes[at])) at++;
    if (at === start) {
      const ended = start >= this.#bytes.length;
      throw new JsonSyntaxError(ended ? "unexpected end" : "unexpected text", ended ? start : numberStart);
    }
    return at;
  }
}
