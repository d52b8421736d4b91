import type { StoredTensor } from "./ctranslate2-file.ts";

/** A tensor as whisper.cpp wants it. */
export interface WhisperTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly tensor: StoredTensor;
  /** Whether it is kept in single precision. */
  readonly isSingle: boolean;
}

type Add = (name: string, tensor: StoredTensor, shape?: readonly number[]) => void;
type Get = (name: string) => StoredTensor;

/**
 * All tensors of a Whisper model in the order of OpenAI's own file, cut out of those of CTranslate2, which keeps the
 * matrices of an attention in one piece. Throws when one is missing.
 */
export function whisperTensors(tensors: ReadonlyMap<string, StoredTensor>): {
  readonly layout: readonly WhisperTensor[];
  readonly dimensions: { readonly vocabulary: number; readonly width: number; readonly layers: number };
} {
  const get: Get = (name) => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`has no tensor ${name} of half precision`);
    return tensor;
  };
  const layout: WhisperTensor[] = [];
  const add: Add = (name, tensor, shape = tensor.shape) => {
    const isSingle = shape.length < 2 || shape.at(-1) === 1 || name.endsWith("positional_embedding");
    layout.push({ name, shape, tensor, isSingle });
  };
  const embedding = get("decoder/embeddings/weight");
  const [vocabulary = 0, width = 0] = embedding.shape;
  const layers = [...tensors.keys()].filter((name) => /^encoder\/layer_\d+\/ffn\/linear_0\/weight$/.test(name)).length;
  const numbers = Array.from({ length: layers }, (_, layer) => layer);
  const codec = { get, add };

  add("decoder.positional_embedding", get("decoder/position_encodings/encodings"));
  add("encoder.positional_embedding", get("encoder/position_encodings/encodings"));
  add("decoder.token_embedding.weight", embedding);
  for (const layer of numbers) addBlock(codec, "decoder", layer);
  addNorm(codec, "decoder.ln", "decoder/layer_norm");
  for (const name of ["conv1", "conv2"]) {
    const bias = get(`encoder/${name}/bias`);
    add(`encoder.${name}.weight`, get(`encoder/${name}/weight`));
    add(`encoder.${name}.bias`, bias, [...bias.shape, 1]);
  }
  for (const layer of numbers) addBlock(codec, "encoder", layer);
  addNorm(codec, "encoder.ln_post", "encoder/layer_norm");
  return { layout, dimensions: { vocabulary, width, layers } };
}

interface Codec {
  readonly get: Get;
  readonly add: Add;
}

function addBlock(codec: Codec, half: "encoder" | "decoder", layer: number): void {
  const name = `${half}.blocks.${layer}`;
  const from = `${half}/layer_${layer}`;
  addNorm(codec, `${name}.mlp_ln`, `${from}/ffn/layer_norm`);
  addLinear(codec, `${name}.mlp.0`, `${from}/ffn/linear_0`);
  addLinear(codec, `${name}.mlp.2`, `${from}/ffn/linear_1`);
  addNorm(codec, `${name}.attn_ln`, `${from}/self_attention/layer_norm`);
  addAttention(codec, `${name}.attn`, {
    query: [`${from}/self_attention/linear_0`, 0, 3],
    key: [`${from}/self_attention/linear_0`, 1, 3],
    value: [`${from}/self_attention/linear_0`, 2, 3],
    out: `${from}/self_attention/linear_1`,
  });
  if (half === "encoder") return;
  addNorm(codec, `${name}.cross_attn_ln`, `${from}/attention/layer_norm`);
  addAttention(codec, `${name}.cross_attn`, {
    query: [`${from}/attention/linear_0`, 0, 1],
    key: [`${from}/attention/linear_1`, 0, 2],
    value: [`${from}/attention/linear_1`, 1, 2],
    out: `${from}/attention/linear_2`,
  });
}

/** A part of a tensor: which of how many. */
type Part = readonly [from: string, index: number, parts: number];

function addAttention(
  codec: Codec,
  name: string,
  from: { readonly query: Part; readonly key: Part; readonly value: Part; readonly out: string },
): void {
  const cut = ([path, index, parts]: Part, kind: "weight" | "bias"): StoredTensor => {
    const { shape, offset, bytes } = codec.get(`${path}/${kind}`);
    const [rows = 0, ...rest] = shape;
    const length = bytes / parts;
    return { shape: [rows / parts, ...rest], offset: offset + index * length, bytes: length };
  };
  codec.add(`${name}.query.weight`, cut(from.query, "weight"));
  codec.add(`${name}.query.bias`, cut(from.query, "bias"));
  // A key has no bias in Whisper; CTranslate2 fills the place with zeros.
  codec.add(`${name}.key.weight`, cut(from.key, "weight"));
  codec.add(`${name}.value.weight`, cut(from.value, "weight"));
  codec.add(`${name}.value.bias`, cut(from.value, "bias"));
  addLinear(codec, `${name}.out`, from.out);
}

function addLinear({ get, add }: Codec, name: string, from: string): void {
  add(`${name}.weight`, get(`${from}/weight`));
  add(`${name}.bias`, get(`${from}/bias`));
}

function addNorm({ get, add }: Codec, name: string, from: string): void {
  add(`${name}.weight`, get(`${from}/gamma`));
  add(`${name}.bias`, get(`${from}/beta`));
}
