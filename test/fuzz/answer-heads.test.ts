import assert from "node:assert/strict";
import { type IncomingMessage, request as sendRequest } from "node:http";
import { duplexPair } from "node:stream";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type AnswerHandler, AnswerReader } from "../../src/gateway/http/answer-reader.ts";

const seed = 20_260_102;

/** An answer that was read to its end. Undefined stands for one that was refused, or that never ended. */
interface ReadAnswer {
  readonly status: number;
  readonly body: string;
}

/** As Node's own client reads it, on a stream in memory. */
function readWithNode(bytes: Buffer, method: string): Promise<ReadAnswer | undefined> {
  const [near, far] = duplexPair();
  const { promise, resolve } = Promise.withResolvers<ReadAnswer | undefined>();
  const pieces: Buffer[] = [];
  let response: IncomingMessage | undefined;
  // Node complains of bytes behind an answer too. The answer itself is what is compared.
  const give = () => {
    const body = Buffer.concat(pieces).toString("latin1");
    resolve(response?.complete ? { status: response.statusCode ?? 0, body } : undefined);
    near.destroy();
    far.destroy();
  };
  const request = sendRequest({ method, createConnection: () => near, host: "x" }, (incoming) => {
    response = incoming;
    incoming.on("data", (piece: Buffer) => pieces.push(piece));
    incoming.on("error", () => {});
    incoming.on("close", give);
  });
  request.on("error", () => {
    if (response === undefined) give();
  });
  request.on("upgrade", give);
  request.on("close", () => {
    if (response === undefined) give();
  });
  request.end();
  far.once("data", () => far.end(bytes));
  far.on("error", () => {});
  return promise;
}

