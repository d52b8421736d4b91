import type { FileHandle } from "node:fs/promises";

/** Where numbers of half precision lie in a file. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/** The only version of the format that is read. */
const version = 6;
/** The format's number for half precision. */
const halfType = 4;
/** Bounds of what a file may claim: a Whisper model of the largest size has 1,300 tensors. */
const tensorsMax = 4096;
const nameBytesMax = 512;
const rankMax = 4;

/**
 * Reads the directory of a CTranslate2 model: the tensors of half precision by name. Settings, which stand among them in
 * other types, are left out. `end` is where the model ends in the file. Throws with what is wrong.
 */
export async function readCtranslate2(
  file: FileHandle,
  kind: string,
): Promise<{ readonly tensors: ReadonlyMap<string, StoredTensor>; readonly end: number }> {
  const cursor = createCursor(file);
  if ((await cursor.u32()) !== version) throw new Error("is no CTranslate2 model");
  const actual = await cursor.text();
  if (actual !== kind) throw new Error(`is a model of kind ${actual}, not ${kind}`);
  await cursor.u32();
  const tensors = new Map<string, StoredTensor>();
  for (let left = await bounded(cursor.u32(), tensorsMax); left > 0; left--) {
    const name = await cursor.text();
    const rank = await bounded(cursor.u8(), rankMax);
    const shape: number[] = [];
    while (shape.length < rank) shape.push(await cursor.u32());
    const type = await cursor.u8();
    const bytes = await cursor.u32();
    if (type === halfType) tensors.set(name, { shape, offset: cursor.skip(bytes), bytes });
    else cursor.skip(bytes);
  }
  for (let left = await bounded(cursor.u32(), tensorsMax); left > 0; left--) {
    await cursor.text();
    await cursor.text();
  }
  return { tensors, end: cursor.skip(0) };
}

async function bounded(count: Promise<number>, max: number): Promise<number> {
  const value = await count;
  if (value > max) throw new RangeError("the directory is broken");
  return value;
}

/** Little-endian numbers and texts, one after the other. Reading beyond the end throws. */
function createCursor(file: FileHandle) {
  let at = 0;
  const skip = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  const read = async (bytes: number): Promise<Buffer> => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, skip(bytes));
    if (bytesRead !== bytes) throw new RangeError("the file ends too early");
    return buffer;
  };
  return {
    skip,
    u8: async () => (await read(1)).readUInt8(),
    u32: async () => (await read(4)).readUInt32LE(),
    /** Its length counts a zero at the end. */
    async text(): Promise<string> {
      const length = (await read(2)).readUInt16LE();
      if (length === 0 || length > nameBytesMax) throw new RangeError("the directory is broken");
      return (await read(length)).toString("utf8", 0, length - 1);
    },
  };
}
