import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readPictureHead } from "./picture-head.ts";

const bytes = (...parts: readonly (string | readonly number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part))));
const zeros = (count: number) => Array.from({ length: count }, () => 0);

const png = bytes("\x89PNG\r\n\x1a\n", [0, 0, 0, 13], "IHDR", [0, 0, 2, 0x80], [0, 0, 1, 0xe0]);
/** APP0, then EXIF whose first directory has the orientation, then a frame of 640 x 480. */
const jpeg = (orientation: number) =>
  bytes(
    [0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xe1, 0, 34],
    "Exif\0\0MM\0*",
    [0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0],
    [0xff, 0xc4, 0, 4, 0, 0, 0xff, 0xc2, 0, 17, 8, 1, 0xe0, 2, 0x80],
  );
const webp = (kind: string, rest: readonly number[]) => bytes("RIFF", zeros(4), "WEBP", kind, zeros(4), rest);

describe("readPictureHead", () => {
  // proves: ocr.bounded
  it("finds the size in the head of every kind", () => {
    const size = { width: 640, height: 480 };
    const bits = (639 | (479 << 14)) >>> 0;
    const cases = {
      png: [png],
      jpeg: [jpeg(1)],
      webp: [
        webp("VP8 ", [...zeros(3), 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01]),
        webp("VP8L", [0x2f, bits & 255, (bits >> 8) & 255, (bits >> 16) & 255, bits >>> 24]),
        webp("VP8X", [...zeros(4), 0x7f, 0x02, 0, 0xdf, 0x01, 0]),
      ],
      bmp: [bytes("BM", zeros(16), [0x80, 2, 0, 0], [0x20, 0xfe, 0xff, 0xff])],
    };
    for (const [type, files] of Object.entries(cases)) {
      for (const file of files) assert.deepEqual(readPictureHead(file), { type, ...size, orientation: 1 });
    }
  });

  // proves: ocr.pictures
  it("finds how a photograph is to be turned", () => {
    assert.equal(readPictureHead(jpeg(6))?.orientation, 6);
    assert.equal(readPictureHead(jpeg(77))?.orientation, 1);
  });

  // proves: ocr.bounded
  it("has no size for what is cut off or something else", () => {
    for (const file of [png, jpeg(6)]) {
      for (let length = 0; length < file.length; length++) {
        assert.equal(readPictureHead(file.subarray(0, length)), undefined, `${length} bytes`);
      }
    }
    assert.equal(readPictureHead(bytes("GIF89a", zeros(20))), undefined);
    assert.equal(readPictureHead(bytes("\x89PNG\r\n\x1a\n", [0, 0, 0, 13], "IHDR", zeros(8))), undefined);
  });
});
