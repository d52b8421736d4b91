import { type GgufTensor, type GgufValue, ggufHeader, paddingAfter } from "../../src/blobs/gguf-header.ts";

const width = 32;
const feedForward = 64;
const words = ["one", "two", "three", "four", "five"];
const tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...words.map((word) => `\u2581${word}`)];

/** GGUF's `pooling_type`: the mean of the tokens' vectors, or one score. */
const poolings = { vectors: 1, pairs: 4 } as const;

/**
 * A model of some ten kilobytes that makes vectors of texts, or scores of pairs: BERT's architecture with random weights,
 * the same on every machine. They mean nothing, but they come about as those of a real model.
 */
export function tinyEncoder(kind: keyof typeof poolings): Buffer {
  const tensors = shapes(kind).map(([name, shape], index) => ({ name, shape, data: weights(shape, name, index + 1) }));
  const described = tensors.map(({ name, shape, data }): GgufTensor => {
    return { name, shape, type: "f32", bytes: data.byteLength };
  });
  const bytes = tensors.flatMap(({ data }) => [Buffer.from(data.buffer), paddingAfter(data.byteLength)]);
  return Buffer.concat([ggufHeader(metadata(poolings[kind]), described), ...bytes]);
}

function metadata(pooling: number): [string, GgufValue][] {
  const u32 = (value: number): GgufValue => ({ type: "u32", value });
  return [
    ["general.architecture", { type: "string", value: "bert" }],
    ["bert.context_length", u32(64)],
    ["bert.embedding_length", u32(width)],
    ["bert.block_count", u32(1)],
    ["bert.feed_forward_length", u32(feedForward)],
    ["bert.attention.head_count", u32(2)],
    ["bert.attention.layer_norm_epsilon", { type: "f32", value: 1e-12 }],
    ["bert.attention.causal", { type: "bool", value: false }],
    ["bert.pooling_type", u32(pooling)],
    ["tokenizer.ggml.model", { type: "string", value: "bert" }],
    ["tokenizer.ggml.tokens", { type: "strings", value: tokens.map((token) => Buffer.from(token)) }],
    ["tokenizer.ggml.token_type", { type: "i32s", value: tokens.map((_, id) => (id < 5 ? 3 : 1)) }],
    ["tokenizer.ggml.token_type_count", u32(2)],
    ["tokenizer.ggml.padding_token_id", u32(0)],
    ["tokenizer.ggml.unknown_token_id", u32(1)],
    ["tokenizer.ggml.bos_token_id", u32(2)],
    ["tokenizer.ggml.cls_token_id", u32(2)],
    ["tokenizer.ggml.eos_token_id", u32(3)],
    ["tokenizer.ggml.seperator_token_id", u32(3)],
    ["tokenizer.ggml.mask_token_id", u32(4)],
  ];
}

function shapes(kind: keyof typeof poolings): [string, number[]][] {
  const square = [width, width];
  const pair = (name: string, shape: number[]): [string, number[]][] => [
    [`${name}.weight`, shape],
    [`${name}.bias`, [shape.at(-1) ?? 0]],
  ];
  return [
    ["token_embd.weight", [width, tokens.length]],
    ["token_types.weight", [width, 2]],
    ["position_embd.weight", [width, 64]],
    ...pair("token_embd_norm", [width]),
    ...["attn_q", "attn_k", "attn_v", "attn_output"].flatMap((part) => pair(`blk.0.${part}`, square)),
    ...pair("blk.0.attn_output_norm", [width]),
    ...pair("blk.0.ffn_up", [width, feedForward]),
    ...pair("blk.0.ffn_down", [feedForward, width]),
    ...pair("blk.0.layer_output_norm", [width]),
    ...(kind === "pairs" ? [...pair("cls", square), ...pair("cls.output", [width, 1])] : []),
  ];
}

/** Ones where a norm scales, else numbers that look random. */
function weights(shape: readonly number[], name: string, seed: number): Float32Array {
  const length = shape.reduce((product, size) => product * size, 1);
  if (name.endsWith("norm.weight")) return new Float32Array(length).fill(1);
  return Float32Array.from({ length }, (_, index) => Math.sin(seed * 12.9898 + index * 78.233) * 0.4);
}
