import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { convertE5ToGguf } from "./e5-to-gguf.ts";

const width = 32;

function u32(...values: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

function u64(...values: readonly number[]): Buffer {
  return Buffer.from(BigUint64Array.from(values, BigInt).buffer);
}

function f32(...values: readonly number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

/** A container of three pieces and two tensors, in the package's own layout, and the tokenizer behind it. */
function container(): Buffer {
  const pieces = ["<s>", "<unk>", "</s>"].map((piece) => Buffer.from(piece));
  const offsets = [0, 3, 8, 12];
  const head = Buffer.concat([
    Buffer.from("E5S1"),
    u32(1, width, 1, 2, 64, 4, 8, 2),
    f32(1e-12),
    u32(32, 3, 0, 2, 2, 1),
    u64(12),
    u32(...offsets),
    f32(0, 0, -1),
    ...pieces,
    u32(0, 0, 2),
  ]);
  const tensors = [
    { name: "emb.word", type: 1, data: Buffer.alloc(4 * 18, 7) },
    { name: "l0.q.b", type: 0, data: f32(...Array.from({ length: width }, (_, index) => index)) },
  ];
  const entryBytes = tensors.reduce((sum, { name }) => sum + 2 + name.length + 1 + 4 + 16, 0);
  let offset = head.length + entryBytes;
  const directory = tensors.map(({ name, type, data }) => {
    const entry = [Buffer.from([name.length, 0]), Buffer.from(name), Buffer.from([type]), u32(0)];
    offset += data.length;
    return Buffer.concat([...entry, u64(offset - data.length, data.length)]);
  });
  const tokenizer = {
    normalizer: {
      normalizers: [{ type: "Precompiled", precompiled_charsmap: Buffer.from("table").toString("base64") }],
    },
  };
  return Buffer.concat([
    head,
    ...directory,
    ...tensors.map(({ data }) => data),
    Buffer.from(JSON.stringify(tokenizer)),
  ]);
}

async function convert(t: TestContext, input: Buffer): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-e5-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, "in"), input);
  await convertE5ToGguf(join(directory, "in"), join(directory, "out"));
  return await readFile(join(directory, "out"));
}

test("weights are copied as they are, to where the header says", async (t) => {
  const output = await convert(t, container());
  assert.equal(output.subarray(0, 4).toString(), "GGUF");
  for (const name of ["token_embd.weight", "blk.0.attn_q.bias", "tokenizer.ggml.precompiled_charsmap"]) {
    assert.ok(output.includes(name), name);
  }
  const words = output.indexOf(Buffer.alloc(4 * 18, 7));
  assert.equal(words % 32, 0, "tensors are aligned");
  const bias = f32(...Array.from({ length: width }, (_, index) => index));
  assert.equal(output.indexOf(bias), words + 96, "and so is the next");
  assert.deepEqual(await convert(t, container()), output, "the same input gives the same bytes");
});

test("what is no such model, or not all of one, is refused", async (t) => {
  const whole = container();
  await assert.rejects(convert(t, Buffer.from("GGUF and more")), /is no E5S1 model/);
  for (const end of [20, 60, 100, whole.length - 200, whole.length - 1]) {
    await assert.rejects(convert(t, whole.subarray(0, end)), `the first ${end} bytes`);
  }
});
