import { NexusError } from "nexus/base";
import type { Work } from "nexus/service-kit";

/** Counts the words of `text`. Put your tool here. */
export const work: Work<"tool"> = ({ arguments: { text } }) => {
  if (typeof text !== "string") {
    throw new NexusError("invalid_request", "`arguments.text` must be a text.", { param: "arguments.text" });
  }
  return { words: text.match(/\S+/g)?.length ?? 0, characters: text.length };
};
