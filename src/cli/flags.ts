import type { FlagParametersForType } from "@stricli/core";

/** `name=value` of `--label`. */
export function parseLabel(text: string): readonly [name: string, value: string] {
  const at = text.indexOf("=");
  if (at < 1) throw new SyntaxError("write it as name=value");
  return [text.slice(0, at), text.slice(at + 1)];
}

export function parseText(text: string): string {
  if (text === "") throw new SyntaxError("must not be empty");
  return text;
}

/** An optional flag that takes any text. */
export const textFlag = (placeholder: string, brief: string) =>
  ({ kind: "parsed", parse: parseText, optional: true, placeholder, brief }) as const;

/** For verbs that ask a model. */
export const modelFlag = { model: textFlag("ID", "Model; the first one that is made for it when left out") } as const;

/** A whole number within bounds. */
export function integerParser(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw new SyntaxError(`must be a whole number from ${min} to ${max}`);
    return value;
  };
}

export interface JsonFlag {
  readonly json?: boolean;
}

/** For every verb. */
export const jsonFlag = {
  json: { kind: "boolean", optional: true, withNegated: false, brief: "Print one JSON document on stdout" },
} as const satisfies FlagParametersForType<JsonFlag>;

export interface DataFlag {
  readonly data?: string;
}

/** For verbs about one platform. */
export const dataFlag = {
  data: {
    kind: "parsed",
    parse: parseText,
    optional: true,
    placeholder: "DIR",
    brief: "Data directory of the platform",
  },
} as const satisfies FlagParametersForType<DataFlag>;

export interface ConfigFlag {
  readonly config?: string;
}

export const configFlag = {
  config: { kind: "parsed", parse: parseText, optional: true, placeholder: "FILE", brief: "Configuration file" },
} as const satisfies FlagParametersForType<ConfigFlag>;
