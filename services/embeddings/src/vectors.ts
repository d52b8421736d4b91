/** To length 1, as OpenAI's vectors are: a dot product is then the cosine. A vector of zeros stays one. */
export function toLengthOne(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}

/** The first dimensions, of length 1 again. Only for models that were trained for it. */
export function shortened(vector: Float32Array, dimensions: number): Float32Array {
  return toLengthOne(vector.subarray(0, dimensions));
}

/** The cosine of the angle between two vectors of length 1. */
export function cosine(one: Float32Array, other: Float32Array): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
}
