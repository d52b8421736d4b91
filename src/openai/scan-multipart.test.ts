import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { NexusError } from "../base/errors.ts";
import { readMultipartForm } from "../base/multipart-form.ts";
import { replaceFormModel, scanMultipart } from "./scan-multipart.ts";

const contentType = "multipart/form-data; boundary=XX";
/** Node's own reader takes no shorter boundaries. */
const longBoundary = "X".repeat(30);
const field = (name: string, value: string, more = "") =>
  `--XX\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
const file = field("file", "bytes", '; filename="a.wav"');
const end = "--XX--\r\n";
const scan = (text: string, type = contentType) => scanMultipart(Buffer.from(text, "latin1"), type);

const utf8 = new TextDecoder();

/** What Node's own reader makes of a body: names and values in their order, or undefined when it refuses. */
async function reference(
  body: Buffer,
  type: string,
): Promise<readonly (readonly [string, string, Buffer])[] | undefined> {
  const form = await new Response(body, { headers: { "content-type": type } }).formData().catch(() => undefined);
  if (form === undefined) return undefined;
  return Promise.all(
    [...form].map(async ([name, value]) => {
      if (typeof value === "string") return [name, "", Buffer.from(value)] as const;
      return [name, value.name, Buffer.from(await value.arrayBuffer())] as const;
    }),
  );
}

function own(body: Buffer, type: string): readonly (readonly [string, string, Buffer])[] | undefined {
  try {
    return readMultipartForm(body, type).map(({ name, filename, start, end: last }) => {
      const value = body.subarray(start, last);
      // Fields are text to the other reader: bytes that are no UTF-8 became replacement characters there.
      return [name, filename ?? "", filename === undefined ? Buffer.from(utf8.decode(value)) : value] as const;
    });
  } catch (error) {
    assert.ok(error instanceof NexusError, String(error));
    return undefined;
  }
}

const fieldName = fc.constantFrom(
  "model",
  "stream",
  "prompt",
  "response_format",
  "timestamp_granularities[]",
  "image[]",
);
const text = fc.string({ unit: "grapheme", maxLength: 40 }).map((value) => value.replaceAll(/\r\n?|\n/g, " "));
const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constantFrom("\r\n", "--", "\r\n--", "\n--XX"));
const entries = fc.array(
  fc.oneof(
    fc.record({ name: fieldName, value: text, filename: fc.constant(undefined) }),
    fc.record({
      name: fc.constantFrom("file", "image[]"),
      value: bytes,
      filename: fc.constantFrom("a.wav", "größe.png"),
    }),
  ),
  { minLength: 1, maxLength: 6 },
);

async function encode(list: readonly { name: string; value: string | Uint8Array; filename: string | undefined }[]) {
  const form = new FormData();
  for (const { name, value, filename } of list) {
    if (filename === undefined) form.append(name, value.toString());
    else form.append(name, new Blob([value as string]), filename);
  }
  const response = new Response(form);
  const type = response.headers.get("content-type") ?? "";
  return { body: Buffer.from(await response.arrayBuffer()), type };
}

describe("readMultipartForm", () => {
  it("reads what Node's own writer writes as Node's own reader does", async () => {
    await fc.assert(
      fc.asyncProperty(entries, async (list) => {
        const { body, type } = await encode(list);
        const expected = await reference(body, type);
        assert.ok(expected !== undefined);
        assert.deepEqual(own(body, type), expected);
      }),
      { numRuns: 300 },
    );
  });

  it("reads no mutated form differently than Node's own reader", async () => {
    const bits = [
      "\r\n",
      "\n",
      "\r",
      "--",
      `--${longBoundary}`,
      '"',
      "\\",
      ";",
      ":",
      " ",
      "\t",
      longBoundary,
      "\0",
      "filename",
      '; name="model"',
    ];
    const splice = fc.record({ at: fc.nat(), cut: fc.nat(6), put: fc.constantFrom("", ...bits) });
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(entries, fc.array(splice, { minLength: 1, maxLength: 3 }), async (list, splices) => {
        const whole = await encode(list);
        const boundary = /boundary=(.*)/.exec(whole.type)?.[1] ?? "";
        let body = whole.body.toString("latin1").replaceAll(boundary, longBoundary);
        for (const { at, cut, put } of splices) {
          const place = at % (body.length + 1);
          body = body.slice(0, place) + put + body.slice(place + cut);
        }
        const mutated = Buffer.from(body, "latin1");
        const type = `multipart/form-data; boundary=${longBoundary}`;
        const seen = own(mutated, type);
        if (seen === undefined) return;
        accepted++;
        assert.deepEqual(seen, await reference(mutated, type), body);
      }),
      { numRuns: 3_000 },
    );
    assert.ok(accepted > 100, `only ${accepted} accepted: the mutations are too wild`);
  });

  it("never throws anything but a refusal, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 60 }), (body, type) => {
        own(Buffer.from(body), contentType);
        own(Buffer.from(body), type);
      }),
      { numRuns: 2_000 },
    );
  });

  it("takes the boundaries that clients make", () => {
    for (const boundary of [
      "----WebKitFormBoundary7MA4YWxkTrZu0gW",
      "----formdata-undici-012345678901",
      "------------------------d74496d66958873e",
      "1f2e3d4c5b6a79880123456789abcdef",
      '"7d4a6d15-9ee2-4b0d-95b1-c2f7ee4f0d3f"',
      '"----=_Part_0_123.456"',
    ]) {
      const bare = boundary.replaceAll('"', "");
      const body = (field("model", "m") + end).replaceAll("--XX", () => `--${bare}`);
      assert.equal(scan(body, `multipart/form-data; boundary=${boundary}`).model, "m", boundary);
    }
  });
});

describe("scanMultipart", () => {
  it("finds the model, the stream and what else decides, whatever the order", () => {
    const body = file + field("stream", "true") + field("model", "whisper-1") + field("response_format", "srt") + end;
    const found = scan(body);
    assert.deepEqual([found.model, found.stream, found.responseFormat], ["whisper-1", true, "srt"]);
    assert.deepEqual(
      found.parts.map(({ name, filename }) => [name, filename]),
      [
        ["file", "a.wav"],
        ["stream", undefined],
        ["model", undefined],
        ["response_format", undefined],
      ],
    );
  });

  it("takes the headers that clients add to fields", () => {
    const more =
      "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\nContent-Transfer-Encoding: binary";
    assert.equal(scan(field("model", "m", more) + end).model, "m");
  });

  it("replaces the model in place and nothing else", async () => {
    await fc.assert(
      fc.asyncProperty(entries, text, async (list, other) => {
        fc.pre(/^[^\p{Cc}]+$/u.test(other));
        const rest = list.filter(({ name }) => !["model", "stream", "response_format"].includes(name));
        const { body, type } = await encode([...rest, { name: "model", value: "m", filename: undefined }, ...rest]);
        const replaced = replaceFormModel(body, scanMultipart(body, type), other);
        const before = own(body, type);
        const expected = before?.map((entry) => (entry[0] === "model" ? ["model", "", Buffer.from(other)] : entry));
        assert.deepEqual(own(replaced, type), expected);
      }),
      { numRuns: 200 },
    );
    const body = Buffer.from(field("model", "m") + end);
    assert.equal(replaceFormModel(body, scanMultipart(body, contentType), "m"), body);
  });

  const model = field("model", "m");
  const refused: readonly (readonly [what: string, body: string, code?: string])[] = [
    ["no body", ""],
    ["no parts", end],
    ["no model", file + end, "missing_model"],
    ["an empty model", field("model", "") + end, "missing_model"],
    ["two models", model + field("model", "other") + end],
    ["a model in brackets only", field("model[]", "m") + end],
    ["a model in another case only", field("MODEL", "m") + end],
    ["a model in brackets beside the model", model + field("model[]", "other") + end],
    ["a model in another case beside the model", model + field("Model", "other") + end],
    ["a model that is a file", field("model", "m", '; filename="m"') + end],
    ["a model with a line break", field("model", "m\r\n") + end],
    ["a model with a space", field("model", " m") + end],
    ["a model in no UTF-8", field("model", "\xff") + end],
    ["a model of 257 letters", field("model", "m".repeat(257)) + end],
    ["a model in another character set", field("model", "m", "\r\nContent-Type: text/plain; charset=utf-16") + end],
    ["a form with its own character set", field("_charset_", "utf-16") + model + end],
    ["a stream of both minds", model + field("stream", "True") + end],
    ["two streams", model + field("stream", "true") + field("stream", "false") + end],
    ["a preamble", `hello\r\n${model}${end}`],
    ["an epilogue", `${model}${end}--XX`],
    ["text after the end", `${model}--XX-- \r\n`],
    ["no last boundary", model],
    ["half a last boundary", `${model}--XX-`],
    ["a boundary with text behind it", `${model}--XXY\r\n${model}${end}`],
    ["a boundary with a space behind it", model.replace("--XX", "--XX ") + end],
    [
      "a boundary after a bare line feed",
      field("prompt", 'a\n--XX\nContent-Disposition: form-data; name="model"') + model + end,
    ],
    ["a boundary in a file", field("file", "a--XX", '; filename="a"') + model + end],
    ["bare line feeds", (model + end).replaceAll("\r\n", "\n")],
    ["a folded header", model.replace("; name", ";\r\n name") + end],
    ["a header twice", field("model", "m", '\r\nContent-Disposition: form-data; name="prompt"') + end],
    ["a header without a colon", field("model", "m", "\r\nhello") + end],
    ["a header with a space before its colon", field("model", "m", "\r\nContent-Type : text/plain") + end],
    ["a name twice", field("prompt", "m", '; name="model"') + end],
    ["a name with an escape", field('mo\\"del', "m") + model + end],
    ["a name without quotes", model.replace('"model"', "model") + end],
    ["an extended file name", field("file", "b", "; filename*=utf-8''a.wav") + model + end],
    ["two file names", field("file", "b", '; filename="a"; filename="b"') + model + end],
    ["a file name with an escape", field("file", "b", '; filename="a\\".wav"') + model + end],
    ["a file name that is a path", field("file", "b", '; filename="../../a.wav"') + model + end],
    ["a file name that is the folder above", field("file", "b", '; filename=".."') + model + end],
    ["an empty file name", field("file", "", '; filename=""') + model + end],
    ["a transfer encoding", field("model", "bQ==", "\r\nContent-Transfer-Encoding: base64") + end],
    ["a wrong length", field("model", "m", "\r\nContent-Length: 2") + end],
    ["headers without an end", `--XX\r\nContent-Disposition: form-data; name="model"\r\n${end}`],
    ["headers of 5,000 bytes", field("model", "m", `\r\nX-A: ${"a".repeat(5_000)}`) + end],
    ["more than 256 parts", field("a", "b").repeat(256) + model + end],
  ];
  for (const [what, body, code = "invalid_request"] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => scan(body),
        (error) => error instanceof NexusError && error.code === code,
      );
    });
  }

  for (const type of [
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=XX; boundary=YY",
    "multipart/form-data; boundary=XX; charset=utf-8",
    "multipart/form-data; boundary=X X",
    "multipart/form-data; boundary=X,X",
    'multipart/form-data; boundary="X\\X"',
    "multipart/form-data; boundary*=XX",
    `multipart/form-data; boundary=${"X".repeat(71)}`,
  ]) {
    it(`refuses ${type.slice(0, 60)}`, () => {
      assert.throws(
        () => scan(model + end, type),
        (error) => error instanceof NexusError && error.code === "invalid_request",
      );
    });
  }

  it("says that another content type is another matter", () => {
    for (const type of ["", "application/json", "multipart/mixed; boundary=XX", "multipart/form-database"]) {
      assert.throws(
        () => scan(model + end, type),
        (error) => error instanceof NexusError && error.status === 415,
      );
    }
  });

  it("puts a model in where it may be left out, and leaves the files as they are", () => {
    const contentType = "multipart/form-data; boundary=x";
    const file = '--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n\u0000\r\n--x--\r\n';
    const body = Buffer.from(file);
    assert.throws(() => scanMultipart(body, contentType), { code: "missing_model" });
    const scan = scanMultipart(body, contentType, { isModelOptional: true });
    assert.equal(scan.model, "");
    const filled = replaceFormModel(body, scan, "painter");
    assert.equal(scanMultipart(filled, contentType).model, "painter");
    assert.ok(filled.toString().endsWith(file));
    const empty = Buffer.from(`--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n\r\n${file}`);
    assert.throws(() => scanMultipart(empty, contentType, { isModelOptional: true }), { code: "missing_model" });
  });
});
