import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32, deflateSync, inflateSync } from "node:zlib";
import { encodeGreyPng } from "./grey-png.ts";
import { toMask } from "./mask.ts";

/** A PNG of rows that begin with their filter, in a colour type. */
function png(type: number, width: number, rows: readonly (readonly number[])[]): Buffer {
  const plain = encodeGreyPng(Buffer.alloc(width * rows.length), width, rows.length);
  const head = Buffer.from(plain.subarray(0, 33));
  head[25] = type;
  head.writeUInt32BE(crc32(head.subarray(12, 29)), 29);
  const data = deflateSync(Buffer.from(rows.flat()));
  const chunk = Buffer.alloc(data.length + 12);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write("IDAT", 4);
  data.copy(chunk, 8);
  return Buffer.concat([head, chunk, plain.subarray(-12)]);
}

/** The pixels of what `toMask` makes. */
function pixelsOf(mask: Buffer): number[][] {
  const width = mask.readUInt32BE(16);
  const length = mask.readUInt32BE(33);
  const rows = [...inflateSync(mask.subarray(41, 41 + length))];
  return Array.from({ length: rows.length / (width + 1) }, (_, row) =>
    rows.slice(row * (width + 1) + 1, (row + 1) * (width + 1)),
  );
}

describe("toMask", () => {
  // proves: image.edits
  it("changes what is transparent, and where nothing can be, what is white", () => {
    const colour = png(6, 2, [[0, 1, 2, 3, 255, 1, 2, 3, 0]]);
    assert.deepEqual(pixelsOf(toMask(colour)), [[0, 255]]);
    assert.deepEqual(pixelsOf(toMask(png(4, 2, [[0, 9, 0, 9, 255]]))), [[255, 0]]);
    assert.deepEqual(pixelsOf(toMask(png(0, 2, [[0, 255, 0]]))), [[255, 0]]);
    assert.deepEqual(pixelsOf(toMask(png(2, 1, [[0, 255, 255, 255]]))), [[255]]);
  });

  // proves: image.edits
  it("undoes every filter", () => {
    const rows = [
      [1, 100, 100, 55],
      [2, 155, 0, 0],
      [3, 128, 28, 0],
      [4, 1, 255, 0],
    ];
    // 100 200 255 | 255 200 255 | 255 255 255 | 0 255 255
    assert.deepEqual(pixelsOf(toMask(png(0, 3, rows))), [
      [0, 255, 255],
      [255, 255, 255],
      [255, 255, 255],
      [0, 255, 255],
    ]);
  });

  // proves: image.requests
  it("refuses what is no plain PNG, or unpacks to more than it says", () => {
    const good = png(0, 2, [[0, 255, 0]]);
    const bad = [
      Buffer.from("no picture"),
      good.subarray(0, 40),
      png(3, 2, [[0, 1, 2]]),
      png(0, 2, [[0, 255]]),
      png(0, 2, [[0, 255, 0, 0, 0, 0]]),
      png(0, 2, [[9, 255, 0]]),
    ];
    for (const one of bad) assert.throws(() => toMask(one), /`mask` must be a plain PNG/);
  });
});
