import { NexusError } from "../../base/errors.ts";

export type Fields = Readonly<Record<string, unknown>>;

export function wrongField(param: string, must: string): NexusError {
  return new NexusError("invalid_request", `\`${param}\` must be ${must}.`, { param });
}

/** What a work function gave is not what its domain asks for: a defect of it, not of the request. */
export function badResult(must: string): NexusError {
  return new NexusError("backend_error", "The service gave no valid answer.", {
    source: "service",
    detail: `the result must be ${must}`,
  });
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text with something in it. Throws `invalid_request`. */
export function readText(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string" && value !== "") return value;
  throw wrongField(name, "a text that is not empty");
}

/** A text, or a list of at least one. Throws `invalid_request`. */
export function readTexts(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  const texts = typeof value === "string" ? [value] : value;
  const isList = Array.isArray(texts) && texts.length > 0 && texts.every((text) => typeof text === "string");
  if (isList) return texts;
  throw wrongField(name, "a text or a list of texts");
}

export interface NumberRule {
  readonly from: number;
  readonly to: number;
  readonly otherwise: number;
  readonly isWhole?: boolean;
}

/** A number within bounds, written as text in a form; a default when it is left out. Throws `invalid_request`. */
export function readNumber(fields: Fields, name: string, rule: NumberRule): number {
  const given = fields[name] ?? rule.otherwise;
  const value = typeof given === "string" && given.trim() !== "" ? Number(given) : given;
  const isNumber = typeof value === "number" && value >= rule.from && value <= rule.to;
  if (isNumber && (rule.isWhole !== true || Number.isInteger(value))) return value;
  throw wrongField(name, `a ${rule.isWhole === true ? "whole " : ""}number from ${rule.from} to ${rule.to}`);
}

/** One of a few words; the first when it is left out. Throws `invalid_request`. */
export function readWord<W extends string>(fields: Fields, name: string, words: readonly [W, ...W[]]): W {
  const value = fields[name] ?? words[0];
  const word = words.find((one) => one === value);
  if (word === undefined) throw wrongField(name, `one of ${words.join(", ")}`);
  return word;
}

const sideMin = 16;
const sideMax = 4_096;
const sideOtherwise = 512;

/** `640x480`; 512 by 512 for `auto` or when it is left out. Throws `invalid_request`. */
export function readSize(fields: Fields): { readonly width: number; readonly height: number } {
  const { size = "auto" } = fields;
  if (size === "auto") return { width: sideOtherwise, height: sideOtherwise };
  const [, width, height] = (typeof size === "string" ? /^(\d{2,4})x(\d{2,4})$/.exec(size) : null) ?? [];
  const sides = { width: Number(width), height: Number(height) };
  const isFit = Object.values(sides).every((side) => side >= sideMin && side <= sideMax);
  if (isFit) return sides;
  throw wrongField("size", `as 640x480, each side from ${sideMin} to ${sideMax}`);
}

/** About as many tokens as models make of it: words and numbers of them. Never 0 for a text with something in it. */
export function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? (text === "" ? 0 : 1);
}

export function countAllWords(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + countWords(text), 0);
}
