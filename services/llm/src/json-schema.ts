/** A JSON schema that is an object. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The document in which `$ref` finds its targets. */
export interface SchemaScope {
  readonly root: unknown;
}

/** A schema that cannot be held to, and why. */
export class SchemaError extends Error {}

export function unsupported(reason: string): SchemaError {
  return new SchemaError(reason);
}

/** The schema that a chain of `$ref`s leads to. */
export function dereference(scope: SchemaScope, schema: JsonSchema, at: string): JsonSchema {
  let found: unknown = schema;
  for (let hops = 0; hops < 16; hops++) {
    const reference: unknown = (found as JsonSchema).$ref;
    if (reference === undefined) return found as JsonSchema;
    found = resolvePointer(scope, String(reference), at);
  }
  throw unsupported(`the "$ref" at ${at} goes round in circles`);
}

function resolvePointer({ root }: SchemaScope, reference: string, at: string): unknown {
  if (reference !== "#" && !reference.startsWith("#/")) throw unsupported(`"$ref" at ${at} leads out of the schema`);
  let found: unknown = root;
  for (const part of reference.split("/").slice(1)) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    found =
      typeof found === "object" && found !== null && Object.hasOwn(found, key) ? (found as JsonSchema)[key] : undefined;
  }
  if (typeof found !== "object" || found === null)
    throw unsupported(`"$ref" at ${at} finds no ${reference.slice(0, 100)}`);
  return found;
}

/** Whether no value is valid for two of the schemas, as far as types and constants show. */
export function areDisjoint(scope: SchemaScope, schemas: readonly unknown[]): boolean {
  const resolved = schemas.map((schema) =>
    typeof schema === "object" && schema !== null ? dereference(scope, schema as JsonSchema, "oneOf") : {},
  );
  return resolved.every((one, index) => resolved.slice(index + 1).every((other) => exclude(scope, one, other)));
}

function exclude(scope: SchemaScope, one: JsonSchema, other: JsonSchema): boolean {
  const [values, otherValues] = [constantsOf(one), constantsOf(other)];
  if (values !== undefined && otherValues !== undefined) return !values.some((value) => otherValues.includes(value));
  const [types, otherTypes] = [typesOf(one), typesOf(other)];
  if (types.length > 0 && otherTypes.length > 0 && !types.some((type) => otherTypes.some((t) => overlap(type, t)))) {
    return true;
  }
  const [required, otherRequired] = [namesOf(one.required), namesOf(other.required)];
  return required.some((name) => {
    if (!otherRequired.includes(name)) return false;
    const [mine, theirs] = [propertyOf(scope, one, name), propertyOf(scope, other, name)];
    const [a, b] = [mine && constantsOf(mine), theirs && constantsOf(theirs)];
    return a !== undefined && b !== undefined && !a.some((value) => b.includes(value));
  });
}

function overlap(type: string, other: string): boolean {
  return type === other || (isNumeric(type) && isNumeric(other));
}

const isNumeric = (type: string): boolean => type === "number" || type === "integer";

/** What `const` and `enum` allow, as JSON. */
function constantsOf(schema: JsonSchema): readonly string[] | undefined {
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  return Array.isArray(schema.enum) ? schema.enum.map((value) => JSON.stringify(value)) : undefined;
}

/** JSON types of a schema's values, as far as `type`, `const` and `enum` say; empty when they do not. */
export function typesOf(schema: JsonSchema): readonly string[] {
  const constants = constantsOf(schema);
  if (constants !== undefined) return constants.map((text) => typeOfJson(JSON.parse(text)));
  if (Array.isArray(schema.type)) return schema.type.map(String);
  return schema.type === undefined ? [] : [String(schema.type)];
}

function typeOfJson(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function namesOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function propertyOf(scope: SchemaScope, schema: JsonSchema, name: string): JsonSchema | undefined {
  const property = (schema.properties as JsonSchema | undefined)?.[name];
  if (typeof property !== "object" || property === null) return undefined;
  return dereference(scope, property as JsonSchema, name);
}
