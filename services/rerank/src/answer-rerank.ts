import { randomUUID } from "node:crypto";
import {
  cosine,
  type KeptModel,
  mannersOf,
  marked,
  parseRequest,
  type TextInput,
  toLengthOne,
} from "@nexus/embeddings/text-models";
import { NexusError } from "nexus/base";
import { z } from "zod";

/** Documents of one request, as Cohere and Jina have it. */
const documentsMax = 1000;

const documentSchema = z.union([z.string().min(1), z.looseObject({ text: z.string().min(1) })]);
const requestSchema = z.looseObject({
  model: z.string(),
  query: z.string().min(1),
  documents: z.array(documentSchema).min(1).max(documentsMax),
  top_n: z.int().positive().nullish(),
  return_documents: z.boolean().nullish(),
});

/**
 * The documents in the order of their relevance, the best first; what is equally relevant stays in the order it came in.
 * @throws NexusError `invalid_request`, or `context_length_exceeded` when a text is too long: nothing is cut, and
 *   nothing is read before all are measured.
 */
export async function answerRerank(kept: KeptModel, body: unknown, signal: AbortSignal): Promise<object> {
  const request = parseRequest(requestSchema, body);
  const texts = request.documents.map((document) => (typeof document === "string" ? document : document.text));
  const { facts } = kept.model;
  const { scores, tokens } =
    facts.kind === "pairs"
      ? await scorePairs(kept, request.query, texts, signal)
      : await scoreVectors(kept, request.query, texts, signal);
  const results = scores
    .map((score, index) => ({ index, relevance_score: score }))
    .sort((one, other) => other.relevance_score - one.relevance_score)
    .slice(0, request.top_n ?? undefined)
    .map((result) => (request.return_documents ? { ...result, document: { text: texts[result.index] } } : result));
  return {
    id: `rerank-${randomUUID()}`,
    model: kept.entry.id,
    results,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    meta: { billed_units: { search_units: 1 }, tokens: { input_tokens: tokens } },
  };
}

interface Scored {
  /** 0 to 1, in the order of the documents. */
  readonly scores: readonly number[];
  readonly tokens: number;
}

/** Query and document are read together: the model says how likely it is that the one answers the other. */
async function scorePairs({ model }: KeptModel, query: string, texts: readonly string[], signal: AbortSignal) {
  const pairs = texts.map((text) => [query, text] as const);
  const tokens = refuseLong(await model.count(pairs), model.facts.tokensMax, "together with the query");
  const read = await readAll(pairs, (pair) => model.read(pair), signal);
  return { scores: read.map(([score = 0]) => score), tokens } satisfies Scored;
}

/** Query and documents are read apart: the score is how near their vectors are. */
async function scoreVectors({ entry, model }: KeptModel, query: string, texts: readonly string[], signal: AbortSignal) {
  const manners = mannersOf(entry.id);
  const inputs = [marked(query, "query", manners), ...texts.map((text) => marked(text, "document", manners))];
  const tokens = refuseLong(await model.count(inputs), model.facts.tokensMax, "with its mark");
  const [queried, ...vectors] = await readAll(inputs, async (input) => toLengthOne(await model.read(input)), signal);
  const scores = vectors.map((vector) => Math.min(1, Math.max(0, cosine(queried ?? vector, vector))));
  return { scores, tokens } satisfies Scored;
}

async function readAll<T extends TextInput>(
  inputs: readonly T[],
  read: (input: T) => Promise<Float32Array>,
  signal: AbortSignal,
): Promise<readonly Float32Array[]> {
  const all: Float32Array[] = [];
  for (const input of inputs) {
    signal.throwIfAborted();
    all.push(await read(input));
  }
  return all;
}

function refuseLong(counts: readonly number[], tokensMax: number, how: string): number {
  const longest = Math.max(...counts);
  if (longest <= tokensMax) return counts.reduce((sum, count) => sum + count, 0);
  throw new NexusError(
    "context_length_exceeded",
    `A text has ${longest} tokens ${how}; at most ${tokensMax} can be read at once. Split it.`,
    { param: "documents" },
  );
}
