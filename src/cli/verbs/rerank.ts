import { askGateway } from "../ask-gateway.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import { inBatches, readTexts } from "../read-texts.ts";
import { firstServedModel } from "../served-models.ts";
import type { Verb } from "../verb.ts";

export interface RerankFlags extends DataFlag, JsonFlag {
  readonly model?: string;
  readonly file?: string;
  readonly top?: number;
}

interface RerankAnswer {
  readonly model?: string;
  readonly results: readonly { readonly index: number; readonly relevance_score: number }[];
}

/** `nexus rerank QUERY [DOCUMENT...]`: the documents with their scores, the most relevant first. */
export const rerank: Verb<RerankFlags, string[]> = async ({ context }, flags, query = "", ...words) => {
  const usage = 'Write nexus rerank "a query" "a document" "another", --file documents.txt, or pipe a document a line.';
  const documents = await readTexts(context, { words, file: flags.file, usage });
  const gateway = await findPlatform(context, flags).gateway();
  const { signal } = context.interrupts;
  const model = flags.model ?? (await firstServedModel(gateway, { domain: "rerank", service: "rerank", signal }));
  // A document's score does not depend on the others, so that batches can be put together.
  const answers = await inBatches(context, documents, async (batch, start) => {
    const body = { model, query, documents: batch };
    const { results } = (await askGateway(gateway, { path: "/v1/rerank", body, signal })) as RerankAnswer;
    return results.map(({ index, relevance_score: score }) => ({ index: start + index, relevance_score: score }));
  });
  const results = answers
    .flat()
    .toSorted((one, other) => other.relevance_score - one.relevance_score)
    .slice(0, flags.top)
    .map((result) => ({ ...result, text: documents[result.index] ?? "" }));
  return {
    json: { model, query, results },
    text: context.terminal.table(results.map(({ relevance_score: score, text }) => [score.toFixed(4), text])),
  };
};
