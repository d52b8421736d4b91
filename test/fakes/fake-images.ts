import { crc32, deflateSync } from "node:zlib";
import { badField, countWords, created, type FakeAsked, type FakeReply, jsonReply, typedEvents } from "./fake-reply.ts";

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}

/** A real picture of 2 by 2 pixels in one shade of grey. */
export function png(shade: number): Buffer {
  const header = Buffer.from([0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 0]);
  const rows = deflateSync(Buffer.from([0, shade, shade, 0, shade, shade]));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([
    signature,
    pngChunk("IHDR", header),
    pngChunk("IDAT", rows),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}

const looks = { size: "1024x1024", quality: "low", background: "opaque", output_format: "png" };

/** Pictures, at once or with previews on the way. Links lead to the fake itself. */
export function images(asked: FakeAsked): FakeReply {
  const { operation, fields, form, baseUrl } = asked;
  if (operation !== "images.create_variation" && (typeof fields.prompt !== "string" || fields.prompt === "")) {
    return badField("prompt", "must be a text");
  }
  const isChange = operation !== "images.generate";
  if (isChange && form !== undefined && !form.files.some(({ name }) => /^image(\[\])?$/.test(name))) {
    return badField("image", "must be a picture");
  }
  const count = Number(fields.n ?? 1);
  const tokens = countWords(fields.prompt);
  const usage = { input_tokens: tokens, output_tokens: 100 * count, total_tokens: tokens + 100 * count };
  if (fields.stream === true || fields.stream === "true") {
    return imageEvents(isChange ? "image_edit" : "image_generation", Number(fields.partial_images ?? 1), usage);
  }
  const data = Array.from({ length: count }, (_, index) =>
    fields.response_format === "url"
      ? { url: `${baseUrl}${generatedPath}${index}.png` }
      : { b64_json: png(index).toString("base64") },
  );
  return jsonReply({ created, data, ...looks, usage });
}

/** Where the pictures of `url` answers lie. */
export const generatedPath = "/generated/";

function imageEvents(kind: string, previews: number, usage: object): FakeReply {
  const event = (type: string, shade: number, more: object) => ({
    type: `${kind}.${type}`,
    created_at: created,
    b64_json: png(shade).toString("base64"),
    ...looks,
    ...more,
  });
  return typedEvents([
    ...Array.from({ length: previews }, (_, index) => event("partial_image", index, { partial_image_index: index })),
    event("completed", 255, { usage }),
  ]);
}
