/** A value of a GGUF file's metadata. */
export type GgufValue =
  | { readonly type: "u32" | "f32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "u8s"; readonly value: Uint8Array }
  | { readonly type: "i32s"; readonly value: readonly number[] }
  | { readonly type: "f32s"; readonly value: readonly number[] }
  | { readonly type: "strings"; readonly value: readonly Uint8Array[] };

/** Where a tensor's bytes are to be found is the writer's business; the header only counts them. */
export interface GgufTensor {
  readonly name: string;
  /** Fastest dimension first. */
  readonly shape: readonly number[];
  readonly type: keyof typeof tensorTypes;
  readonly bytes: number;
}

/** https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
const version = 3;
const tensorTypes = { f32: 0, q4_0: 2 } as const;
const valueTypes = { u8: 0, i32: 5, u32: 4, f32: 6, bool: 7, string: 8, array: 9 } as const;

/** Tensors begin at multiples of this. */
const alignment = 32;

/** Zero bytes from an end to where the next tensor may begin. */
export function paddingAfter(bytes: number): Uint8Array {
  return new Uint8Array((alignment - (bytes % alignment)) % alignment);
}

/** All of a GGUF file before its tensors, which follow in this order, each with `paddingAfter`. */
export function ggufHeader(values: readonly (readonly [string, GgufValue])[], tensors: readonly GgufTensor[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from("GGUF"), u32(version), u64(tensors.length), u64(values.length)];
  for (const [key, value] of values) parts.push(text(Buffer.from(key)), encode(value));
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    parts.push(text(Buffer.from(name)), u32(shape.length), ...shape.map(u64), u32(tensorTypes[type]), u64(offset));
    offset += bytes + paddingAfter(bytes).length;
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...parts, paddingAfter(length)]);
}

function encode(entry: GgufValue): Buffer {
  switch (entry.type) {
    case "u32":
      return Buffer.concat([u32(valueTypes.u32), u32(entry.value)]);
    case "f32":
      return Buffer.concat([u32(valueTypes.f32), numbers([entry.value], "f32")]);
    case "bool":
      return Buffer.concat([u32(valueTypes.bool), Buffer.from([entry.value ? 1 : 0])]);
    case "string":
      return Buffer.concat([u32(valueTypes.string), text(Buffer.from(entry.value))]);
    case "u8s":
      return array("u8", entry.value.length, entry.value);
    case "strings":
      return array("string", entry.value.length, Buffer.concat(entry.value.map(text)));
    case "i32s":
      return array("i32", entry.value.length, numbers(entry.value, "i32"));
    case "f32s":
      return array("f32", entry.value.length, numbers(entry.value, "f32"));
  }
}

function array(type: keyof typeof valueTypes, length: number, content: Uint8Array): Buffer {
  return Buffer.concat([u32(valueTypes.array), u32(valueTypes[type]), u64(length), content]);
}

/** Four bytes each, little-endian on every machine. */
function numbers(values: readonly number[], type: "i32" | "f32"): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) {
    if (type === "i32") buffer.writeInt32LE(value, index * 4);
    else buffer.writeFloatLE(value, index * 4);
  }
  return buffer;
}

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

function text(bytes: Uint8Array): Buffer {
  return Buffer.concat([u64(bytes.length), bytes]);
}
