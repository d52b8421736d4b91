import { deflateSync } from "node:zlib";

/** Half a second of a quiet tone: 16 kHz, 16 bit, one channel, as speech models like it. */
export function sampleSound(): Blob {
  const rate = 16_000;
  const samples = rate / 2;
  const file = Buffer.alloc(44 + samples * 2);
  file.write("RIFF", 0);
  file.writeUInt32LE(36 + samples * 2, 4);
  file.write("WAVEfmt ", 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(rate * 2, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write("data", 36);
  file.writeUInt32LE(samples * 2, 40);
  for (let sample = 0; sample < samples; sample++) {
    file.writeInt16LE(Math.round(2_000 * Math.sin((2 * Math.PI * 440 * sample) / rate)), 44 + sample * 2);
  }
  return new Blob([file], { type: "audio/wav" });
}

const side = 64;

/** A grey square, as PNG. */
export function samplePicture(): Buffer<ArrayBuffer> {
  const header = Buffer.from([0, 0, 0, side, 0, 0, 0, side, 8, 0, 0, 0, 0]);
  const row = Buffer.from([0, ...Array.from({ length: side }, () => 0x80)]);
  const rows = deflateSync(Buffer.concat(Array.from({ length: side }, () => row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunks = [chunk("IHDR", header), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([signature, ...chunks]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(checksum(body), body.length + 4);
  return whole;
}

/** CRC-32 as PNG has it (RFC 2083, appendix). Node has none before version 22. */
function checksum(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** A body of `multipart/form-data`. A file is its bytes and what the client calls it. */
export function form(
  fields: Readonly<Record<string, string>>,
  files: Readonly<Record<string, readonly [Blob, string]>> = {},
): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  for (const [name, [blob, filename]] of Object.entries(files)) data.append(name, blob, filename);
  return data;
}

/** How files of a media type begin. Types that are not here have no beginning of their own. */
const beginnings: readonly (readonly [type: RegExp, beginning: RegExp])[] = [
  [/^audio\/(x-|vnd\.)?wave?$/, /^RIFF[\s\S]{4}WAVE/],
  [/^audio\/(mpeg|mp3)$/, /^(ID3|\xff[\xe0-\xff])/],
  [/^audio\/(ogg|opus)$/, /^OggS/],
  [/^audio\/(x-)?flac$/, /^fLaC/],
  [/^audio\/aac$/, /^\xff[\xf0-\xff]/],
  [/^video\/(mp4|quicktime)$/, /^[\s\S]{4}ftyp/],
  [/^image\/png$/, /^\x89PNG\r\n/],
  [/^image\/jpeg$/, /^\xff\xd8\xff/],
  [/^image\/webp$/, /^RIFF[\s\S]{4}WEBP/],
];

/** Whether bytes can be of a media type, parameters aside. */
export function looksLike(bytes: Buffer, contentType: string): boolean {
  const type = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  const beginning = beginnings.find(([pattern]) => pattern.test(type))?.[1];
  return bytes.length > 0 && (beginning === undefined || beginning.test(bytes.toString("latin1", 0, 16)));
}

/** Whether bytes are a picture of a kind that browsers show. */
export function isPicture(bytes: Buffer): boolean {
  return ["image/png", "image/jpeg", "image/webp"].some((type) => looksLike(bytes, type));
}
