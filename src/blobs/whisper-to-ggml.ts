import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { readCtranslate2, type StoredTensor } from "./ctranslate2-file.ts";
import { whisperMelFilters, whisperMelSize } from "./whisper-mel.ts";
import { whisperTensors } from "./whisper-tensors.ts";

/**
 * Rewrites a Whisper model of CTranslate2's (half precision, as packages for faster-whisper carry it) as the file that
 * whisper.cpp reads; the model's `tokenizer.json` must follow it in `from`. Both hold the same numbers, so that nothing is
 * lost: what comes out is, byte by byte, the file that whisper.cpp's authors publish for the model.
 * Throws with what is wrong when the input is anything else.
 */
export async function convertWhisperToGgml(from: string, to: string): Promise<void> {
  const [input, output] = [await open(from, "r"), await open(to, "w", 0o600)];
  try {
    const { tensors, end } = await readCtranslate2(input, "WhisperSpec");
    const tokenizer = await readRest(input, end);
    const { layout, dimensions } = whisperTensors(tensors);
    await output.writeFile(fileHead(dimensions));
    await output.writeFile(vocabulary(tokenizer));
    for (const { name, shape, tensor, isSingle } of layout) {
      await output.writeFile(tensorHead(name, shape, isSingle));
      const data = await readTensor(input, tensor);
      await output.writeFile(isSingle ? toSingle(data) : data);
    }
    await output.sync();
  } finally {
    await input.close();
    await output.close();
  }
}

/** Of a tokenizer of 51,865 entries; more is another file. */
const tokenizerBytesMax = 32 * 1024 * 1024;

async function readRest(file: FileHandle, start: number): Promise<string> {
  const { size } = await file.stat();
  if (size - start <= 0 || size - start > tokenizerBytesMax) throw new Error("no tokenizer follows the model");
  const { buffer } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
  return buffer.toString("utf8");
}

async function readTensor(file: FileHandle, { offset, bytes }: StoredTensor): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(bytes), 0, bytes, offset);
  if (bytesRead !== bytes) throw new RangeError("the file ends too early");
  return buffer;
}

/** "ggml" as a number, with which its files begin. */
const magic = 0x67676d6c;
/** The header's word for half precision. */
const halfPrecision = 1;

function fileHead({ vocabulary, width, layers }: ReturnType<typeof whisperTensors>["dimensions"]): Buffer {
  // OpenAI's models of all sizes: 64 numbers a head, 30 s of sound in 1500 steps, 448 tokens of text.
  const heads = width / 64;
  const sizes = [vocabulary, 1500, width, heads, layers, 448, width, heads, layers, whisperMelSize.bands];
  const filters = whisperMelFilters();
  return Buffer.concat([
    int32(magic, ...sizes, halfPrecision, whisperMelSize.bands, whisperMelSize.bins),
    Buffer.from(filters.buffer),
  ]);
}

const tokenizerSchema = z.object({
  model: z.object({ vocab: z.record(z.string(), z.int().nonnegative()) }),
  added_tokens: z.array(z.object({ id: z.int().nonnegative(), content: z.string() })),
});

/** Tokens of text; the rest of the vocabulary are signs that whisper.cpp knows itself. */
const textTokens = 50_257;

function vocabulary(tokenizer: string): Buffer {
  const { model, added_tokens: added } = tokenizerSchema.parse(JSON.parse(tokenizer));
  const pieces = new Map(added.map(({ id, content }) => [id, content]));
  for (const [piece, id] of Object.entries(model.vocab)) pieces.set(id, piece);
  const bytesOf = byteAlphabet();
  const parts: Buffer[] = [int32(textTokens)];
  for (let id = 0; id < textTokens; id++) {
    const piece = pieces.get(id);
    if (piece === undefined) throw new Error(`the tokenizer has no token ${id}`);
    const bytes = Buffer.from([...piece].map((character) => bytesOf.get(character) ?? 0));
    parts.push(int32(bytes.length), bytes);
  }
  return Buffer.concat(parts);
}

/**
 * GPT-2's way of writing any bytes as visible characters: those that are visible in Latin-1 stand for themselves, the
 * others, in their order, for U+0100 and on.
 */
function byteAlphabet(): ReadonlyMap<string, number> {
  const isVisible = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(isVisible(byte) ? byte : next++), byte]),
  );
}

function tensorHead(name: string, shape: readonly number[], isSingle: boolean): Buffer {
  // ggml names the fastest dimension first.
  const sizes = int32(shape.length, name.length, isSingle ? 0 : halfPrecision, ...shape.toReversed());
  return Buffer.concat([sizes, Buffer.from(name, "latin1")]);
}

function int32(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) buffer.writeInt32LE(value, index * 4);
  return buffer;
}

/** Numbers of half precision in single precision, exactly. */
function toSingle(half: Buffer): Buffer {
  const single = Buffer.allocUnsafe(half.length * 2);
  for (let at = 0; at < half.length; at += 2) single.writeFloatLE(halfToNumber(half.readUInt16LE(at)), at * 2);
  return single;
}

/** IEEE 754 binary16. */
function halfToNumber(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
