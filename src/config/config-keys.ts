import { z } from "zod";

/** The part of JSON Schema that Zod writes and this room reads. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly propertyNames?: JsonSchema;
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly pattern?: string;
  readonly format?: string;
}

/** One key of the configuration, as the reference page and `config explain` show it. */
export interface ConfigKey {
  /** `gateway.retry.attemptsMax`; `*` stands for a name of the operator's, `[]` for the items of a list. */
  readonly path: string;
  /** In words: `whole number, 1 to 10`. */
  readonly type: string;
  readonly description: string;
  /** Undefined when there is none: the key is required or has no meaning when absent. */
  readonly default: unknown;
  readonly required: boolean;
}

/** What the operator writes, as JSON Schema (draft 2020-12). */
export function toJsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema;
}

/** Every key below a schema, groups left out, in the schema's order. */
export function listConfigKeys(schema: JsonSchema): ConfigKey[] {
  return walk(schema, "", false);
}

function walk(schema: JsonSchema, path: string, required: boolean): ConfigKey[] {
  const children = childrenOf(schema).flatMap(([name, child, isRequired]) =>
    walk(child, name === "[]" || path === "" ? `${path}${name}` : `${path}.${name}`, isRequired),
  );
  const isGroup = path === "" || (schema.properties !== undefined && schema.description === undefined);
  // A map or a list of plain values is one key; of groups, it is a key and so is what is in it.
  const below = children.some((child) => !child.path.endsWith("*") && !child.path.endsWith("[]")) ? children : [];
  return isGroup ? children : [describeKey(schema, path, required), ...below];
}

function describeKey(schema: JsonSchema, path: string, required: boolean): ConfigKey {
  return {
    path,
    type: describeType(schema),
    description: schema.description ?? branchesOf(schema).find((branch) => branch.description)?.description ?? "",
    default: schema.default,
    required: required && schema.default === undefined,
  };
}

function branchesOf(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf ?? schema.oneOf ?? schema.allOf ?? [];
}

function childrenOf(schema: JsonSchema): [name: string, schema: JsonSchema, required: boolean][] {
  const named = Object.entries(schema.properties ?? {}).map(([name, child]): [string, JsonSchema, boolean] => [
    name,
    child,
    schema.required?.includes(name) ?? false,
  ]);
  const { additionalProperties: any, items } = schema;
  const ofMap: [string, JsonSchema, boolean][] = typeof any === "object" ? [["*", any, false]] : [];
  const ofList: [string, JsonSchema, boolean][] = items === undefined ? [] : [["[]", items, false]];
  return [...named, ...ofMap, ...ofList, ...branchesOf(schema).flatMap(childrenOf)];
}

/** The names that may stand at a place of the configuration; undefined when any may. */
export function namesAt(schema: JsonSchema, path: readonly (string | number)[]): string[] | undefined {
  const nodes = path.reduce<JsonSchema[]>((found, part) => found.flatMap((node) => childAt(node, part)), [schema]);
  const all = nodes.flatMap((node) => [node, ...branchesOf(node)]);
  if (all.some((node) => typeof node.additionalProperties === "object" && node.propertyNames?.enum === undefined)) {
    return undefined;
  }
  const namesOf = (node: JsonSchema) => [
    ...Object.keys(node.properties ?? {}),
    ...(node.propertyNames?.enum ?? []).map(String),
  ];
  return [...new Set(all.flatMap(namesOf))];
}

function childAt(schema: JsonSchema, part: string | number): JsonSchema[] {
  const children = childrenOf(schema);
  const named = children.filter(([name]) => name === String(part));
  const chosen =
    named.length > 0 ? named : children.filter(([name]) => name === (typeof part === "number" ? "[]" : "*"));
  return chosen.map(([, child]) => child);
}

/** `whole number, 1 to 10`, `one of info, warn`, `list of text`, ... */
export function describeType(schema: JsonSchema): string {
  const branches = branchesOf(schema);
  if (branches.length > 0) return [...new Set(branches.map(describeType))].join(" or ");
  if (schema.enum !== undefined) return `one of ${schema.enum.map(String).join(", ")}`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") {
    const item = schema.items ?? schema.prefixItems?.[0] ?? {};
    return `list of ${plural(describeType(item))}`;
  }
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return `map of names to ${plural(describeType(schema.additionalProperties))}`;
  }
  const words: Readonly<Record<string, string>> = {
    integer: "whole number",
    number: "number",
    boolean: "true or false",
    string: schema.format === "uri" ? "URL" : "text",
    object: "group",
    null: "null",
  };
  return `${words[schema.type ?? ""] ?? "any value"}${describeRange(schema)}`;
}

function plural(type: string): string {
  return type === "group" ? "groups" : type;
}

function describeRange({ minimum, maximum, exclusiveMinimum }: JsonSchema): string {
  const high = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (exclusiveMinimum !== undefined)
    return high === undefined ? `, above ${exclusiveMinimum}` : `, above ${exclusiveMinimum}, at most ${high}`;
  const low = minimum === undefined || minimum <= Number.MIN_SAFE_INTEGER ? undefined : minimum;
  if (low !== undefined && high !== undefined) return `, ${low} to ${high}`;
  if (low !== undefined) return `, at least ${low}`;
  return high === undefined ? "" : `, at most ${high}`;
}
