import { type JsonSchema, unsupported } from "./json-schema.ts";

/** Whole numbers have at most 15 digits: all of them are exact as JSON numbers. */
const integerMax = 999_999_999_999_999;

/** A GBNF expression for `integer` or `number` within the schema's bounds. */
export function numberExpression(schema: JsonSchema, type: "integer" | "number", at: string): string {
  if (boundKeys.every((key) => schema[key] === undefined)) return type;
  const bound = (key: (typeof boundKeys)[number]): number | undefined => {
    const value = schema[key];
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isFinite(value)) throw unsupported(`${at}.${key} is no number`);
    // A bound beyond what is written here, such as the largest safe integer, does not restrict it.
    return Math.max(-integerMax - 1, Math.min(integerMax + 1, value));
  };
  const [above, below] = [bound("exclusiveMinimum"), bound("exclusiveMaximum")];
  const low = Math.max(-integerMax, Math.ceil(bound("minimum") ?? -integerMax));
  const high = Math.min(integerMax, Math.floor(bound("maximum") ?? integerMax));
  const whole = integerRange(
    Math.max(low, above === undefined ? -integerMax : Math.floor(above) + 1),
    Math.min(high, below === undefined ? integerMax : Math.ceil(below) - 1),
  );
  const between = fractions(
    Math.max(low, Math.ceil(above ?? -integerMax)),
    Math.min(high, Math.floor(below ?? integerMax)),
  );
  const expressions = type === "integer" ? whole : [...whole, ...between];
  if (expressions.length === 0)
    throw unsupported(`no ${type} that can be written here lies within the bounds at ${at}`);
  return `(${expressions.join(" | ")})`;
}

const boundKeys = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] as const;

/** Numbers that are not whole, between two whole numbers. */
function fractions(low: number, high: number): string[] {
  // Never ends in a zero, so that `n.x` is truly above n and exclusive bounds hold.
  const rest = '"." [0-9]{0,14} [1-9]';
  const positive = digitsBetween(Math.max(0, low), high - 1);
  const negative = digitsBetween(Math.max(0, -high), -low - 1);
  return [...positive.map((digits) => `${digits} ${rest}`), ...negative.map((digits) => `"-" ${digits} ${rest}`)];
}

function integerRange(low: number, high: number): string[] {
  const negative = digitsBetween(Math.max(1, -high), -low).map((digits) => `"-" ${digits}`);
  return [...digitsBetween(Math.max(0, low), high), ...negative];
}

/** Decimal writings of `low` to `high`, neither below 0; nothing when the range is empty. */
export function digitsBetween(low: number, high: number): string[] {
  const expressions: string[] = [];
  for (let length = String(low).length; low <= high && length <= String(high).length; length++) {
    const least = Math.max(low, length === 1 ? 0 : 10 ** (length - 1));
    const most = Math.min(high, 10 ** length - 1);
    expressions.push(...sameLength(String(least), String(most)));
  }
  return expressions;
}

/** Digit strings from `low` to `high`, which are equally long. */
function sameLength(low: string, high: string): string[] {
  if (low === high) return [`"${low}"`];
  const [first = "", last = ""] = [low[0], high[0]];
  const length = low.length - 1;
  const anything = length === 0 ? "" : ` [0-9]{${length}}`;
  if (/^0*$/.test(low.slice(1)) && /^9*$/.test(high.slice(1))) return [`[${first}-${last}]${anything}`];
  const after = (digit: string, from: string, to: string) => sameLength(from, to).map((rest) => `"${digit}" ${rest}`);
  if (first === last) return after(first, low.slice(1), high.slice(1));
  const [next, previous] = [Number(first) + 1, Number(last) - 1];
  return [
    ...after(first, low.slice(1), "9".repeat(length)),
    ...(next <= previous ? [`[${next}-${previous}]${anything}`] : []),
    ...after(last, "0".repeat(length), high.slice(1)),
  ];
}
