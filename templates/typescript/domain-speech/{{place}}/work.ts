import type { Work } from "nexus/service-kit";
import { rate, tone, wavHeader } from "./wav.ts";

const letterSeconds = 0.08;

/** Beeps once for each letter, higher for later ones of the alphabet, as it goes along. Put a voice here. */
export const work: Work<"speech"> = async function* ({ text, speed }, { signal }) {
  const letters = [...text.toLowerCase()];
  const samples = Math.round((rate * letterSeconds) / speed);
  yield wavHeader(letters.length * samples);
  for (const letter of letters) {
    signal.throwIfAborted();
    // What else runs in this process gets its turn.
    await new Promise((resolve) => setImmediate(resolve));
    yield tone(hertzOf(letter), samples);
  }
};

function hertzOf(letter: string): number {
  return /[\p{L}\p{N}]/u.test(letter) ? 220 + (((letter.codePointAt(0) ?? 0) * 20) % 660) : 0;
}
