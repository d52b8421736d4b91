import type { Work } from "nexus/service-kit";

const numbers = 64;

/** Counts groups of three letters, so that texts with common words lie near each other. Put a model here. */
export const work: Work<"embedding"> = ({ texts }) => texts.map(vectorOf);

function vectorOf(text: string): readonly number[] {
  const vector = new Array<number>(numbers).fill(0);
  const letters = ` ${text.toLowerCase()} `;
  for (let at = 0; at + 3 <= letters.length; at++) {
    const place = placeOf(letters.slice(at, at + 3));
    vector[place] = (vector[place] ?? 0) + 1;
  }
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

function placeOf(group: string): number {
  let sum = 0;
  for (const letter of group) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 65_521;
  return sum % numbers;
}
