import { randomUUID } from "node:crypto";
import { parseRequest } from "@nexus/embeddings/text-models";
import { NexusError } from "nexus/base";
import { z } from "zod";
import { categories, type Judge, judgedCategories, type Scores } from "./judge.ts";

/** Texts of one request, and the pieces that they may be cut into: some 200,000 characters. */
const textsMax = 256;
const piecesMax = 512;

const partSchema = z.looseObject({ type: z.string(), text: z.string().optional() });
const requestSchema = z.looseObject({
  model: z.string(),
  input: z.union([z.string(), z.array(z.string()).min(1).max(textsMax), z.array(partSchema).min(1).max(textsMax)]),
});

export interface ModerationRun {
  readonly modelId: string;
  readonly judge: Judge;
  readonly threshold: number;
  readonly signal: AbortSignal;
}

/**
 * One judgement for each text; one for all parts of an input of parts. A long text is judged in pieces, and what is
 * said of any of them is said of it.
 * @throws NexusError `invalid_request`, `unsupported_feature` for pictures, `context_length_exceeded`.
 */
export async function answerModeration({ modelId, judge, threshold, signal }: ModerationRun, body: unknown) {
  const request = parseRequest(requestSchema, body);
  const cut = textsOf(request.input).map(judge.piecesOf);
  const pieces = cut.flat();
  if (pieces.length > piecesMax) {
    throw new NexusError("context_length_exceeded", "That is too much text for one request. Send it in parts.", {
      param: "input",
    });
  }
  const tokens = await judge.count(pieces);
  const results: object[] = [];
  for (const own of cut) {
    const judged: Scores[] = [];
    for (const piece of own) {
      signal.throwIfAborted();
      judged.push(await judge.judge(piece));
    }
    results.push(judgementOf(judged, threshold));
  }
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { id: `modr-${randomUUID()}`, model: modelId, results, usage };
}

function textsOf(input: z.output<typeof requestSchema>["input"]): readonly string[] {
  if (typeof input === "string") return [input];
  const texts = input.map((part) => {
    if (typeof part === "string") return part;
    if (part.type === "text" && part.text !== undefined) return part.text;
    throw new NexusError("unsupported_feature", "This service judges text only, no pictures.", { param: "input" });
  });
  return input.every((part) => typeof part === "string") ? texts : [texts.join("\n")];
}

function judgementOf(pieces: readonly Scores[], threshold: number): object {
  const scores = categories.map((category) => Math.max(0, ...pieces.map((piece) => piece[category])));
  const byCategory = <T>(of: (score: number, index: number) => T) =>
    Object.fromEntries(categories.map((category, index) => [category, of(scores[index] ?? 0, index)]));
  return {
    flagged: scores.some((score) => score >= threshold),
    categories: byCategory((score) => score >= threshold),
    category_scores: byCategory((score) => score),
    // OpenAI's way to say what a category was looked for in: an empty list is one that was not judged.
    category_applied_input_types: Object.fromEntries(
      categories.map((category) => [category, judgedCategories.has(category) ? ["text"] : []]),
    ),
  };
}
