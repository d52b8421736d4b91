import type { Sampling } from "./sampling.ts";

/** Numbers from 0 to 1 that follow from a seed: mulberry32. */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * Chooses a token from the model's whole distribution, most likely first, as llama.cpp's samplers do and in their order:
 * top-k, top-p, min-p, temperature. Used where that distribution is asked for: llama.cpp shows it only when it takes
 * the likeliest token itself.
 */
export function chooseToken<T>(distribution: ReadonlyMap<T, number>, sampling: Sampling, random: () => number): T {
  const { temperature, topK, topP, minP } = sampling;
  const all = distribution.entries();
  const top = [...(topK === 0 ? all : all.take(topK))];
  const [first] = top;
  if (first === undefined) throw new RangeError("an empty distribution");
  if (temperature === 0) return first[0];
  const topMass = sum(top);
  let mass = 0;
  const kept = top.filter(([, probability], index) => {
    const isKept = index === 0 || (mass < topP * topMass && probability >= minP * first[1]);
    mass += probability;
    return isKept;
  });
  const weighted = kept.map(([token, probability]) => [token, (probability / first[1]) ** (1 / temperature)] as const);
  let left = random() * sum(weighted);
  for (const [token, weight] of weighted) {
    left -= weight;
    if (left <= 0) return token;
  }
  return first[0];
}

function sum(entries: readonly (readonly [unknown, number])[]): number {
  return entries.reduce((total, [, value]) => total + value, 0);
}
