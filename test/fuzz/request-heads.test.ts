import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type Duplex, duplexPair } from "node:stream";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { type RequestHead, readHead } from "../../src/gateway/http/read-head.ts";

const seed = 20_260_101;
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: x\r\n\r\n";

/** A request as Node's own parser reads it. */
interface ReadRequest {
  readonly method: string | undefined;
  readonly target: string | undefined;
  readonly rawHeaders: readonly string[];
  readonly keepsAlive: boolean;
  readonly body: string;
}

/** Node's HTTP server on streams in memory: no port, no socket, the same parser. */
class NodeReader {
  readonly #server: Server;
  readonly #read = new WeakMap<object, ReadRequest[]>();

  constructor() {
    this.#server = createServer({ requireHostHeader: false }, (request, response) => {
      const requests = this.#read.get(request.socket) ?? [];
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => {
        requests.push(toReadRequest(request, response.shouldKeepAlive, Buffer.concat(pieces)));
        response.end();
      });
    });
    this.#server.on("clientError", (_error, socket) => socket.destroy());
  }

  /** All requests in `bytes`, as far as Node reads them. */
  async read(bytes: Buffer): Promise<readonly ReadRequest[]> {
    const [near, far] = duplexPair();
    const requests: ReadRequest[] = [];
    this.#read.set(far, requests);
    this.#server.emit("connection", far);
    near.resume();
    near.on("error", () => {});
    const closed = once(far, "close");
    near.write(bytes);
    await turns(far, () => requests.some(({ target }) => target === "/sentinel"));
    near.destroy();
    far.destroy();
    await closed;
    return requests;
  }

  close(): void {
    this.#server.closeAllConnections();
  }
}

function toReadRequest(request: IncomingMessage, keepsAlive: boolean, body: Buffer): ReadRequest {
  const { method, url: target, rawHeaders } = request;
  return { method, target, rawHeaders, keepsAlive, body: body.toString("latin1") };
}

