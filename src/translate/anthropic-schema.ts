import { isObject, type JsonObject } from "./request-fields.ts";

/** What Anthropic's structured outputs read of a schema; anything else is refused. Source: its documentation. */
const kept = new Set([
  ...["type", "properties", "required", "items", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions"],
  ...["description", "title", "default"],
]);

const formats = new Set(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"]);

/**
 * A schema as Anthropic's structured outputs take it: objects are closed, and what the server cannot enforce, such as
 * `minimum`, is told to the model in the description.
 */
export function toAnthropicSchema(schema: JsonObject): JsonObject {
  const result: Record<string, unknown> = {};
  const told: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(schema)) {
    if (name === "oneOf") result.anyOf = translated(name, value);
    else if (isKept(name, value)) result[name] = translated(name, value);
    else if (name !== "additionalProperties" && name !== "$schema") told[name] = value;
  }
  if (result.type === "object") result.additionalProperties = false;
  if (Object.keys(told).length === 0) return result;
  const words = JSON.stringify(told);
  const { description } = schema;
  return { ...result, description: typeof description === "string" ? `${description}\n${words}` : words };
}

function isKept(name: string, value: unknown): boolean {
  if (name === "minItems") return value === 0 || value === 1;
  if (name === "format") return typeof value === "string" && formats.has(value);
  return kept.has(name);
}

function translated(name: string, value: unknown): unknown {
  switch (name) {
    case "properties":
    case "$defs":
    case "definitions":
      if (!isObject(value)) return value;
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, ofAny(each)]));
    case "anyOf":
    case "oneOf":
    case "allOf":
      return Array.isArray(value) ? value.map(ofAny) : value;
    case "items":
      return ofAny(value);
    default:
      return value;
  }
}

function ofAny(schema: unknown): unknown {
  return isObject(schema) ? toAnthropicSchema(schema) : schema;
}
