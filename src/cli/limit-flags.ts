import type { FlagParametersForType } from "@stricli/core";
import type { Budget, LimitsPatch, Priority } from "../keys/key-record.ts";
import { parseText } from "./flags.ts";

/** Takes a limit away. */
type None = "none";
type Amount = number | None;

export interface LimitFlags {
  readonly rpm?: Amount;
  readonly tpm?: Amount;
  readonly concurrency?: Amount;
  readonly budget?: readonly (Budget | None)[];
  readonly tokens?: readonly (Budget | None)[];
  readonly models?: readonly string[];
  readonly operations?: readonly string[];
  readonly ip?: readonly string[];
  readonly priority?: Priority;
}

const factors: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9 };

/** `500`, `20k`, `1.5M`, or `none`. */
export function parseAmount(text: string): Amount {
  if (text === "none") return text;
  const [, digits = "", suffix = ""] = /^(\d{1,12}(?:\.\d{1,6})?)([kMG]?)$/.exec(text) ?? [];
  const amount = Number(digits) * (factors[suffix] ?? Number.NaN);
  if (digits === "" || !Number.isInteger(amount) || amount < 1) {
    throw new SyntaxError("must be a whole number such as 500, 20k or 1.5M, or none");
  }
  return amount;
}

/** `20usd/month`, or `none`. */
export function parseMoneyBudget(text: string): Budget | None {
  if (text === "none") return text;
  const [, digits = "", period = ""] = /^\$?(\d{1,9}(?:\.\d{1,6})?)(?:usd)?\/(day|week|month)$/i.exec(text) ?? [];
  if (Number(digits) <= 0) throw new SyntaxError("must be dollars a day, week or month, such as 20usd/month, or none");
  return { unit: "usd", amount: Number(digits), period: period.toLowerCase() as Budget["period"] };
}

/** `1M/day`, or `none`. */
export function parseTokenBudget(text: string): Budget | None {
  if (text === "none") return text;
  const [, digits = "", period = ""] = /^([\d.]+[kMG]?)\/(day|week|month)$/.exec(text) ?? [];
  if (digits === "") throw new SyntaxError("must be tokens a day, week or month, such as 1M/day, or none");
  return { unit: "tokens", amount: Number(parseAmount(digits)), period: period as Budget["period"] };
}

const optionalAmount = { kind: "parsed", parse: parseAmount, optional: true } as const;
const list = { kind: "parsed", parse: parseText, optional: true, variadic: "," } as const;

/** For keys and tenants. */
export const limitFlags = {
  rpm: { ...optionalAmount, placeholder: "N", brief: "Requests in any 60 seconds" },
  tpm: { ...optionalAmount, placeholder: "N", brief: "Tokens in any 60 seconds, such as 20k" },
  concurrency: { ...optionalAmount, placeholder: "N", brief: "Requests at the same time" },
  budget: {
    kind: "parsed",
    parse: parseMoneyBudget,
    optional: true,
    variadic: ",",
    placeholder: "20usd/month",
    brief: "Dollars a day, week or month (UTC), by the price list; may be repeated",
  },
  tokens: {
    kind: "parsed",
    parse: parseTokenBudget,
    optional: true,
    variadic: ",",
    placeholder: "1M/day",
    brief: "Tokens a day, week or month (UTC); may be repeated",
  },
  models: { ...list, placeholder: "llama*", brief: "Only these models; * stands for any characters" },
  operations: { ...list, placeholder: "chat.*", brief: "Only these operations" },
  ip: { ...list, placeholder: "10.0.0.0/8", brief: "Only from these addresses or CIDR ranges" },
  priority: {
    kind: "enum",
    values: ["interactive", "default", "batch"],
    optional: true,
    brief: "The highest class of its requests",
  },
} as const satisfies FlagParametersForType<LimitFlags>;

/** The limits that were said, as the control API takes them. `none` alone in a list takes the limit away. */
export function toLimits(flags: LimitFlags): LimitsPatch {
  const budgets = [...(flags.budget ?? []), ...(flags.tokens ?? [])];
  const said = {
    requests_per_minute: amountOrNull(flags.rpm),
    tokens_per_minute: amountOrNull(flags.tpm),
    concurrency: amountOrNull(flags.concurrency),
    budgets: budgets.length === 0 ? undefined : orNull(budgets.filter((budget) => budget !== "none")),
    models: namesOrNull(flags.models),
    operations: namesOrNull(flags.operations),
    addresses: namesOrNull(flags.ip),
    priority_max: flags.priority,
  };
  return Object.fromEntries(Object.entries(said).filter(([, limit]) => limit !== undefined));
}

function amountOrNull(amount: Amount | undefined): number | null | undefined {
  return amount === "none" ? null : amount;
}

function namesOrNull(names: readonly string[] | undefined): string[] | null | undefined {
  return names === undefined ? undefined : orNull(names.filter((name) => name !== "none"));
}

function orNull<T>(items: T[]): T[] | null {
  return items.length === 0 ? null : items;
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3_600, d: 86_400, w: 604_800 };

/** `90s`, `30min`, `12h`, `30d`, `2w`, in seconds. */
export function parseDuration(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,6})(s|min|h|d|w)$/.exec(text) ?? [];
  const seconds = Number(digits) * (unitSeconds[unit] ?? Number.NaN);
  if (digits === "" || Number.isNaN(seconds)) throw new SyntaxError("must be a time such as 30min, 12h, 30d or 2w");
  return seconds;
}

/** Seconds from now. */
export type Expiry = number | "never";

/** A time from now, or `never`. */
export function parseExpiry(text: string): Expiry {
  return text === "never" ? text : parseDuration(text);
}

/** Limits on one line: `60 rpm, $20 a month, models llama*`. */
export function describeLimits(limits: LimitsPatch): string {
  const parts: string[] = [];
  if (limits.requests_per_minute) parts.push(`${limits.requests_per_minute} rpm`);
  if (limits.tokens_per_minute) parts.push(`${limits.tokens_per_minute} tpm`);
  if (limits.concurrency) parts.push(`${limits.concurrency} at once`);
  for (const { unit, amount, period } of limits.budgets ?? []) {
    parts.push(unit === "usd" ? `$${amount} a ${period}` : `${amount} tokens a ${period}`);
  }
  if (limits.models) parts.push(`models ${limits.models.join(" ")}`);
  if (limits.operations) parts.push(`operations ${limits.operations.join(" ")}`);
  if (limits.addresses) parts.push(`from ${limits.addresses.join(" ")}`);
  if (limits.priority_max) parts.push(`${limits.priority_max} at most`);
  return parts.length === 0 ? "none" : parts.join(", ");
}
