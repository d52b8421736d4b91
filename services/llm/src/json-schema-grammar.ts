import { NexusError } from "nexus/base";
import {
  areDisjoint,
  dereference,
  type JsonSchema,
  SchemaError,
  type SchemaScope,
  unsupported,
} from "./json-schema.ts";
import { numberExpression } from "./number-grammar.ts";
import { refuseAmbiguity } from "./schema-ambiguity.ts";

/** Grows one GBNF grammar from JSON schemas and other parts. */
export interface GrammarBuilder {
  /**
   * An expression that accepts JSON valid for the schema, and only that. `param` is the request field it came in.
   * @throws NexusError `invalid_request` that names the keyword which cannot be held to.
   */
  schema(schema: unknown, param: string): string;
  /** An expression that accepts any JSON object. */
  anyObject(): string;
  /** Names an expression. */
  rule(expression: string): string;
  /** The grammar whose answers follow `root`. */
  build(root: string): string;
}

/**
 * Every answer of the grammar is valid for the schema. Where a schema allows more than is useful, the grammar allows
 * less: no properties beyond those it names, no blank lines between values.
 */
export function createGrammarBuilder(): GrammarBuilder {
  const rules = new Map<string, string>(baseRules);
  const rule = (expression: string): string => {
    if (rules.size >= rulesMax) throw tooLarge();
    const name = `r${rules.size}`;
    rules.set(name, expression);
    return name;
  };
  const reserve = (): { name: string; set(expression: string): void } => {
    const name = rule("");
    return { name, set: (expression) => void rules.set(name, expression) };
  };
  return {
    schema: (schema, param) => {
      const writer = { rule, reserve, scope: { root: schema }, references: new Map<string, string>() };
      try {
        if (JSON.stringify(schema).length > schemaBytesMax) throw tooLarge();
        const expression = valueExpression(writer, schema, "schema", 0);
        refuseAmbiguity(writer.scope);
        return expression;
      } catch (error) {
        if (!(error instanceof SchemaError)) throw error;
        throw new NexusError("invalid_request", `The JSON schema cannot be enforced: ${error.message}.`, { param });
      }
    },
    anyObject: () => "object",
    rule,
    build: (root) => [`root ::= ${root}`, ...[...rules].map(([name, body]) => `${name} ::= ${body}`)].join("\n"),
  };
}

