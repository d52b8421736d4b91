import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { whisperMelFilters, whisperMelSize } from "./whisper-mel.ts";
import { convertWhisperToGgml } from "./whisper-to-ggml.ts";

const width = 64;
/** In half precision. */
const one = 0x3c00;

function u32(...values: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

function text(value: string): Buffer {
  return Buffer.from([value.length + 1, 0, ...Buffer.from(value), 0]);
}

function tensor(name: string, shape: readonly number[], first = 0): Buffer {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Uint16Array.from({ length: count }, (_, at) => first + (at % 7));
  return Buffer.concat([
    text(name),
    Buffer.from([shape.length]),
    u32(...shape),
    Buffer.from([4]),
    u32(data.byteLength),
    Buffer.from(data.buffer),
  ]);
}

function norm(path: string): Buffer[] {
  return [tensor(`${path}/gamma`, [width], one), tensor(`${path}/beta`, [width])];
}

function linear(path: string, rows: number): Buffer[] {
  return [tensor(`${path}/weight`, [rows, width]), tensor(`${path}/bias`, [rows])];
}

function block(path: string, isDecoder: boolean): Buffer[] {
  return [
    ...norm(`${path}/ffn/layer_norm`),
    ...linear(`${path}/ffn/linear_0`, width),
    ...linear(`${path}/ffn/linear_1`, width),
    ...norm(`${path}/self_attention/layer_norm`),
    ...linear(`${path}/self_attention/linear_0`, 3 * width),
    ...linear(`${path}/self_attention/linear_1`, width),
    ...(isDecoder ? norm(`${path}/attention/layer_norm`) : []),
    ...(isDecoder
      ? [0, 1, 2].flatMap((at) => linear(`${path}/attention/linear_${at}`, width * (at === 1 ? 2 : 1)))
      : []),
  ];
}

/** A model of one layer in CTranslate2's layout, with a setting among its tensors, and the tokenizer behind it. */
function container(): Buffer {
  const tensors = [
    Buffer.concat([text("encoder/num_heads"), Buffer.from([0, 2]), u32(2), Buffer.from([1, 0])]),
    tensor("decoder/embeddings/weight", [9, width]),
    tensor("decoder/position_encodings/encodings", [448, width]),
    tensor("encoder/position_encodings/encodings", [1500, width], one),
    ...[80, width].flatMap((from, at) => [
      tensor(`encoder/conv${at + 1}/weight`, [width, from, 3]),
      tensor(`encoder/conv${at + 1}/bias`, [width]),
    ]),
    ...norm("decoder/layer_norm"),
    ...norm("encoder/layer_norm"),
    ...block("encoder/layer_0", false),
    ...block("decoder/layer_0", true),
  ];
  const alias = Buffer.concat([u32(1), text("decoder/projection/weight"), text("decoder/embeddings/weight")]);
  const pieces = Object.fromEntries(Array.from({ length: 50_256 }, (_, id) => [id === 5 ? "Ġé" : `t${id}`, id]));
  const tokenizer = { model: { vocab: pieces }, added_tokens: [{ id: 50_256, content: "<|end|>" }] };
  return Buffer.concat([
    u32(6),
    text("WhisperSpec"),
    u32(3, tensors.length),
    ...tensors,
    alias,
    Buffer.from(JSON.stringify(tokenizer)),
  ]);
}

async function convert(t: TestContext, input: Buffer): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-whisper-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, "in"), input);
  await convertWhisperToGgml(join(directory, "in"), join(directory, "out"));
  return await readFile(join(directory, "out"));
}

test("a Whisper model of CTranslate2 becomes a file of whisper.cpp", async (t) => {
  const output = await convert(t, container());
  assert.deepEqual(
    Array.from({ length: 12 }, (_, at) => output.readUInt32LE(at * 4)),
    [0x67676d6c, 9, 1500, width, 1, 1, 448, width, 1, 1, 80, 1],
  );
  const names = ["decoder.token_embedding.weight", "encoder.blocks.0.attn.key.weight", "encoder.ln_post.bias"];
  const places = names.map((name) => output.indexOf(name));
  assert.ok(
    places.every((place, at) => place > (places[at - 1] ?? 0)),
    String(places),
  );
  assert.ok(
    output.includes(Buffer.from([2, 0, 0, 0, 0x20, 0xe9])),
    "a piece is written as the bytes that it stands for",
  );
  assert.ok(!output.includes("attn.key.bias"));
});

test("numbers of half precision keep their value in single precision", async (t) => {
  const output = await convert(t, container());
  const at = output.indexOf("encoder.positional_embedding") + "encoder.positional_embedding".length;
  assert.equal(output.readFloatLE(at), 1);
  assert.equal(output.readFloatLE(at + 4), 1 + 1 / 1024);
});

test("the keys' part of a joined matrix is its second third", async (t) => {
  const output = await convert(t, container());
  const name = "encoder.blocks.0.attn.key.weight";
  const at = output.indexOf(name) + name.length;
  assert.equal(output.readUInt16LE(at), (width * width) % 7);
});

test("what is no such model, or not all of one, is refused", async (t) => {
  const whole = container();
  await assert.rejects(convert(t, Buffer.from("GGUF and more")), /is no CTranslate2 model/);
  for (const end of [3, 20, 5000, whole.length - 2_000_000, whole.length - 1]) {
    await assert.rejects(convert(t, whole.subarray(0, end)), `the first ${end} bytes`);
  }
});

test("the bands of the spectrogram are triangles of one area, as Whisper was trained on", () => {
  const weights = whisperMelFilters();
  const { bands, bins } = whisperMelSize;
  assert.equal(weights.length, bands * bins);
  // Published with Whisper: the first band's only line, and the widest band's highest.
  assert.ok(Math.abs((weights[1] ?? 0) - 0.024862593) < 1e-8, String(weights[1]));
  const areas = Array.from({ length: bands }, (_, band) =>
    weights.subarray(band * bins, (band + 1) * bins).reduce((sum, weight) => sum + weight * 40, 0),
  );
  assert.ok(
    areas.slice(40).every((area) => Math.abs(area - 1) < 0.07),
    String(areas.slice(40)),
  );
});
