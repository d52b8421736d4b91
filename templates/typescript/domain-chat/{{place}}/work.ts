import { setTimeout as pause } from "node:timers/promises";
import type { Work } from "nexus/service-kit";

const wordsMax = 200;
const wordMs = 25;

/** Says the last message back, word by word, over and over. Put a model here. */
export const work: Work<"chat"> = async function* ({ messages }, { signal }) {
  const words = (messages.at(-1)?.content || "Hello").split(/\s+/);
  for (let said = 0; said < wordsMax; said++) {
    await pause(wordMs, undefined, { signal });
    yield `${said === 0 ? "" : " "}${words[said % words.length]}`;
  }
};