/** As the gateway reads it, in pieces of the given sizes. `isReusable`: what it thinks of the connection. */
function readWithReader(bytes: Buffer, method: string, sizes: readonly number[]) {
  let status = 0;
  let ended = false;
  let errors = 0;
  let isReusable = false;
  const pieces: Buffer[] = [];
  const handler: AnswerHandler = {
    onRequestStart() {},
    onResponseStart(_control, code) {
      status = code;
    },
    onResponseData: (_control, piece) => void pieces.push(piece),
    onResponseEnd() {
      assert.ok(!ended && errors === 0, "it ended twice");
      ended = true;
    },
    onResponseError: () => void errors++,
  };
  const connection = {
    finished(idleMs: number) {
      isReusable = idleMs > 0;
    },
    resume() {},
    destroy() {},
  };
  const reader = new AnswerReader(handler, connection, method === "HEAD");
  let at = 0;
  for (let turn = 0; at < bytes.length && !reader.isOver; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    // A copy: the reader may change what it is given.
    reader.read(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  reader.end();
  assert.ok(ended || errors === 1, "it neither ended nor failed");
  const body = Buffer.concat(pieces).toString("latin1");
  return { answer: ended ? { status, body } : undefined, isReusable };
}

const header = fc.constantFrom(
  "Content-Type: application/json",
  "connection: close",
  "Connection: keep-alive",
  "Keep-Alive: timeout=5",
  "X-A:",
  "X-A:  b\t",
  "Content-Length: 5",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: gzip, chunked",
  "x : y",
);
const content = fc.stringMatching(/^[a-z\r\n{}]{0,12}$/);
const chunk = fc.tuple(content, fc.constantFrom("", "", ";a=b", ";", " ")).map(([text, extension]) => {
  return text === "" ? "" : `${text.length.toString(16)}${extension}\r\n${text}\r\n`;
});
const body = fc.oneof(
  content.map((text) => ({ head: `Content-Length: ${text.length}\r\n`, text })),
  fc
    .tuple(fc.array(chunk, { maxLength: 4 }), fc.constantFrom("0\r\n\r\n", "000\r\n\r\n", "0\r\nA: b\r\n\r\n", "0\r\n"))
    .map(([chunks, last]) => ({ head: "Transfer-Encoding: chunked\r\n", text: chunks.join("") + last })),
  content.map((text) => ({ head: "", text })),
);
const oddities = fc.constantFrom(
  "\r",
  "\n",
  "\r\n",
  " ",
  ":",
  "\0",
  "\x80",
  "0",
  "f",
  "-",
  ";",
  "HTTP/1.1 100 C\r\n\r\n",
);
const mutation = fc.record({ at: fc.nat(300), drop: fc.nat(2), put: oddities });

const answer = fc
  .record({
    interim: fc.constantFrom("", "", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"),
    line: fc.constantFrom(
      "HTTP/1.1 200 OK",
      "HTTP/1.1 404 ",
      "HTTP/1.1 500",
      "HTTP/1.0 200 OK",
      "HTTP/1.1 204 No",
      "HTTP/1.1 304 N",
    ),
    headers: fc.array(header, { maxLength: 3 }),
    body,
    more: fc.constantFrom("", "", "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    mutations: fc.array(mutation, { maxLength: 2 }),
  })
  .map(({ interim, line, headers, body: { head, text }, more, mutations }) => {
    let bytes = `${interim}${[line, ...headers].join("\r\n")}\r\n${head}\r\n${text}${more}`;
    for (const { at, drop, put } of mutations) {
      const where = at % bytes.length;
      bytes = bytes.slice(0, where) + put + bytes.slice(where + drop);
    }
    return bytes;
  });

describe("fuzz: the gateway reads an answer exactly as Node's client does, or refuses it", () => {
  it("over generated and mutated answers, cut anywhere", async () => {
    let taken = 0;
    let refused = 0;
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
    const method = fc.constantFrom("POST", "POST", "POST", "HEAD");
    await fc.assert(
      fc.asyncProperty(answer, sizes, method, async (text, pieces, verb) => {
        const bytes = Buffer.from(text, "latin1");
        const whole = readWithReader(bytes, verb, [bytes.length]);
        const cut = readWithReader(bytes, verb, pieces);
        assert.deepEqual(cut.answer, whole.answer, "it reads pieces in another way");
        if (whole.answer === undefined) {
          refused++;
          return;
        }
        taken++;
        assert.deepEqual(whole.answer, await readWithNode(bytes, verb));
      }),
      { seed, numRuns: 3_000 },
    );
    assert.ok(taken > 300 && refused > 300, `${taken} were taken and ${refused} refused: one side is hardly tested`);
  });

  const poisoned: readonly [title: string, text: string][] = [
    ["says more than it was asked", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n"],
    ["says more after its last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx"],
    ["has a body where there is none", "HTTP/1.1 204 No Content\r\n\r\nx"],
    ["wants to close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"],
    ["wants to close, among other things", "HTTP/1.1 200 OK\r\nConnection: a, Close\r\nContent-Length: 0\r\n\r\n"],
    ["is of an older version", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["closes at once", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n"],
    ["ends with the connection", "HTTP/1.1 200 OK\r\n\r\nx"],
  ];
  for (const [title, text] of poisoned) {
    it(`asks nothing more of a server that ${title}`, () => {
      const bytes = Buffer.from(text, "latin1");
      const read = readWithReader(bytes, "POST", [bytes.length]);
      assert.notEqual(read.answer, undefined);
      assert.equal(read.isReusable, false);
    });
  }

  const refused: readonly [title: string, text: string][] = [
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["another encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"],
    ["half a body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx"],
    ["chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"],
    ["a chunk of no size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n"],
    [
      "a chunk size that ends in another way",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\n\nx\r\n0\r\n\r\n",
    ],
    ["a chunk extension", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n"],
    ["a chunk of a huge size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n"],
    ["another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"],
    ["bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    ["no head", `HTTP/1.1 200 OK\r\nA: ${"a".repeat(20_000)}`],
    ["announcements for ever", "HTTP/1.1 100 C\r\n\r\n".repeat(20)],
  ];
  for (const [title, text] of refused) {
    it(`takes no answer with ${title}`, () => {
      const bytes = Buffer.from(text, "latin1");
      assert.equal(readWithReader(bytes, "POST", [bytes.length]).answer, undefined);
    });
  }
});
