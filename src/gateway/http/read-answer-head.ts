/** How the end of an answer's body is known. */
export type AnswerFraming = "none" | "length" | "chunked" | "close";

/** The head of a server's answer. */
export interface AnswerHead {
  readonly status: number;
  /** By name in lower case; values that came several times are joined with commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly framing: AnswerFraming;
  /** Bytes of the body, for `length`. */
  readonly contentLength: number;
  /** How long the connection may wait for its next request, in ms; 0 when there must be none. */
  readonly idleMs: number;
  /** Length of the head in bytes, its blank line included. */
  readonly byteLength: number;
}

/** A server said something that is not HTTP/1.1, or that two readers could understand differently. */
export class MalformedAnswer extends Error {
  constructor(message: string) {
    super(message);
    this.name = "MalformedAnswer";
  }
}

/** The same as Node's and undici's parser take. */
const headBytesMax = 16 * 1024;
const blankLine = "\r\n\r\n";

const shape =
  /^HTTP\/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;
const lengthShape = /^[0-9]{1,15}$/;
/** Headers that decide what is read, and how: two of them are one too many. */
const singleNames: ReadonlySet<string> = new Set(["content-length", "content-type", "transfer-encoding"]);

/**
 * Reads the head at the beginning of `bytes`; undefined while its end has not come.
 * `isHeadRequest`: the answer has no body whatever its head says.
 * @throws MalformedAnswer
 */
export function readAnswerHead(bytes: Buffer, isHeadRequest: boolean): AnswerHead | undefined {
  const end = bytes.indexOf(blankLine);
  if (end > headBytesMax || (end === -1 && bytes.length > headBytesMax)) {
    throw new MalformedAnswer(`the head is larger than ${headBytesMax} bytes`);
  }
  if (end === -1) return undefined;
  const text = bytes.toString("latin1", 0, end + 2);
  if (!shape.test(text)) throw new MalformedAnswer("the head is not one of HTTP/1.1");
  const status = Number(text.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length));
  const headers = readHeaders(text, text.indexOf("\r\n") + 2);
  const { framing, contentLength } = framingOf(status, headers, isHeadRequest);
  const isOld = text.startsWith("HTTP/1.0");
  if (isOld && status < 200) throw new MalformedAnswer("HTTP/1.0 has no interim answers");
  const idleMs = isOld || framing === "close" ? 0 : idleMsOf(headers);
  return { status, headers, framing, contentLength, idleMs, byteLength: end + blankLine.length };
}

function readHeaders(text: string, from: number): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = from; at < text.length; ) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    const name = text.slice(at, colon).toLowerCase();
    const value = text.slice(colon + 1, end).trim();
    const known = headers[name];
    if (known !== undefined && singleNames.has(name)) throw new MalformedAnswer(`'${name}' came twice`);
    headers[name] = known === undefined ? value : `${known}, ${value}`;
    at = end + 2;
  }
  return headers;
}

function framingOf(
  status: number,
  headers: Readonly<Record<string, string>>,
  isHeadRequest: boolean,
): Pick<AnswerHead, "framing" | "contentLength"> {
  const { "content-length": length, "transfer-encoding": encoding } = headers;
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== "chunked") throw new MalformedAnswer("the transfer encoding is not `chunked`");
    if (length !== undefined) throw new MalformedAnswer("a length and chunks contradict each other");
  }
  if (length !== undefined && !lengthShape.test(length)) throw new MalformedAnswer("the length is no number");
  if (isHeadRequest || status < 200 || status === 204 || status === 304) return { framing: "none", contentLength: 0 };
  if (encoding !== undefined) return { framing: "chunked", contentLength: 0 };
  if (length !== undefined) return { framing: "length", contentLength: Number(length) };
  return { framing: "close", contentLength: 0 };
}

/** Servers that say when they close idle connections are believed, with a second for the way there. */
function idleMsOf(headers: Readonly<Record<string, string>>): number {
  const { connection, "keep-alive": hint } = headers;
  if (connection !== undefined && /\b(?:close|upgrade)\b/i.test(connection)) return 0;
  const seconds = hint === undefined ? null : /\btimeout=([0-9]{1,9})/.exec(hint);
  return seconds === null ? Number.POSITIVE_INFINITY : Math.max(0, Number(seconds[1]) * 1_000 - 1_000);
}
