import { json } from "../response.ts";
import type { Handler, ServiceRequest } from "../service.ts";
import {
  badResult,
  countAllWords,
  countWords,
  type Fields,
  isFields,
  readNumber,
  readText,
  readTexts,
  readWord,
  wrongField,
} from "./read-fields.ts";
import type { Work, WorkContext } from "./work.ts";

const contextOf = ({ signal, log }: ServiceRequest): WorkContext => ({ signal, log });
const modelOf = (body: Fields): string => String(body.model);

/** Embeddings, as numbers or as base64 of 32-bit floats. */
export function answerEmbeddings(work: Work<"embedding">): Handler {
  return async (request) => {
    const { body } = request;
    const texts = readTexts(body, "input");
    const format = readWord(body, "encoding_format", ["float", "base64"]);
    const vectors = await work({ model: modelOf(body), texts, body }, contextOf(request));
    const tokens = countAllWords(texts);
    return json({
      object: "list",
      model: body.model,
      data: checkedVectors(vectors, texts.length).map((vector, index) => ({
        object: "embedding",
        index,
        embedding: format === "float" ? vector : Buffer.from(Float32Array.from(vector).buffer).toString("base64"),
      })),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  };
}

function checkedVectors(value: unknown, count: number): readonly (readonly number[])[] {
  if (!Array.isArray(value) || value.length !== count) throw badResult(`a list of ${count} vectors`);
  const [first] = value as readonly unknown[];
  const length = Array.isArray(first) ? first.length : 0;
  const isVector = (vector: unknown): boolean =>
    Array.isArray(vector) && vector.length === length && length > 0 && vector.every((one) => Number.isFinite(one));
  if (!value.every(isVector)) throw badResult("vectors of numbers, all of one length");
  return value as readonly (readonly number[])[];
}

/** Documents in the order of their scores, the best first. */
export function answerRerank(work: Work<"rerank">): Handler {
  return async (request) => {
    const { body, requestId } = request;
    const query = readText(body, "query");
    const documents = readDocuments(body.documents);
    const top = readNumber(body, "top_n", { from: 1, to: 100_000, otherwise: documents.length, isWhole: true });
    const scores: unknown = await work({ model: modelOf(body), query, documents, body }, contextOf(request));
    if (!Array.isArray(scores) || scores.length !== documents.length || !scores.every(Number.isFinite)) {
      throw badResult(`a list of ${documents.length} scores`);
    }
    const tokens = countWords(query) + countAllWords(documents);
    const results = (scores as number[])
      .map((score, index) => ({
        index,
        relevance_score: score,
        ...(body.return_documents === true ? { document: { text: documents[index] } } : {}),
      }))
      .sort((one, other) => other.relevance_score - one.relevance_score)
      .slice(0, top);
    return json({
      id: `rerank-${requestId}`,
      model: body.model,
      results,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  };
}

function readDocuments(value: unknown): readonly string[] {
  const texts = Array.isArray(value) ? value.map((one: unknown) => (isFields(one) ? one.text : one)) : [];
  const areTexts = texts.length > 0 && texts.every((text) => typeof text === "string");
  if (areTexts) return texts;
  throw wrongField("documents", "a list of texts");
}

/** From this score on a text is flagged. */
const flaggedFrom = 0.5;

/** One judgement for each text; pictures are refused rather than passed unseen. */
export function answerModerations(work: Work<"moderation">): Handler {
  return async (request) => {
    const { body, requestId } = request;
    const texts = readJudged(body);
    const scores: unknown = await work({ model: modelOf(body), texts, body }, contextOf(request));
    if (!Array.isArray(scores) || scores.length !== texts.length || !scores.every(isScores)) {
      throw badResult(`a list of ${texts.length} objects with scores from 0 to 1`);
    }
    const results = (scores as Record<string, number>[]).map((categories) => {
      const flags = Object.entries(categories).map(([name, score]) => [name, score >= flaggedFrom] as const);
      return {
        flagged: flags.some(([, isFlagged]) => isFlagged),
        categories: Object.fromEntries(flags),
        category_scores: categories,
      };
    });
    return json({ id: `modr-${requestId}`, model: body.model, results });
  };
}

/** A text, several texts, or the parts of one. */
function readJudged(body: Fields): readonly string[] {
  const { input } = body;
  if (!Array.isArray(input) || !input.some(isFields)) return readTexts(body, "input");
  const texts = input.map((part: unknown) => (isFields(part) && part.type === "text" ? part.text : undefined));
  if (!texts.every((text) => typeof text === "string")) throw wrongField("input", "text: pictures are not judged here");
  return [texts.join("\n")];
}

function isScores(value: unknown): boolean {
  const isScore = (score: unknown): boolean => typeof score === "number" && score >= 0 && score <= 1;
  return isFields(value) && Object.values(value).every(isScore);
}

/** A tool's result, as the Model Context Protocol writes it. */
export function answerToolCalls(work: Work<"tool">): Handler {
  return async (request) => {
    const { body } = request;
    const given = body.arguments ?? {};
    if (!isFields(given)) throw wrongField("arguments", "an object");
    const result = await work({ model: modelOf(body), arguments: given, body }, contextOf(request));
    const text = typeof result === "string" ? result : JSON.stringify(result ?? null);
    return json({
      content: [{ type: "text", text }],
      ...(isFields(result) ? { structuredContent: result } : {}),
      isError: false,
    });
  };
}
