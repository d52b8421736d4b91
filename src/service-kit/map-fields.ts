import { z } from "zod";

type Fields = Record<string, unknown>;

const path = z
  .string()
  .regex(/^[^.\s]+(\.[^.\s]+)*$/, "a field, or fields with '.' between")
  .refine((text) => !/(^|\.)(__proto__|constructor|prototype)(\.|$)/.test(text), "no name of a field");

/** How the fields of one JSON object become those of another; `a.b` is the field `b` of the field `a`. */
export const fieldMapSchema = z.strictObject({
  rename: z.record(path, path).default({}).describe("Ours to theirs in requests, theirs to ours in answers."),
  drop: z.array(path).default([]).describe("Fields that are left out."),
  set: z.record(path, z.unknown()).default({}).describe("Fields that always have this value."),
});
export type FieldMap = z.output<typeof fieldMapSchema>;

export function isPlainMap({ rename, drop, set }: FieldMap): boolean {
  return Object.keys(rename).length === 0 && drop.length === 0 && Object.keys(set).length === 0;
}

/** A mapped copy: renamed, then dropped, then set. What is no object stays as it is. */
export function mapFields(value: unknown, { rename, drop, set }: FieldMap): unknown {
  if (!isObject(value)) return value;
  const mapped = structuredClone(value);
  for (const [from, to] of Object.entries(rename)) {
    const taken = take(mapped, from.split("."));
    if (taken !== undefined) put(mapped, to.split("."), taken);
  }
  for (const name of drop) take(mapped, name.split("."));
  for (const [name, fixed] of Object.entries(set)) put(mapped, name.split("."), fixed);
  return mapped;
}

/** What stands under a path; `.` is everything. Undefined when there is nothing. */
export function pick(value: unknown, at: string): unknown {
  if (at === ".") return value;
  return at.split(".").reduce<unknown>((inner, name) => {
    if (Array.isArray(inner)) return inner[Number(name)];
    return isObject(inner) && Object.hasOwn(inner, name) ? inner[name] : undefined;
  }, value);
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function take(fields: Fields, [name = "", ...rest]: readonly string[]): unknown {
  const value = fields[name];
  if (rest.length > 0) return isObject(value) ? take(value, rest) : undefined;
  delete fields[name];
  return value;
}

function put(fields: Fields, [name = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    fields[name] = value;
    return;
  }
  const inner = fields[name];
  const next = isObject(inner) ? inner : {};
  fields[name] = next;
  put(next, rest, value);
}
