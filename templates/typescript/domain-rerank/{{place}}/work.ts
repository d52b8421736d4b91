import type { Work } from "nexus/service-kit";

/** Scores a document by the share of the query's words that are in it. Put a model here. */
export const work: Work<"rerank"> = ({ query, documents }) => {
  const wanted = wordsOf(query);
  return documents.map((document) => {
    const there = wordsOf(document);
    return [...wanted].filter((word) => there.has(word)).length / Math.max(1, wanted.size);
  });
};

function wordsOf(text: string): ReadonlySet<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu));
}
