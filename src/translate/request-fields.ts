import { NexusError } from "../base/errors.ts";

/** A JSON object of unknown content. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The body of a request. @throws NexusError `invalid_json` when it is no JSON object. */
export function parseRequest(body: Buffer): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw new NexusError("invalid_json", "The body is not valid JSON.", { cause });
  }
  if (!isObject(value)) throw new NexusError("invalid_json", "The body must be a JSON object.");
  return value;
}

/** What is wrong with a field, in OpenAI's manner. */
export function invalidField(param: string, expected: string): NexusError {
  return new NexusError("invalid_request", `'${param}' must be ${expected}.`, { param });
}

/** A field that is right in its own API and cannot be had from the backends of this platform. */
export function unsupportedField(param: string, message: string): NexusError {
  return new NexusError("unsupported_feature", message, { param });
}

/** JSON's null counts as absent, as it does for OpenAI and in Go. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** @throws NexusError `invalid_request` when it is there and no string. */
export function optionalText(value: unknown, param: string): string | undefined {
  if (!isGiven(value)) return undefined;
  if (typeof value !== "string") throw invalidField(param, "a string");
  return value;
}

/** @throws NexusError `invalid_request` */
export function requiredText(value: unknown, param: string): string {
  const text = optionalText(value, param);
  if (text === undefined) throw invalidField(param, "a string");
  return text;
}

/** @throws NexusError `invalid_request` when it is there and no list. */
export function optionalList(value: unknown, param: string): readonly unknown[] {
  if (!isGiven(value)) return [];
  if (!Array.isArray(value)) throw invalidField(param, "a list");
  return value;
}

/** @throws NexusError `invalid_request` */
export function requiredObject(value: unknown, param: string): JsonObject {
  if (!isObject(value)) throw invalidField(param, "an object");
  return value;
}

/** @throws NexusError `missing_model` */
export function requiredModel(request: JsonObject): string {
  const { model } = request;
  if (typeof model !== "string" || model === "") {
    throw new NexusError("missing_model", "The request needs a 'model'. GET /v1/models lists what there is.", {
      param: "model",
    });
  }
  return model;
}

/** The fields of `source` that are given, under the names that `names` gives them. */
export function renamed(source: JsonObject, names: Readonly<Record<string, string>>): Record<string, unknown> {
  const entries = Object.entries(names).filter(([from]) => isGiven(source[from]));
  return Object.fromEntries(entries.map(([from, to]) => [to, source[from]]));
}
