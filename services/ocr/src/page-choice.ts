import { NexusError } from "nexus/base";

/** Which pages of a document are asked for, from 0 and in their order; null for all of them. */
export type PageChoice = readonly number[] | null;

function wrong(message: string): NexusError {
  return new NexusError("invalid_request", message, { param: "pages" });
}

/**
 * Reads a number, a list of numbers, or a text such as `0-3,7`.
 * @throws NexusError `invalid_request` for anything else, and for more than `pagesMax` pages.
 */
export function parsePageChoice(value: number | readonly number[] | string | null, pagesMax: number): PageChoice {
  if (value === null) return null;
  const ranges = typeof value === "string" ? value.split(",").map(parseRange) : [value].flat().map(single);
  const count = ranges.reduce((sum, [from, to]) => sum + (to - from + 1), 0);
  if (count > pagesMax) throw wrong(`\`pages\` asks for ${count} pages; ${pagesMax} at once are the limit.`);
  const pages = ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
  return [...new Set(pages)].toSorted((left, right) => left - right);
}

type Range = readonly [from: number, to: number];

function single(page: number): Range {
  return [page, page];
}

function parseRange(text: string): Range {
  const [, from, to] = /^\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?$/.exec(text) ?? [];
  const range = [Number(from), Number(to ?? from)] as const;
  if (from === undefined || range[1] < range[0]) throw wrong("`pages` must be such as 3, [0, 2] or 0-3,7, from 0.");
  return range;
}

/**
 * The pages to read of a document that has `count`.
 * @throws NexusError `invalid_request` when it has no such page, or too many and none were chosen.
 */
export function choosePages(choice: PageChoice, count: number, pagesMax: number): readonly number[] {
  if (choice !== null) {
    const beyond = choice.find((page) => page >= count);
    if (beyond === undefined) return choice;
    throw wrong(`There is no page ${beyond}: the document has ${count}, counted from 0.`);
  }
  if (count <= pagesMax) return Array.from({ length: count }, (_, index) => index);
  throw wrong(`The document has ${count} pages; ${pagesMax} at once are the limit. Choose some with \`pages\`.`);
}
