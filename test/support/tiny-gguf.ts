import { writeFile } from "node:fs/promises";

/**
 * A real model file of half a megabyte: llama's architecture, random weights, a byte-level tokenizer and a chat template
 * with tools. What it says makes no sense, but everything that a runtime does with a model can be tried on it. The same
 * bytes on every machine.
 */
export function tinyGguf(): Buffer {
  return encodeGguf(metadata(), tensors());
}

/** Writes it and returns the path. */
export async function writeTinyGguf(path: string): Promise<string> {
  await writeFile(path, tinyGguf());
  return path;
}

const width = 64;
const layers = 2;
const feedForward = 128;
const heads = 4;
const contextLength = 2048;

const specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] as const;
const merges = ["Ġ t", "h e", "Ġ a", "i n", "r e", "o n", "Ġt he", "e r", "Ġ s", "a t"];

/** GPT-2's way to write any byte as a printable character: those that are printable mean themselves. */
function byteCharacters(): string[] {
  const isPlain = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPlain(byte) ? byte : next++));
}

function vocabulary(): string[] {
  return [...specials, ...byteCharacters(), ...merges.map((merge) => merge.replace(" ", ""))];
}

/** Turns of `<|im_start|>role ... <|im_end|>`; tools are listed in the system turn, calls stand in `<tool_call>`. */
const chatTemplate = [
  "{%- if tools %}<|im_start|>system",
  "Tools:{% for tool in tools %}",
  "{{ tool | tojson }}{% endfor %}",
  "Answer <tool_call>{...}</tool_call> to call one.<|im_end|>",
  "{% endif %}",
  "{%- for message in messages %}<|im_start|>{{ message.role }}",
  "{{ message.content or '' }}{% if message.tool_calls %}{% for call in message.tool_calls %}",
  "<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}{% endif %}<|im_end|>",
  "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant",
  "{% endif %}",
].join("\n");

type Value =
  | { readonly type: "u32" | "f32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "i32s"; readonly value: readonly number[] };

function metadata(): [string, Value][] {
  const tokens = vocabulary();
  const u32 = (value: number): Value => ({ type: "u32", value });
  const text = (value: string): Value => ({ type: "string", value });
  return [
    ["general.architecture", text("llama")],
    ["general.name", text("Nexus tiny test model")],
    ["general.license", text("Apache-2.0")],
    ["llama.context_length", u32(contextLength)],
    ["llama.embedding_length", u32(width)],
    ["llama.block_count", u32(layers)],
    ["llama.feed_forward_length", u32(feedForward)],
    ["llama.attention.head_count", u32(heads)],
    ["llama.attention.head_count_kv", u32(heads)],
    ["llama.attention.layer_norm_rms_epsilon", { type: "f32", value: 1e-5 }],
    ["llama.rope.dimension_count", u32(width / heads)],
    ["llama.vocab_size", u32(tokens.length)],
    ["tokenizer.ggml.model", text("gpt2")],
    ["tokenizer.ggml.pre", text("gpt-2")],
    ["tokenizer.ggml.tokens", { type: "strings", value: tokens }],
    // 3: control token, 1: normal token.
    ["tokenizer.ggml.token_type", { type: "i32s", value: tokens.map((_, id) => (id < specials.length ? 3 : 1)) }],
    ["tokenizer.ggml.merges", { type: "strings", value: merges }],
    ["tokenizer.ggml.bos_token_id", u32(1)],
    ["tokenizer.ggml.eos_token_id", u32(2)],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: false }],
    ["tokenizer.chat_template", text(chatTemplate)],
  ];
}

interface Tensor {
  readonly name: string;
  /** Fastest dimension first, as GGUF has it. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

function tensors(): Tensor[] {
  const random = normalNumbers(20_241_101);
  const tokens = vocabulary();
  const make = (name: string, shape: readonly number[], scale: number): Tensor => ({
    name,
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() * scale),
  });
  const ones = (name: string): Tensor => ({ name, shape: [width], data: new Float32Array(width).fill(1) });
  const list = [make("token_embd.weight", [width, tokens.length], 1), ones("output_norm.weight")];
  list.push(make("output.weight", [width, tokens.length], 0.15));
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string) => `blk.${layer}.${part}.weight`;
    list.push(ones(name("attn_norm")), ones(name("ffn_norm")));
    for (const part of ["attn_q", "attn_k", "attn_v", "attn_output"]) list.push(make(name(part), [width, width], 0.1));
    list.push(make(name("ffn_gate"), [width, feedForward], 0.1), make(name("ffn_up"), [width, feedForward], 0.1));
    list.push(make(name("ffn_down"), [feedForward, width], 0.1));
  }
  return list.map((tensor) => preferReadable(tensor, tokens));
}

/**
 * Dimension 0 of the residual stream is held constant, so that the output layer can prefer printable characters: the
 * model then speaks in letters and seldom ends by itself.
 */
function preferReadable(tensor: Tensor, tokens: readonly string[]): Tensor {
  const { name, data, shape } = tensor;
  if (name === "token_embd.weight") for (let row = 0; row < tokens.length; row++) data[row * width] = 4;
  // Row 0 of what writes into the stream writes dimension 0.
  if (/attn_output|ffn_down/.test(name)) data.fill(0, 0, shape[0]);
  if (name === "output.weight") {
    for (const [row, token] of tokens.entries()) data[row * width] = /^[Ġ\x21-\x7e]+$/.test(token) && row > 2 ? 1 : -1;
  }
  return tensor;
}

/** Normal distribution from mulberry32 and Box-Muller: the same numbers everywhere. */
function normalNumbers(seed: number): () => number {
  let state = seed;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3 */
function encodeGguf(values: readonly [string, Value][], list: readonly Tensor[]): Buffer {
  const parts: Buffer[] = [Buffer.from("GGUF"), u32(3), u64(list.length), u64(values.length)];
  for (const [key, value] of values) parts.push(gstring(key), encodeValue(value));
  let offset = 0;
  for (const { name, shape, data } of list) {
    parts.push(gstring(name), u32(shape.length), ...shape.map(u64), u32(0), u64(offset));
    offset += aligned(data.byteLength);
  }
  parts.push(padding(parts.reduce((sum, part) => sum + part.length, 0)));
  for (const { data } of list) {
    parts.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength), padding(data.byteLength));
  }
  return Buffer.concat(parts);
}

const aligned = (bytes: number): number => Math.ceil(bytes / 32) * 32;
const padding = (bytes: number): Buffer => Buffer.alloc(aligned(bytes) - bytes);

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function u64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function gstring(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function f32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}

function encodeValue(value: Value): Buffer {
  switch (value.type) {
    case "u32":
      return Buffer.concat([u32(4), u32(value.value)]);
    case "f32":
      return Buffer.concat([u32(6), f32(value.value)]);
    case "bool":
      return Buffer.concat([u32(7), Buffer.from([value.value ? 1 : 0])]);
    case "string":
      return Buffer.concat([u32(8), gstring(value.value)]);
    case "strings":
      return Buffer.concat([u32(9), u32(8), u64(value.value.length), ...value.value.map(gstring)]);
    case "i32s":
      return Buffer.concat([u32(9), u32(5), u64(value.value.length), ...value.value.map(u32)]);
  }
}
