/** A picture's size in squares of 16 pixels. */
export interface FilmSize {
  readonly columns: number;
  readonly rows: number;
}

/** Bits one after the other, as H.264 writes them (ITU-T H.264, 7.3 and 9.1). */
class Bits {
  #text = "";

  plain(value: number, bits: number): this {
    this.#text += value.toString(2).padStart(bits, "0");
    return this;
  }

  /** Numbers of any size, small ones in few bits. */
  number(value: number): this {
    const bits = (value + 1).toString(2);
    this.#text += `${"0".repeat(bits.length - 1)}${bits}`;
    return this;
  }

  /** Up to the next byte. */
  align(): this {
    this.#text = this.#text.padEnd(Math.ceil(this.#text.length / 8) * 8, "0");
    return this;
  }

  /** With the bit that ends a unit. */
  end(): Buffer {
    return this.plain(1, 1).align().bytes();
  }

  bytes(): Buffer {
    return Buffer.from((this.#text.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  }
}

const levelOfAnySize = 51;
const uncompressedSquare = 25;

/** What a decoder must know before the first picture: size, and that each picture stands alone. */
function parameterSets({ columns, rows }: FilmSize): { sequence: Buffer; picture: Buffer } {
  const sequence = new Bits().plain(0x67, 8).plain(66, 8).plain(0xc0, 8).plain(levelOfAnySize, 8);
  sequence
    .number(0)
    .number(0)
    .number(2)
    .number(0)
    .plain(0, 1)
    .number(columns - 1)
    .number(rows - 1)
    .plain(0b1100, 4);
  const picture = new Bits().plain(0x68, 8).number(0).number(0).plain(0, 2).number(0).number(0).number(0);
  picture.plain(0, 3).number(0).number(0).number(0).plain(0, 3);
  return { sequence: sequence.end(), picture: picture.end() };
}

/** One picture in one shade of grey, 16 to 235, without any compression. */
export function pcmFrame({ columns, rows }: FilmSize, shade: number): Buffer {
  const head = new Bits().plain(0x65, 8).number(0).number(7).number(0).plain(0, 4).number(0).plain(0, 2).number(0);
  const first = head.number(uncompressedSquare).align().bytes();
  const next = new Bits().number(uncompressedSquare).align().bytes();
  const square = Buffer.concat([Buffer.alloc(256, shade), Buffer.alloc(128, 128)]);
  const squares = Array.from({ length: columns * rows }, (_, index) =>
    Buffer.concat([index > 0 ? next : first, square]),
  );
  return Buffer.concat([...squares, Buffer.from([0x80])]);
}

const u8 = (...values: readonly number[]): Buffer => Buffer.from(values);
const u16 = (...values: readonly number[]): Buffer => Buffer.concat(values.map((value) => u8(value >> 8, value & 255)));
const u32 = (...values: readonly number[]): Buffer =>
  Buffer.concat(values.map((value) => u16(Math.floor(value / 65_536), value % 65_536)));

/** A box of an MP4 file: its length, its name and what is in it (ISO/IEC 14496-12). */
function box(name: string, ...content: readonly Buffer[]): Buffer {
  const length = 8 + content.reduce((sum, one) => sum + one.length, 0);
  return Buffer.concat([u32(length), Buffer.from(name), ...content]);
}

/** From a picture's own place to the place on the screen: the same. */
const unmoved = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);

/** Frames of `pcmFrame` as a film. */
export function mp4(frames: readonly Buffer[], size: FilmSize, framesPerSecond: number): Buffer {
  const samples = frames.map((frame) => Buffer.concat([u32(frame.length), frame]));
  const [width, height, length] = [size.columns * 16, size.rows * 16, samples.length];
  const type = box("ftyp", Buffer.from("isom"), u32(512), Buffer.from("isomavc1"));
  const begin = type.length + 8;
  const header = box("mvhd", u32(0, 0, 0, framesPerSecond, length, 0x10000), u16(0x100, 0), u32(0, 0), unmoved);
  const track = box("tkhd", u32(3, 0, 0, 1, 0, length, 0, 0, 0, 0), unmoved, u32(width * 65_536, height * 65_536));
  const place = box("dinf", box("dref", u32(0, 1), box("url ", u32(1))));
  const information = box("minf", box("vmhd", u32(1, 0, 0)), place, sampleTable(samples, size, begin));
  const kind = box("hdlr", u32(0, 0), Buffer.from("vide"), u32(0, 0, 0), u8(0));
  const media = box("mdia", box("mdhd", u32(0, 0, 0, framesPerSecond, length), u16(0x55c4, 0)), kind, information);
  const rest = Buffer.concat([u32(0, 0, 0, 0, 0, 0), u32(2)]);
  return Buffer.concat([type, box("mdat", ...samples), box("moov", withRest(header, rest), box("trak", track, media))]);
}

/** Adds to a box that is made already. */
function withRest(made: Buffer, rest: Buffer): Buffer {
  return Buffer.concat([u32(made.length + rest.length), made.subarray(4), rest]);
}

function sampleTable(samples: readonly Buffer[], size: FilmSize, begin: number): Buffer {
  const { sequence, picture } = parameterSets(size);
  const sets = [u16(sequence.length), sequence, u8(1), u16(picture.length), picture];
  const configuration = box("avcC", u8(1, 66, 0xc0, levelOfAnySize, 0xff, 0xe1), ...sets);
  const shape = [u16(size.columns * 16, size.rows * 16), u32(0x480000, 0x480000, 0), u16(1), Buffer.alloc(32)];
  const entry = box("avc1", u32(0), u16(0, 1), u32(0, 0, 0, 0), ...shape, u16(24, 0xffff), configuration);
  const sizes = box("stsz", u32(0, 0, samples.length, ...samples.map(({ length }) => length)));
  const times = box("stts", u32(0, 1, samples.length, 1));
  const chunks = [box("stsc", u32(0, 1, 1, samples.length, 1)), sizes, box("stco", u32(0, 1, begin))];
  return box("stbl", box("stsd", u32(0, 1), entry), times, ...chunks);
}
