import { type KeptModel, mannersOf, marked, toLengthOne } from "@nexus/embeddings/text-models";
import { type Logger, NexusError } from "nexus/base";
import { type Examples, groups, type Label } from "./examples.ts";
import { learnOnce } from "./learn-once.ts";
import { classifierOf } from "./softmax-regression.ts";

/** OpenAI's categories. */
export const categories = [
  "harassment",
  "harassment/threatening",
  "hate",
  "hate/threatening",
  "illicit",
  "illicit/violent",
  "self-harm",
  "self-harm/intent",
  "self-harm/instructions",
  "sexual",
  "sexual/minors",
  "violence",
  "violence/graphic",
] as const;

export type Category = (typeof categories)[number];

/** Those that the examples say something about. The others are never flagged. */
export const judgedCategories: ReadonlySet<Category> = new Set(Object.values(groups).flat());

export type Scores = Readonly<Record<Category, number>>;

/** Judges texts by what they mean. */
export interface Judge {
  /** Cut into pieces that can be judged; empty for a text of blanks. */
  piecesOf(text: string): readonly string[];
  /** Scores of one piece, 0 to 1. */
  judge(piece: string): Promise<Scores>;
  /** Tokens of pieces as the model reads them. */
  count(pieces: readonly string[]): Promise<number>;
}

export interface JudgeOptions {
  readonly examples: Examples;
  /** Where what was learned is kept. */
  readonly directory: string;
  readonly log: Logger;
}

/**
 * A judge that has learned from the examples: a vector of each, and how to tell the groups apart by them. That takes some
 * seconds, once: what was learned is kept, and used until something that it was learned from or by changes.
 * @throws NexusError `unsupported_feature` when the model makes no vectors.
 */
export async function openJudge(kept: KeptModel, options: JudgeOptions): Promise<Judge> {
  const { entry, model } = kept;
  if (model.facts.kind !== "vectors") {
    throw new NexusError(
      "unsupported_feature",
      `${entry.id} makes no vectors: moderation needs a model for embeddings.`,
    );
  }
  const manners = mannersOf(entry.id);
  const mark = (text: string) => marked(text, undefined, manners);
  const classifier = classifierOf(await learnOnce(kept, { ...options, mark }));
  return {
    piecesOf: cutIntoPieces,
    async judge(piece) {
      const vector = toLengthOne(await model.read(mark(piece)));
      return scoresOf(classifier.classes, classifier.probabilities(vector));
    },
    async count(pieces) {
      const counts = await model.count(pieces.map(mark));
      const longest = Math.max(0, ...counts);
      if (longest <= model.facts.tokensMax) return counts.reduce((sum, count) => sum + count, 0);
      throw new NexusError("context_length_exceeded", "A text has a word that is too long to be read.", {
        param: "input",
      });
    },
  };
}

/**
 * How sure it is that the text is not harmless, given to the likeliest category; the others have their share of it. Else
 * a text between two groups would be neither.
 */
function scoresOf(classes: readonly Label[], probabilities: Float64Array): Scores {
  const sums = Object.fromEntries(categories.map((category) => [category, 0])) as Record<Category, number>;
  let harm = 0;
  for (const [index, label] of classes.entries()) {
    if (label === "harmless") continue;
    const probability = probabilities[index] ?? 0;
    harm += probability;
    for (const category of groups[label]) sums[category] += probability;
  }
  const highest = Math.max(...Object.values(sums)) || 1;
  for (const category of categories) sums[category] = Math.min(1, (harm * sums[category]) / highest);
  return sums;
}

/** Characters of one piece: a few sentences, for one bad sentence is lost in the mean of a page. */
const pieceLengthMax = 400;

/** Whole sentences as far as they fit, then words, then characters. */
export function cutIntoPieces(text: string): readonly string[] {
  const sentences = new Intl.Segmenter(undefined, { granularity: "sentence" });
  const parts = [...sentences.segment(text)].flatMap(({ segment }) => splitLong(segment));
  const pieces: string[] = [];
  for (const part of parts) {
    const last = pieces.at(-1);
    if (last !== undefined && last.length + part.length <= pieceLengthMax) pieces[pieces.length - 1] = last + part;
    else pieces.push(part);
  }
  return pieces.map((piece) => piece.trim()).filter((piece) => piece !== "");
}

function splitLong(sentence: string): readonly string[] {
  if (sentence.length <= pieceLengthMax) return [sentence];
  const words = sentence.split(/(?<=\s)/).flatMap((word) => {
    const characters = [...word];
    const count = Math.ceil(characters.length / pieceLengthMax);
    return Array.from({ length: count }, (_, at) =>
      characters.slice(at * pieceLengthMax, (at + 1) * pieceLengthMax).join(""),
    );
  });
  return words;
}