/** Lets the streams run until `done`, but not for ever: what Node waits for will not come. */
async function turns(stream: Duplex, done: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20 && !done() && !stream.destroyed; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const words = fc.constantFrom(
  "a",
  "json",
  "keep-alive",
  "close",
  "5",
  "chunked",
  "text/plain; charset=utf-8",
  "x y  z",
);
const names = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom("Accept", "Authorization", "Content-Type", "Cookie", "X-Request-Id", "x_y~z"),
  },
  { weight: 1, arbitrary: fc.constantFrom("Connection", "Keep-Alive", "HOST", "content-length") },
  { weight: 1, arbitrary: fc.constantFrom("Expect", "TE", "Transfer-Encoding", "Upgrade") },
);
const header = fc.tuple(names, fc.constantFrom(": ", ": ", ": ", ": ", ":", ":  ", " : ", ":\t"), words);
const oddities = fc.constantFrom(
  ...["\r", "\n", "\r\n", "\r\n\r\n", "\t", " ", ":", ",", "\0", "\x7f", "\x80", "\xff", "#", "\\", '"', "0", "+", "-"],
  ...["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "\r\n folded", "Host: y\r\n", "http://x", "HTTP/1.0"],
);
const mutation = fc.record({ at: fc.nat(400), drop: fc.nat(3), put: oddities });

/** Requests that are close to plain ones, on both sides of the border. */
const request = fc
  .record({
    method: fc.constantFrom("POST", "POST", "POST", "GET", "GET", "PUT", "post"),
    target: fc.constantFrom("/v1/chat/completions", "/", "/health?a=b&c=%20", "//x", "*"),
    headers: fc.array(header, { maxLength: 3 }),
    body: fc.stringMatching(/^[a-z{}\r\n]{0,12}$/),
    length: fc.option(fc.nat(20), { freq: 4 }),
    mutations: fc.oneof(fc.constant([]), fc.array(mutation, { maxLength: 2 })),
  })
  .map(({ method, target, headers, body, length, mutations }) => {
    const lines = [`${method} ${target} HTTP/1.1`, "Host: gateway:8800", ...headers.map((parts) => parts.join(""))];
    if (method === "POST") lines.push(`Content-Length: ${length ?? body.length}`);
    let text = `${lines.join("\r\n")}\r\n\r\n${body}`;
    for (const { at, drop, put } of mutations) {
      const where = at % text.length;
      text = text.slice(0, where) + put + text.slice(where + drop);
    }
    return text;
  });

/** What the fast path reads, in the words of `ReadRequest`. */
function toComparable({ method, target, rawHeaders, keepsAlive }: RequestHead, body: Buffer): ReadRequest {
  return { method, target, rawHeaders, keepsAlive, body: body.toString("latin1") };
}

// proves: gateway.ambiguous-request
describe("fuzz: the fast path reads a request exactly as Node's server does, or leaves it alone", () => {
  let node: NodeReader;
  before(() => {
    node = new NodeReader();
  });
  after(() => node.close());

  /** Returns whether the fast path took it. Fails where Node reads something else, or ends it elsewhere. */
  async function compare(text: string): Promise<boolean> {
    const bytes = Buffer.from(text, "latin1");
    const head = readHead(bytes);
    if (head === undefined) return false;
    const end = head.byteLength + head.contentLength;
    // A body that has not come yet is filled up: where it ends is what matters.
    const whole = Buffer.concat([bytes, Buffer.alloc(Math.max(0, end - bytes.length), "x")]).subarray(0, end);
    // Node reads nothing after a request that ends the connection, and complains when there is more.
    const [first, second] = await node.read(head.keepsAlive ? Buffer.concat([whole, Buffer.from(sentinel)]) : whole);
    assert.deepEqual(first, toComparable(head, whole.subarray(head.byteLength)));
    assert.equal(second?.target, head.keepsAlive ? "/sentinel" : undefined);
    return true;
  }

  it("over generated and mutated requests", async () => {
    let taken = 0;
    let left = 0;
    await fc.assert(
      fc.asyncProperty(request, async (text) => {
        if (await compare(text)) taken++;
        else left++;
      }),
      { seed, numRuns: 4_000 },
    );
    assert.ok(taken > 400 && left > 400, `${taken} were taken and ${left} left: one side is hardly tested`);
  });

  it("over every single byte in every place", async () => {
    const plain = "POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nA: b\r\n\r\n{}";
    const bytes = [0, 9, 10, 13, 32, 33, 35, 44, 45, 48, 58, 59, 64, 65, 92, 122, 127, 128, 255];
    let taken = 0;
    for (let at = 0; at < plain.length - 2; at++) {
      for (const byte of bytes) {
        const put = String.fromCharCode(byte);
        if (await compare(plain.slice(0, at) + put + plain.slice(at + 1))) taken++;
        if (await compare(plain.slice(0, at) + put + plain.slice(at))) taken++;
      }
    }
    assert.ok(taken > 100, `only ${taken} were taken`);
  });

  const left: readonly [title: string, text: string][] = [
    ["a head that is not complete", "POST / HTTP/1.1\r\nHost: x\r\n"],
    ["a bare line feed", "GET / HTTP/1.1\nHost: x\r\n\r\n"],
    ["two hosts", "GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n"],
    ["no host", "GET / HTTP/1.1\r\nA: b\r\n\r\n"],
    ["two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"],
    ["a list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\nx"],
    ["a signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx"],
    ["a length in hex", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\nx"],
    ["a length with a zero before it", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 01\r\n\r\nx"],
    ["a length beyond all numbers", `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${"9".repeat(20)}\r\n\r\nx`],
    ["no length", "POST / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["a body to read something", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"],
    ["chunks", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    [
      "a length and chunks",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "chunks in disguise",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ],
    ["a folded header", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"],
    ["a header without a name", "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n"],
    ["an absolute target", "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["a target with a fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["an older version", "GET / HTTP/1.0\r\nHost: x\r\n\r\n"],
    ["an upgrade", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
    [
      "a body that waits to be asked for",
      "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    ],
    ["a connection with more to say", "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, host\r\n\r\n"],
    ["a large head", `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(9_000)}\r\n\r\n`],
    [
      "many headers",
      `GET / HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 70 }, (_, n) => `h${n}: 1\r\n`).join("")}\r\n`,
    ],
  ];
  for (const [title, text] of left) {
    it(`leaves ${title} alone`, () => assert.equal(readHead(Buffer.from(text, "latin1")), undefined));
  }
});
