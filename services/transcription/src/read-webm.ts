import type { OpusSound } from "./opus-sound.ts";

/** Elements of Matroska (RFC 9559) that are looked at. */
const ids = {
  segment: 0x18538067,
  tracks: 0x1654ae6b,
  trackEntry: 0xae,
  trackNumber: 0xd7,
  codec: 0x86,
  codecPrivate: 0x63a2,
  cluster: 0x1f43b675,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
} as const;

/** Elements that hold others. */
const containers: ReadonlySet<number> = new Set([ids.segment, ids.tracks, ids.trackEntry, ids.cluster, ids.blockGroup]);

interface Track {
  number: number;
  codec: string;
  head: Buffer;
}

/** Takes the packets of the first track of Opus out of a file, as browsers record it. Throws with what is wrong. */
export function readWebm(file: Buffer): OpusSound {
  const tracks: Track[] = [];
  const frames: Uint8Array[] = [];
  for (const { id, content } of elements(file)) {
    const track = tracks.at(-1);
    if (id === ids.trackEntry) tracks.push({ number: 0, codec: "", head: Buffer.alloc(0) });
    else if (id === ids.trackNumber && track !== undefined)
      track.number = content.readUIntBE(0, Math.min(6, content.length));
    else if (id === ids.codec && track !== undefined) track.codec = content.toString("latin1");
    else if (id === ids.codecPrivate && track !== undefined) track.head = content;
    else if (id === ids.simpleBlock || id === ids.block) addFrame(frames, content, opusTrack(tracks).number);
  }
  const { head } = opusTrack(tracks);
  const isHead = head.length >= 19 && head.toString("latin1", 0, 8) === "OpusHead";
  return { frames, channels: isHead ? (head[9] ?? 1) : 2, preSkip: isHead ? head.readUInt16LE(10) : 0 };
}

function opusTrack(tracks: readonly Track[]): Track {
  const found = tracks.find(({ codec }) => codec === "A_OPUS");
  if (found !== undefined) return found;
  throw new Error(`it has no track of Opus, only ${tracks.map(({ codec }) => codec).join(", ") || "none"}`);
}

function addFrame(frames: Uint8Array[], block: Buffer, track: number): void {
  const number = readSize(block, 0);
  if (number === undefined || block.length < number.length + 4 || number.value !== track) return;
  const flags = block[number.length + 2] ?? 0;
  if ((flags & 0x06) !== 0) throw new Error("its packets are laced, which is not read here");
  frames.push(block.subarray(number.length + 3));
}

/** All elements in their order, those that hold others before what they hold. */
function* elements(file: Buffer): Generator<{ readonly id: number; readonly content: Buffer }> {
  for (let at = 0; at < file.length; ) {
    const id = readId(file, at);
    const size = id === undefined ? undefined : readSize(file, at + id.length);
    if (id === undefined || size === undefined) return;
    const start = at + id.length + size.length;
    // A recording that was still going on when it was written has no sizes: what it holds follows all the same.
    const end = size.value === undefined ? file.length : Math.min(file.length, start + size.value);
    yield { id: id.value, content: file.subarray(start, end) };
    at = containers.has(id.value) ? start : end;
  }
}

interface Read<T> {
  readonly value: T;
  /** Bytes that it takes. */
  readonly length: number;
}

function readId(file: Buffer, at: number): Read<number> | undefined {
  const length = Math.clz32(file[at] ?? 0) - 23;
  return length > 4 || at + length > file.length ? undefined : { value: file.readUIntBE(at, length), length };
}

/** A number whose first bits say how long it is; all ones mean that nobody knows. */
function readSize(file: Buffer, at: number): Read<number | undefined> | undefined {
  const length = Math.clz32(file[at] ?? 0) - 23;
  if (length > 8 || at + length > file.length) return undefined;
  let value = (file[at] ?? 0) & (0xff >> length);
  let isUnknown = value === 0xff >> length;
  for (const byte of file.subarray(at + 1, at + length)) {
    value = value * 256 + byte;
    isUnknown &&= byte === 0xff;
  }
  return { value: isUnknown ? undefined : value, length };
}