/** A text as a GBNF literal. */
export function literal(text: string): string {
  const escaped = text
    .replaceAll(/[\\"]/g, "\\$&")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return `"${escaped}"`;
}

const schemaBytesMax = 64 * 1024;
const rulesMax = 4096;
const depthMax = 64;
/** Repetitions that llama.cpp's grammars allow. */
const repetitionsMax = 2000;

const tooLarge = () => unsupported("it is too large or too deep");

const baseRules: readonly [string, string][] = [
  ["sp", '" "?'],
  // Characters are listed, for of those that are not in a list the grammar lets bytes through that are no UTF-8.
  ["char", 'plain | "\\\\" "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F]'],
  // One code point each, so that lengths can be counted.
  ["plain", '[\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E\\x80-\\uD7FF\\uE000-\\U0010FFFF] | "\\\\" ["\\\\/bfnrt]'],
  ["string", '"\\"" char* "\\""'],
  ["integer", '"-"? ("0" | [1-9] [0-9]{0,14})'],
  ["number", '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?'],
  ["value", 'object | array | string | number | "true" | "false" | "null"'],
  ["pair", 'string ":" sp value'],
  ["object", '"{" (pair ("," sp pair)*)? "}"'],
  ["array", '"[" (value ("," sp value)*)? "]"'],
  ["anything", "[\\x00-\\uD7FF\\uE000-\\U0010FFFF]*"],
];

interface Writer {
  rule(expression: string): string;
  reserve(): { readonly name: string; set(expression: string): void };
  readonly scope: SchemaScope;
  /** Rules of `$ref`s, which may refer to themselves. */
  readonly references: Map<string, string>;
}

/** Keywords that describe and do not restrict. */
const annotations = [
  "title",
  "description",
  "default",
  "examples",
  "$schema",
  "$id",
  "$comment",
  "deprecated",
  "readOnly",
];
const everywhere: ReadonlySet<string> = new Set([...annotations, "writeOnly", "$defs", "definitions"]);

function refuseOthers(schema: JsonSchema, known: readonly string[], at: string): void {
  const stranger = Object.keys(schema).find((key) => !everywhere.has(key) && !known.includes(key));
  if (stranger !== undefined) throw unsupported(`the keyword "${stranger}" at ${at} is not supported here`);
}

function valueExpression(writer: Writer, schema: unknown, at: string, depth: number): string {
  if (depth > depthMax) throw tooLarge();
  if (schema === true) return "value";
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) throw unsupported(`${at} is no schema`);
  const own = schema as JsonSchema;
  if (own.$ref !== undefined) return referenceExpression(writer, own, at, depth);
  if (own.const !== undefined) return constExpression(own, [own.const], "const", at);
  if (own.enum !== undefined) return constExpression(own, own.enum, "enum", at);
  const combined = combinedExpression(writer, own, at, depth);
  return combined ?? typedExpression(writer, own, at, depth);
}

function referenceExpression(writer: Writer, schema: JsonSchema, at: string, depth: number): string {
  refuseOthers(schema, ["$ref"], at);
  const reference = String(schema.$ref);
  const known = writer.references.get(reference);
  if (known !== undefined) return known;
  const { name, set } = writer.reserve();
  writer.references.set(reference, name);
  const target = dereference(writer.scope, schema, at);
  if (target.$ref !== undefined) throw unsupported(`${reference} refers to nothing but itself`);
  set(valueExpression(writer, target, reference, depth + 1));
  return name;
}

function constExpression(schema: JsonSchema, values: unknown, keyword: string, at: string): string {
  refuseOthers(schema, [keyword, "type"], at);
  if (!Array.isArray(values) || values.length === 0) throw unsupported(`${at}.${keyword} lists no values`);
  return `(${values.map((value) => literal(JSON.stringify(value))).join(" | ")})`;
}

function combinedExpression(writer: Writer, schema: JsonSchema, at: string, depth: number): string | undefined {
  for (const keyword of ["anyOf", "oneOf", "allOf"] as const) {
    const parts = schema[keyword];
    if (parts === undefined) continue;
    refuseOthers(schema, [keyword], at);
    if (!Array.isArray(parts) || parts.length === 0) throw unsupported(`${at}.${keyword} lists no schemas`);
    if (keyword === "allOf" && parts.length > 1)
      throw unsupported(`"allOf" of several schemas at ${at} is not supported here`);
    if (keyword === "oneOf" && !areDisjoint(writer.scope, parts)) {
      throw unsupported(
        `"oneOf" at ${at} needs alternatives that exclude each other, by their types or a constant; use "anyOf"`,
      );
    }
    // Equal alternatives would only make the grammar ambiguous, and an ambiguous grammar slow.
    const distinct = new Map(parts.map((part, index) => [JSON.stringify(part), [part, index] as const]));
    const alternatives = [...distinct.values()].map(([part, index]) =>
      valueExpression(writer, part, `${at}.${keyword}[${index}]`, depth + 1),
    );
    return writer.rule(alternatives.join(" | "));
  }
  return undefined;
}

function typedExpression(writer: Writer, schema: JsonSchema, at: string, depth: number): string {
  const stated = schema.type ?? impliedType(schema);
  const types = Array.isArray(stated) ? stated : [stated];
  if (types.length === 0) throw unsupported(`${at}.type lists no types`);
  const byType = types.map((type) => {
    const only = types.length === 1 ? schema : withoutOtherTypes(schema, String(type));
    return singleType(writer, { ...only, type }, at, depth);
  });
  return byType.length === 1 ? (byType[0] ?? "") : `(${byType.join(" | ")})`;
}

function impliedType(schema: JsonSchema): string {
  if (schema.properties !== undefined || schema.required !== undefined) return "object";
  if (schema.items !== undefined || schema.prefixItems !== undefined) return "array";
  return "any";
}

const keywordsOf: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "format"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
};

/** With several types, a keyword restricts the type it is for. */
function withoutOtherTypes(schema: JsonSchema, type: string): JsonSchema {
  const foreign = new Set(Object.entries(keywordsOf).flatMap(([other, keys]) => (other === type ? [] : keys)));
  for (const key of keywordsOf[type] ?? []) foreign.delete(key);
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !foreign.has(key)));
}

function singleType(writer: Writer, schema: JsonSchema, at: string, depth: number): string {
  const type = String(schema.type);
  refuseOthers(schema, ["type", ...(keywordsOf[type] ?? [])], at);
  switch (type) {
    case "object":
      return objectExpression(writer, schema, at, depth);
    case "array":
      return arrayExpression(writer, schema, at, depth);
    case "string":
      return stringExpression(schema, at);
    case "integer":
    case "number":
      return numberExpression(schema, type, at);
    case "boolean":
      return '("true" | "false")';
    case "null":
      return '"null"';
    case "any":
      return "value";
    default:
      throw unsupported(`${at}.type is ${JSON.stringify(type).slice(0, 50)}, which is no type`);
  }
}

