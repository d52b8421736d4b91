import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readMultipartForm } from "./multipart-form.ts";
import { MultipartStream } from "./multipart-stream.ts";

interface Part {
  readonly name: string;
  readonly filename: string | undefined;
  readonly content: string;
}

/** The parts as either reader sees them; undefined when it refuses the body. */
function whole(body: Buffer, contentType: string): readonly Part[] | undefined {
  try {
    return readMultipartForm(body, contentType).map(({ name, filename, start, end }) => ({
      name,
      filename,
      content: body.toString("latin1", start, end),
    }));
  } catch {
    return undefined;
  }
}

function inPieces(body: Buffer, contentType: string, cuts: readonly number[]): readonly Part[] | undefined {
  try {
    const stream = new MultipartStream(contentType);
    const parts: { name: string; filename: string | undefined; content: string }[] = [];
    const places = [...cuts.map((cut) => cut % (body.length + 1)), body.length].sort((a, b) => a - b);
    let at = 0;
    for (const place of places) {
      for (const event of stream.push(body.subarray(at, place))) {
        if (event.kind === "begin") parts.push({ name: event.head.name, filename: event.head.filename, content: "" });
        const part = parts.at(-1);
        if (event.kind === "data" && part !== undefined) part.content += event.bytes.toString("latin1");
      }
      at = place;
    }
    stream.finish();
    return parts;
  } catch {
    return undefined;
  }
}

const contentType = "multipart/form-data; boundary=xYz";
/** Pieces of which forms, and what is nearly one, are made. */
const piece = fc.constantFrom(
  "--xYz",
  "xYz",
  "\r\n",
  "--",
  "\r\n--xYz\r\n",
  "\r\n--xYz--\r\n",
  'Content-Disposition: form-data; name="purpose"\r\n\r\n',
  'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n',
  "Content-Length: 4\r\n",
  "Content-Transfer-Encoding: base64\r\n",
  "abcd",
  "\r",
  "x",
);
const body = fc
  .tuple(fc.boolean(), fc.array(piece, { maxLength: 12 }), fc.boolean())
  .map(([starts, pieces, ends]) => [starts ? "--xYz\r\n" : "", ...pieces, ends ? "\r\n--xYz--\r\n" : ""].join(""));

test("a form that comes in pieces is read, or refused, as one that comes at once", () => {
  let read = 0;
  fc.assert(
    fc.property(body, fc.array(fc.nat(400), { maxLength: 6 }), (text, cuts) => {
      const bytes = Buffer.from(text, "latin1");
      const expected = whole(bytes, contentType);
      if (expected !== undefined) read++;
      assert.deepEqual(inPieces(bytes, contentType, cuts), expected);
    }),
    { numRuns: 5_000 },
  );
  // About one in a hundred is.
  assert.ok(read > 10, `only ${read} forms were good`);
});

test("a large file is passed on as it comes", () => {
  const head = '--xYz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n';
  const stream = new MultipartStream(contentType);
  stream.push(Buffer.from(head));
  let bytes = 0;
  for (let turn = 0; turn < 100; turn++) {
    for (const event of stream.push(Buffer.alloc(65_536, "x"))) if (event.kind === "data") bytes += event.bytes.length;
    assert.ok(bytes > turn * 65_536, "it is held back");
  }
  stream.push(Buffer.from("\r\n--xYz--"));
  stream.finish();
});
