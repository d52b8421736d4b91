import { crc32, deflateSync } from "node:zlib";
import { openPdf } from "../../src/pdf-pages.ts";

/** Size of a page in points. */
interface PageSize {
  readonly width: number;
  readonly height: number;
}

const letter: PageSize = { width: 612, height: 792 };

/** A PDF with one page for each list of lines, in Helvetica, which every reader of PDF has. */
export function makePdf(pages: readonly (readonly string[])[], size = letter): Buffer {
  const kids = pages.map((_, index) => `${4 + index * 2} 0 R`).join(" ");
  const objects = [
    "<</Type/Catalog/Pages 2 0 R>>",
    `<</Type/Pages/Kids[${kids}]/Count ${pages.length}>>`,
    "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ...pages.flatMap((lines, index) => {
      const shown = lines.map((line) => `(${line}) Tj T*`).join(" ");
      const content = `BT /F1 24 Tf 72 ${size.height - 92} Td 40 TL ${shown} ET`;
      return [
        `<</Type/Page/Parent 2 0 R/MediaBox[0 0 ${size.width} ${size.height}]/Resources<</Font<</F1 3 0 R>>>>/Contents ${5 + index * 2} 0 R>>`,
        `<</Length ${content.length}>>\nstream\n${content}\nendstream`,
      ];
    }),
  ];
  let file = "%PDF-1.4\n";
  const starts = objects.map((object, index) => {
    const start = file.length;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(start).padStart(10, "0")} 00000 n \n`;
  });
  const table = file.length;
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${starts.join("")}`;
  file += `trailer <</Size ${objects.length + 1}/Root 1 0 R>>\nstartxref\n${table}\n%%EOF`;
  return Buffer.from(file, "latin1");
}

interface GreyPage {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** These lines, as a scanner at 200 dpi would see them. */
async function drawPage(lines: readonly string[]): Promise<GreyPage> {
  const pdf = await openPdf(makePdf([lines]), 10_000_000);
  const { bytes, width, height } = await pdf.render(0);
  pdf.close();
  return { pixels: bytes.subarray(bytes.length - width * height), width, height };
}

/** A PNG of these lines. */
export async function drawPng(lines: readonly string[]): Promise<Buffer> {
  const { pixels, width, height } = await drawPage(lines);
  return encodePng(pixels, width, height);
}

/** A BMP of these lines: 24 bits a pixel, the lowest row first, as most programs write it. */
export async function drawBmp(lines: readonly string[]): Promise<Buffer> {
  const { pixels, width, height } = await drawPage(lines);
  const rowBytes = Math.ceil((width * 3) / 4) * 4;
  const headBytes = 54;
  const file = Buffer.alloc(headBytes + rowBytes * height);
  file.write("BM");
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(headBytes, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(width, 18);
  file.writeInt32LE(height, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  for (let row = 0; row < height; row++) {
    const start = headBytes + (height - 1 - row) * rowBytes;
    for (let at = 0; at < width; at++) file.fill(pixels[row * width + at] ?? 0, start + at * 3, start + at * 3 + 3);
  }
  return file;
}

/** A grey PNG. With fewer pixels than its head says it is a broken one. */
export function encodePng(pixels: Uint8Array, width: number, height: number): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  const rows = Array.from({ length: Math.floor(pixels.length / width) }, (_, row) =>
    Buffer.concat([Buffer.of(0), pixels.subarray(row * width, (row + 1) * width)]),
  );
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([
    signature,
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

/** A document as requests carry it. */
export function asDocument(bytes: Buffer, type: "application/pdf" | `image/${"png" | "jpeg" | "webp" | "bmp"}`) {
  const url = `data:${type};base64,${bytes.toString("base64")}`;
  return type === "application/pdf"
    ? { type: "document_url", document_url: url }
    : { type: "image_url", image_url: url };
}
