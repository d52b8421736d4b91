import { describeError } from "../base/errors.ts";

/** Names of fields whose values are secrets wherever they stand. Compared without case, `_` and `-`. */
const secretNames: ReadonlySet<string> = new Set([
  "authorization",
  "proxyauthorization",
  "cookie",
  "setcookie",
  "apikey",
  "xapikey",
  "openaiapikey",
  "nexusapikey",
  "controlkey",
  "secret",
  "clientsecret",
  "password",
  "token",
  "accesstoken",
  "privatekey",
]);

const redacted = "[redacted]";
/** Bearer credentials, Nexus's own keys and keys of OpenAI's look, such as in an error message that quotes a header. */
const bearerPattern = /\b(bearer\s+)[A-Za-z0-9._~+/=-]+/gi;
const keyPattern = /\b(?:nxs_|sk-)[A-Za-z0-9_-]{8,}/g;
/** Deeper than any field that is logged on purpose; also ends cycles. */
const depthMax = 6;

/** The text without credentials in it. */
export function redactText(text: string): string {
  return text.replace(bearerPattern, `$1${redacted}`).replace(keyPattern, redacted);
}

/** A copy fit for a log line: secrets are replaced by `[redacted]`, errors become plain objects. */
export function redactFields(fields: Readonly<Record<string, unknown>>, depth = 0): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    copy[name] = isSecretName(name) && hasContent(value) ? redacted : redactValue(value, depth);
  }
  return copy;
}

function isSecretName(name: string): boolean {
  return secretNames.has(name.toLowerCase().replaceAll(/[-_]/g, ""));
}

/** Absent, null and boolean values tell no secret, and whether there was one is worth knowing. */
function hasContent(value: unknown): boolean {
  return value !== undefined && value !== null && typeof value !== "boolean";
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) return errorFields(value);
  if (value instanceof Date || ArrayBuffer.isView(value)) return ArrayBuffer.isView(value) ? "[bytes]" : value;
  if (depth >= depthMax) return "[too deep]";
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  return redactFields(value as Record<string, unknown>, depth + 1);
}

function errorFields(error: Error): Record<string, unknown> {
  return {
    name: error.name,
    message: redactText(describeError(error)),
    ...(error.stack === undefined ? {} : { stack: redactText(error.stack) }),
  };
}
