/** Units of quantities, as Kubernetes writes them: powers of 1024 with an `i`, else powers of 1000. */
const units: Readonly<Record<string, number>> = {
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** For messages: what may stand behind a number. */
export const unitNames = Object.keys(units).join(", ");

/** `16Gi`, `500M`, `1.5GiB` or a plain number as a whole number; undefined when it is none, or too large to be exact. */
export function parseQuantity(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]*?)B?$/.exec(text);
  const [, digits = "", unit = ""] = match ?? [];
  const factor = unit === "" ? 1 : Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (match === null || factor === undefined) return undefined;
  const value = Math.round(Number(digits) * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A text in which some pieces were replaced by longer or shorter ones. */
export interface Rewritten {
  readonly text: string;
  /** Where a place of the new text was in the old one. */
  originalOffset(at: number): number;
}

/** A piece of the old text that is no quantity. */
export class UnknownUnit extends Error {
  readonly start: number;
  readonly end: number;

  constructor(piece: string, start: number) {
    super(`'${piece}' is no quantity: the units are ${unitNames}`);
    this.start = start;
    this.end = start + piece.length;
  }
}

/**
 * What an expression is made of as far as quantities go: strings (raw ones have no escapes) and comments are left alone,
 * and so are names and hexadecimal numbers. Alternatives in an order in which the first that fits is right.
 */
const pieces = [
  /[bB]?[rR][bB]?(?:"""[\s\S]*?"""|'''[\s\S]*?'''|"[^"\n]*"|'[^'\n]*')/,
  /[bB]?(?:"""(?:\\[\s\S]|[^\\])*?"""|'''(?:\\[\s\S]|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')/,
  /\/\/[^\n]*/,
  /[A-Za-z_]\w*/,
  /0[xX][0-9a-fA-F]+[uU]?/,
  /(?<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?<suffix>[A-Za-z]\w*)?)/,
];
const lexer = new RegExp(pieces.map(({ source }) => source).join("|"), "g");

/**
 * Replaces quantities outside of strings by the whole numbers that they mean.
 * @throws UnknownUnit for a number with letters behind it that are no unit.
 */
export function expandQuantities(source: string): Rewritten {
  const shifts: { readonly at: number; readonly length: number; readonly from: number }[] = [];
  let grown = 0;
  const text = source.replaceAll(lexer, (piece, ...rest) => {
    const { suffix } = rest.at(-1) as { readonly suffix?: string };
    const from = rest.at(-3) as number;
    if (suffix === undefined || /^[uU]$/.test(suffix)) return piece;
    const value = parseQuantity(piece);
    if (value === undefined) throw new UnknownUnit(piece, from);
    const replaced = String(value);
    shifts.push({ at: from + grown, length: replaced.length, from });
    grown += replaced.length - piece.length;
    return replaced;
  });
  return {
    text,
    originalOffset(at) {
      const shift = shifts.findLast((candidate) => candidate.at <= at);
      if (shift === undefined) return at;
      const next = shifts[shifts.indexOf(shift) + 1];
      if (at < shift.at + shift.length) return shift.from;
      // Text between two quantities keeps its distance to the next one, or to the end.
      const anchor = next ?? { at: text.length, from: source.length };
      return anchor.from - (anchor.at - at);
    },
  };
}
