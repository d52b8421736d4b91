/** The lines of records in an encoded snapshot, read one after the other without parsing what is around them. */
export class RecordLines {
  /** What stands before them. */
  readonly head: object;
  readonly #text: string;
  #at: number;

  private constructor(text: string, head: object, at: number) {
    this.#text = text;
    this.head = head;
    this.#at = at;
  }

  /** The lines under the last key of the text, if it is `name` and laid out one record a line. */
  static find(text: string, name: string): RecordLines | undefined {
    // With a raw line feed in it, which no string of JSON has.
    const mark = `,\n"${name}":[\n`;
    const at = text.indexOf(mark);
    if (at === -1) return undefined;
    try {
      return new RecordLines(text, JSON.parse(`${text.slice(0, at)}}`) as object, at + mark.length);
    } catch {
      return undefined;
    }
  }

  get isAtEnd(): boolean {
    return this.#at === -1;
  }

  /** Whether the next line is this one; it is passed over then. */
  skip(line: string): boolean {
    const end = this.#at + line.length;
    if (this.#text.slice(this.#at, end) !== line) return false;
    return this.#pass(end);
  }

  /** The next line; undefined when none is whole. */
  take(): string | undefined {
    const start = this.#at;
    const feed = this.#text.indexOf("\n", start);
    if (feed === -1) return undefined;
    const end = this.#text[feed - 1] === "," ? feed - 1 : feed;
    return this.#pass(end) ? this.#text.slice(start, end) : undefined;
  }

  /** Goes to the line after the one that ends here, if it does end here. */
  #pass(end: number): boolean {
    if (this.#text.startsWith(",\n", end)) {
      this.#at = end + 2;
      return true;
    }
    if (this.#text.startsWith("\n]}", end) && this.#text.slice(end + 3).trim() === "") {
      this.#at = -1;
      return true;
    }
    return false;
  }
}
