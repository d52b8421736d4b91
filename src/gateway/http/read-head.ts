/** The head of a request in the one narrow shape that every reader of HTTP/1.1 reads the same way. */
export interface RequestHead {
  readonly method: "GET" | "POST";
  readonly target: string;
  /** Header names in lower case, each one once. */
  readonly names: readonly string[];
  readonly values: readonly string[];
  /** Name and value in turns, as sent. */
  readonly rawHeaders: readonly string[];
  /** Bytes of the body that follows. */
  readonly contentLength: number;
  /** False when the client wants the connection closed after the answer. */
  readonly keepsAlive: boolean;
  /** Length of the head in bytes, its blank line included. */
  readonly byteLength: number;
}

/** Half of what Node's parser takes: what is larger is for Node to judge. */
const headBytesMax = 8 * 1024;
const headersMax = 64;

/** A request line and headers of visible characters alone, with nothing that is optional, obsolete or tolerated. */
const shape =
  /^(?:GET|POST) \/[!$&'()*+,\-./0-9:;=?@A-Z_a-z~%]* HTTP\/1\.1\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: ?[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\r\n)+$/;
const hostShape = /^[A-Za-z0-9.\-_:[\]]+$/;
const lengthShape = /^(?:0|[1-9][0-9]{0,14})$/;

/** Headers that change how a message is framed or answered. A request with one of them is Node's to read. */
const foreignNames: ReadonlySet<string> = new Set([
  "expect",
  "http2-settings",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const blankLine = "\r\n\r\n";

/**
 * Reads a head that stands at the beginning of `bytes`. Undefined means "not for this reader", never "wrong": the head
 * is incomplete, large, or has anything in it that two parsers might read differently.
 */
export function readHead(bytes: Buffer): RequestHead | undefined {
  const end = bytes.indexOf(blankLine);
  if (end === -1 || end > headBytesMax) return undefined;
  const text = bytes.toString("latin1", 0, end + 2);
  if (!shape.test(text)) return undefined;
  const lineEnd = text.indexOf("\r\n");
  const isPost = text.startsWith("POST");
  const headers = readHeaders(text, lineEnd + 2);
  if (headers === undefined) return undefined;
  const contentLength = lengthOf(headers, isPost);
  const keepsAlive = keepsAliveOf(headers);
  if (contentLength === undefined || keepsAlive === undefined || !hasPlainHost(headers)) return undefined;
  return {
    method: isPost ? "POST" : "GET",
    target: text.slice(isPost ? "POST ".length : "GET ".length, lineEnd - " HTTP/1.1".length),
    ...headers,
    contentLength,
    keepsAlive,
    byteLength: end + blankLine.length,
  };
}

type Headers = Pick<RequestHead, "names" | "values" | "rawHeaders">;

function readHeaders(text: string, from: number): Headers | undefined {
  const names: string[] = [];
  const values: string[] = [];
  const rawHeaders: string[] = [];
  for (let at = from; at < text.length; ) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    const rawName = text.slice(at, colon);
    const name = rawName.toLowerCase();
    if (names.includes(name) || foreignNames.has(name) || names.length === headersMax) return undefined;
    const value = text.slice(text.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1, end);
    names.push(name);
    values.push(value);
    rawHeaders.push(rawName, value);
    at = end + 2;
  }
  return { names, values, rawHeaders };
}

function headerOf({ names, values }: Headers, name: string): string | undefined {
  const index = names.indexOf(name);
  return index === -1 ? undefined : values[index];
}

/** A body has one plain length; a request to read something has none. */
function lengthOf(headers: Headers, isPost: boolean): number | undefined {
  const value = headerOf(headers, "content-length");
  if (!isPost) return value === undefined ? 0 : undefined;
  return value !== undefined && lengthShape.test(value) ? Number(value) : undefined;
}

function keepsAliveOf(headers: Headers): boolean | undefined {
  const value = headerOf(headers, "connection")?.toLowerCase();
  if (value === undefined || value === "keep-alive") return true;
  return value === "close" ? false : undefined;
}

function hasPlainHost(headers: Headers): boolean {
  const host = headerOf(headers, "host");
  return host !== undefined && hostShape.test(host);
}
