import {
  formBoundary,
  formPartsMax,
  type PartHead,
  partHeadBytesMax,
  readPartHead,
  refuseForm,
} from "./multipart-form.ts";

/** What a form turns out to hold, in its order. */
export type FormEvent =
  | { readonly kind: "begin"; readonly head: PartHead }
  | { readonly kind: "data"; readonly bytes: Buffer }
  | { readonly kind: "end" };

type State = "start" | "boundary" | "head" | "content" | "over";

/** A line break and two dashes before a boundary. */
const beforeBoundary = "\r\n--";

/**
 * Reads a `multipart/form-data` body as it arrives, as strictly as `readMultipartForm` reads a whole one: the same bodies
 * are refused. Holds no more than the head of a part.
 */
export class MultipartStream {
  readonly #boundary: Buffer;
  #state: State = "start";
  #rest: Buffer = Buffer.alloc(0);
  #parts = 0;
  /** What the part says of its length, and what there was of it. */
  #announced: string | undefined;
  #bytes = 0;

  /** @throws NexusError `unsupported_media_type` or `invalid_request`. */
  constructor(contentType: string) {
    this.#boundary = Buffer.from(formBoundary(contentType));
  }

  /** @throws NexusError `invalid_request` as soon as the body is no form that can be read in one way only. */
  push(chunk: Buffer): readonly FormEvent[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const events: FormEvent[] = [];
    while (this.#step(events)) {}
    return events;
  }

  /** To be called when the body has ended. @throws NexusError `invalid_request` when the form has not. */
  finish(): void {
    if (this.#state !== "over" || (this.#rest.length > 0 && !this.#rest.equals(Buffer.from("\r\n")))) {
      throw refuseForm("its last boundary is missing, or something follows it");
    }
    if (this.#parts === 0) throw refuseForm("it has no parts");
  }

  /** Whether there may be another step with what has come. */
  #step(events: FormEvent[]): boolean {
    switch (this.#state) {
      case "start":
        return this.#readStart();
      case "boundary":
        return this.#readAfterBoundary();
      case "head":
        return this.#readHead(events);
      case "content":
        return this.#readContent(events);
      case "over":
        if (this.#rest.length > 2) throw refuseForm("something follows its last boundary");
        return false;
    }
  }

  #readStart(): boolean {
    const length = this.#boundary.length + 2;
    if (this.#rest.length < length) return false;
    const start = this.#take(length);
    if (start.toString("latin1", 0, 2) !== "--" || !start.subarray(2).equals(this.#boundary)) {
      throw refuseForm("it does not begin with its boundary");
    }
    this.#state = "boundary";
    return true;
  }

  #readAfterBoundary(): boolean {
    if (this.#rest.length < 2) return false;
    const next = this.#take(2).toString("latin1");
    if (next !== "\r\n" && next !== "--") throw refuseForm("a boundary is not at the end of its line");
    this.#state = next === "--" ? "over" : "head";
    if (this.#state === "head" && ++this.#parts > formPartsMax) {
      throw refuseForm(`it has more than ${formPartsMax} parts`);
    }
    return true;
  }

  #readHead(events: FormEvent[]): boolean {
    const window = this.#rest.subarray(0, partHeadBytesMax);
    const end = window.indexOf("\r\n\r\n");
    if (end === -1) {
      if (this.#rest.length >= partHeadBytesMax) throw refuseForm("the headers of a part do not end");
      return false;
    }
    // Its line break ends the headers, and nothing of the boundary may stand in them.
    const bytes = this.#take(end + 4);
    if (bytes.includes(this.#boundary)) throw refuseForm("its boundary stands in the middle of a line");
    const head = readPartHead(bytes.subarray(0, end));
    this.#announced = head.announcedLength;
    this.#bytes = 0;
    this.#state = "content";
    events.push({ kind: "begin", head });
    return true;
  }

  #readContent(events: FormEvent[]): boolean {
    const at = this.#rest.indexOf(this.#boundary);
    const length = at === -1 ? this.#rest.length - this.#boundary.length - beforeBoundary.length : at - 4;
    if (at !== -1 && (length < 0 || this.#rest.toString("latin1", length, at) !== beforeBoundary)) {
      throw refuseForm("its boundary stands in the middle of a line");
    }
    if (length > 0) {
      this.#bytes += length;
      events.push({ kind: "data", bytes: this.#take(length) });
    }
    if (at === -1) return false;
    if (this.#announced !== undefined && this.#announced !== String(this.#bytes)) {
      throw refuseForm("a part is not as long as it says");
    }
    this.#take(beforeBoundary.length + this.#boundary.length);
    this.#state = "boundary";
    events.push({ kind: "end" });
    return true;
  }

  #take(length: number): Buffer {
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}