function objectExpression(writer: Writer, schema: JsonSchema, at: string, depth: number): string {
  const properties = (schema.properties ?? {}) as Record<string, unknown>;
  const required = new Set((schema.required ?? []) as string[]);
  const others = schema.additionalProperties ?? true;
  const names = Object.keys(properties);
  const unnamed = [...required].filter((name) => !names.includes(name));
  if (unnamed.length > 0 && others !== true)
    throw unsupported(`${at} requires "${unnamed[0]}" and does not describe it`);
  if (names.length === 0 && unnamed.length === 0) {
    if (others === false) return '"{}"';
    const value = valueExpression(writer, others, `${at}.additionalProperties`, depth + 1);
    const pair = `string ":" sp ${value}`;
    return `("{" (${pair} ("," sp ${pair})*)? "}")`;
  }
  const members = [...names, ...unnamed].map((name) => ({
    pair: `${literal(JSON.stringify(name))} ":" sp ${valueExpression(writer, properties[name] ?? true, `${at}.${name}`, depth + 1)}`,
    isRequired: required.has(name),
  }));
  return `("{" ${membersExpression(writer, members)} "}")`;
}

interface Member {
  readonly pair: string;
  readonly isRequired: boolean;
}

/** Members in their order, the optional ones or not, with commas between those that are there. */
function membersExpression(writer: Writer, members: readonly Member[]): string {
  // From the last to the first: what may follow when members came before (with a comma), and when none did.
  let more = "";
  let first = "";
  for (const { pair, isRequired } of members.toReversed()) {
    const named = writer.rule(pair);
    const begin = `${named} ${more}`.trim();
    const proceed = `"," sp ${begin}`;
    first = writer.rule(isRequired ? begin : `${begin} | ${first || '""'}`);
    more = writer.rule(isRequired ? proceed : `${proceed} | ${more || '""'}`);
  }
  return first;
}

function arrayExpression(writer: Writer, schema: JsonSchema, at: string, depth: number): string {
  const { min, max } = countsOf(schema, "minItems", "maxItems", at);
  const prefix = (schema.prefixItems ?? []) as unknown[];
  if (prefix.length > 0) {
    if (min > prefix.length || max < prefix.length)
      throw unsupported(`${at} counts other items than "prefixItems" lists`);
    const items = prefix.map((item, index) => valueExpression(writer, item, `${at}.prefixItems[${index}]`, depth + 1));
    return `("[" ${items.join(' "," sp ')} "]")`;
  }
  if (max === 0) return '"[]"';
  const item = writer.rule(valueExpression(writer, schema.items ?? true, `${at}.items`, depth + 1));
  const most = max === Number.POSITIVE_INFINITY ? "" : String(max - 1);
  const list = `${item} ("," sp ${item}){${Math.max(0, min - 1)},${most}}`;
  return min === 0 ? `("[" (${list})? "]")` : `("[" ${list} "]")`;
}

const digit = "[0-9]";
const date = `${digit}{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])`;
const time = `([01] ${digit} | "2" [0-3]) ":" [0-5] ${digit} ":" [0-5] ${digit} "Z"`;
const hex = "[0-9a-f]";
const formats: Readonly<Record<string, string>> = {
  date,
  time,
  "date-time": `${date} "T" ${time}`,
  uuid: `${hex}{8} "-" ${hex}{4} "-" "4" ${hex}{3} "-" [89ab] ${hex}{3} "-" ${hex}{12}`,
};

function stringExpression(schema: JsonSchema, at: string): string {
  if (schema.format !== undefined) {
    refuseOthers(schema, ["type", "format"], at);
    const format = formats[String(schema.format)];
    if (format === undefined) throw unsupported(`the format "${schema.format}" at ${at} is not supported here`);
    return `("\\"" ${format} "\\"")`;
  }
  const { min, max } = countsOf(schema, "minLength", "maxLength", at);
  if (min === 0 && max === Number.POSITIVE_INFINITY) return "string";
  return `("\\"" plain{${min},${max === Number.POSITIVE_INFINITY ? "" : max}} "\\"")`;
}

function countsOf(schema: JsonSchema, minKey: string, maxKey: string, at: string) {
  const count = (key: string, fallback: number): number => {
    const value = schema[key] ?? fallback;
    if (typeof value === "number" && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY) && value >= 0)
      return value;
    throw unsupported(`${at}.${key} is no count`);
  };
  const [min, max] = [count(minKey, 0), count(maxKey, Number.POSITIVE_INFINITY)];
  if (min > max) throw unsupported(`${at}.${minKey} is above ${maxKey}`);
  if (min > repetitionsMax) throw unsupported(`${at}.${minKey} is above ${repetitionsMax}`);
  // Fewer than allowed is still valid.
  return { min, max: max === Number.POSITIVE_INFINITY ? max : Math.min(max, repetitionsMax) };
}
