import { inflateSync } from "node:zlib";
import { NexusError } from "nexus/base";
import { encodeGreyPng } from "./grey-png.ts";

/** Of a mask, which is as large as its picture. */
const pixelsMax = 16_777_216;

/** Samples of a pixel by PNG's colour type: grey, colour, grey and alpha, colour and alpha. */
const samplesByType: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };

function wrong(): NexusError {
  return new NexusError("invalid_request", "`mask` must be a plain PNG with 8 bits a colour, not interlaced.", {
    param: "mask",
  });
}

/**
 * A mask as OpenAI has it, transparent where the picture may change, or white there when nothing is transparent, made
 * into the one that backends take: grey, white where it changes.
 * @throws NexusError `invalid_request` for what is no such PNG.
 */
export function toMask(png: Buffer): Buffer {
  const { width, height, samples, pixels } = unpack(png);
  const hasAlpha = samples === 2 || samples === 4;
  const grey = Buffer.alloc(width * height);
  for (let pixel = 0; pixel < grey.length; pixel++) {
    const value = pixels[pixel * samples + (hasAlpha ? samples - 1 : 0)] ?? 0;
    grey[pixel] = (hasAlpha ? value < 128 : value >= 128) ? 255 : 0;
  }
  return encodeGreyPng(grey, width, height);
}

function unpack(png: Buffer) {
  if (png.toString("latin1", 0, 8) !== "\x89PNG\r\n\x1a\n" || png.length < 33) throw wrong();
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const samples = samplesByType[png[25] ?? -1];
  const isPlain = png[24] === 8 && png[28] === 0 && samples !== undefined;
  if (!isPlain || width * height === 0 || width * height > pixelsMax) throw wrong();
  const rowBytes = width * samples;
  const rows = inflate(dataOf(png), (rowBytes + 1) * height);
  return { width, height, samples, pixels: unfilter(rows, { rowBytes, height, samples }) };
}

function dataOf(png: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 8; at + 12 <= png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  return Buffer.concat(parts);
}

function inflate(packed: Buffer, length: number): Buffer {
  try {
    const rows = inflateSync(packed, { maxOutputLength: length });
    if (rows.length === length) return rows;
  } catch {
    // Broken, or more than its head says: the same to whoever sent it.
  }
  throw wrong();
}

/** Undoes the filters of PNG (RFC 2083, chapter 6), row by row. */
function unfilter(
  rows: Buffer,
  { rowBytes, height, samples }: { rowBytes: number; height: number; samples: number },
): Buffer {
  const pixels = Buffer.alloc(rowBytes * height);
  for (let row = 0; row < height; row++) {
    const filter = rows[row * (rowBytes + 1)] ?? 0;
    if (filter > 4) throw wrong();
    for (let column = 0; column < rowBytes; column++) {
      const at = row * rowBytes + column;
      const left = column < samples ? 0 : (pixels[at - samples] ?? 0);
      const up = row === 0 ? 0 : (pixels[at - rowBytes] ?? 0);
      const corner = row === 0 || column < samples ? 0 : (pixels[at - rowBytes - samples] ?? 0);
      const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0;
      pixels[at] = (rows[row * (rowBytes + 1) + 1 + column] ?? 0) + predicted;
    }
  }
  return pixels;
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [toLeft, toUp, toCorner] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
