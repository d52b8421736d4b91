/** How files begin, by their media type: what they are, whatever they were asked to be. */
const beginnings: readonly (readonly [type: string, beginning: RegExp])[] = [
  ["audio/wav", /^RIFF[\s\S]{4}WAVE/],
  ["audio/mpeg", /^(ID3|\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff])/],
  ["audio/ogg", /^OggS/],
  ["audio/flac", /^fLaC/],
  ["audio/aac", /^\xff[\xf0\xf1\xf8\xf9]/],
  ["video/mp4", /^[\s\S]{4}ftyp/],
  ["image/png", /^\x89PNG\r\n/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/webp", /^RIFF[\s\S]{4}WEBP/],
];

/** Bytes that are enough to tell. */
const lookedAt = 12;

/** The media type that bytes begin like, or undefined. */
export function mediaTypeOf(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(lookedAt, bytes.length)).toString("latin1");
  return beginnings.find(([, beginning]) => beginning.test(start))?.[0];
}
