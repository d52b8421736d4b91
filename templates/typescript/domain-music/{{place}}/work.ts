import { createHash } from "node:crypto";
import type { Work } from "nexus/service-kit";
import { rate, tone, wavHeader } from "./wav.ts";

/** Five notes that go together in any order. */
const notes = [261.6, 293.7, 329.6, 392, 440];
const noteSeconds = 0.25;

/** Plays a tune that follows from the prompt. Put a model here. */
export const work: Work<"music"> = async function* ({ prompt, seconds }, { signal }) {
  const tune = createHash("sha256").update(prompt).digest();
  const samples = Math.round(rate * noteSeconds);
  const count = Math.ceil(seconds / noteSeconds);
  yield wavHeader(count * samples);
  for (let at = 0; at < count; at++) {
    signal.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
    yield tone(notes[(tune[at % tune.length] ?? 0) % notes.length] ?? 0, samples);
  }
};
