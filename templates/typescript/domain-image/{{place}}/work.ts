import { createHash } from "node:crypto";
import { crc32, deflateSync } from "node:zlib";
import type { Work } from "nexus/service-kit";

/** Draws a fall of two colours that follow from the prompt. Put a model here. */
export const work: Work<"image"> = ({ prompt, width, height }) => {
  const colours = createHash("sha256").update(prompt).digest();
  const rows = Array.from({ length: height }, (_, row) => rowOf(width, colours, row / height));
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Eight bits each of red, green and blue.
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const pixels = deflateSync(Buffer.concat(rows));
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
};

/** One line of pixels, `share` of the way from the first colour to the second. */
function rowOf(width: number, colours: Buffer, share: number): Buffer {
  const mixed = [0, 1, 2].map((part) => (colours[part] ?? 0) * (1 - share) + (colours[part + 3] ?? 0) * share);
  return Buffer.concat([Buffer.from([0]), Buffer.alloc(width * 3, Buffer.from(mixed))]);
}

/** A piece of a PNG file: its length, name, content and checksum. */
function chunk(name: string, content: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name), content]);
  const whole = Buffer.alloc(named.length + 8);
  whole.writeUInt32BE(content.length, 0);
  named.copy(whole, 4);
  whole.writeUInt32BE(crc32(named), named.length + 4);
  return whole;
}
