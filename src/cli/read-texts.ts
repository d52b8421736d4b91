import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { describeError } from "../base/errors.ts";
import { CliError, usageError } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { readStdin } from "./read-stdin.ts";
import { progressBar } from "./terminal.ts";

/** More than this is no list of texts for one command. */
const bytesMax = 64 * 1024 * 1024;

/** Texts in one request: enough to keep a model busy, and few enough for a bar that moves. */
const batchSize = 32;

export interface TextsFrom {
  /** Each a text. */
  readonly words: readonly string[];
  /** A file with a text in each line. */
  readonly file: string | undefined;
  /** How to call the verb, for whoever gave no text. */
  readonly usage: string;
}

/**
 * The texts of the arguments, else of the lines of the file, else of those of stdin. Empty lines are left out.
 * @throws CliError when there is none.
 */
export async function readTexts(context: CliContext, { words, file, usage }: TextsFrom): Promise<readonly string[]> {
  if (words.length > 0 && file !== undefined) throw usageError("Give texts or --file, not both.", usage);
  if (words.length > 0) return words;
  if (file === undefined && context.stdin.isTTY === true) throw usageError("There is no text.", usage);
  const content =
    file === undefined
      ? (await readStdin(context, bytesMax)).toString()
      : await readText(resolve(context.workingDirectory, file));
  const texts = content
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (texts.length === 0) throw usageError("There is no text.", usage);
  return texts;
}

async function readText(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > bytesMax) throw new Error("it is larger than 64 MB");
    return await readFile(path, "utf8");
  } catch (error) {
    throw new CliError(exitCodes.usage, "usage", `${path} cannot be read: ${describeError(error)}.`, { cause: error });
  }
}

/**
 * Has the texts worked on a batch at a time, with a bar on a terminal. `ask` gets the batch and the place of its first
 * text.
 */
export async function inBatches<T>(
  { terminal }: CliContext,
  texts: readonly string[],
  ask: (batch: readonly string[], start: number) => Promise<T>,
): Promise<readonly T[]> {
  const area = terminal.live();
  const answers: T[] = [];
  try {
    for (let start = 0; start < texts.length; start += batchSize) {
      if (texts.length > batchSize) area.update([`${progressBar(start / texts.length)} of ${texts.length} texts`]);
      answers.push(await ask(texts.slice(start, start + batchSize), start));
    }
  } finally {
    area.clear();
  }
  return answers;
}
