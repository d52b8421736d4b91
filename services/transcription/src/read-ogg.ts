import type { OpusSound } from "./opus-sound.ts";

/** Takes the packets of the first stream of Opus out of an Ogg file (RFC 3533, RFC 7845). Throws with what is wrong. */
export function readOggOpus(file: Buffer): OpusSound {
  const packets: Buffer[] = [];
  let open: Buffer[] = [];
  let serial: number | undefined;
  for (const page of pages(file)) {
    const isHead = page.body.toString("latin1", 0, 8) === "OpusHead";
    if (serial === undefined && isHead) serial = page.serial;
    if (page.serial !== serial) continue;
    let at = 0;
    for (const length of page.lacing) {
      open.push(page.body.subarray(at, at + length));
      at += length;
      // A piece of 255 bytes goes on in the next, on the next page if need be.
      if (length === 255) continue;
      packets.push(Buffer.concat(open));
      open = [];
    }
  }
  const [head, , ...frames] = packets;
  if (head === undefined || head.length < 19) throw new Error("it has no stream of Opus");
  return { frames, channels: head[9] ?? 1, preSkip: head.readUInt16LE(10) };
}

interface Page {
  readonly serial: number;
  /** Lengths of the pieces of packets. */
  readonly lacing: Buffer;
  readonly body: Buffer;
}

const headBytes = 27;

function* pages(file: Buffer): Generator<Page> {
  for (let at = 0; at + headBytes <= file.length; ) {
    if (file.toString("latin1", at, at + 4) !== "OggS") throw new Error("a page does not begin where it should");
    const lacing = file.subarray(at + headBytes, at + headBytes + (file[at + 26] ?? 0));
    const start = at + headBytes + lacing.length;
    const length = lacing.reduce((sum, piece) => sum + piece, 0);
    yield { serial: file.readUInt32LE(at + 14), lacing, body: file.subarray(start, start + length) };
    at = start + length;
  }
}
