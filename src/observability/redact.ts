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

/** What every credential has in it. Looking for it costs a tenth of replacing nothing, which is nearly every text. */
const suspicion = /bearer|nxs_|sk-/i;

/** The text without credentials in it. */
export function redactText(text: string): string {
  if (!suspicion.test(text)) return text;
  return text.replace(bearerPattern, `$1${redacted}`).replace(keyPattern, redacted);
}

/** Texts that stand in JSON as they are: nearly every one. */
const plain = /^[A-Za-z0-9_./: -]*$/;

/**
 * A field as a member of a JSON object, with a comma before it: secrets are replaced by `[redacted]`, errors become
 * plain objects.
 */
export function redactedMember(name: string, value: unknown): string {
  const { isSecret, start } = knownName(name);
  if (isSecret && hasContent(value)) return `${start}"${redacted}"`;
  if (typeof value === "number") return start + (Number.isFinite(value) ? value : "null");
  return start + redactedJson(value);
}

/** A value as JSON, without the credentials in it. */
export function redactedJson(value: unknown): string {
  if (typeof value === "string" && plain.test(value) && !suspicion.test(value)) return `"${value}"`;
  return JSON.stringify(redactValue(value, 0)) ?? "null";
}

/** A copy fit for a log line. */
function redactFields(fields: Readonly<Record<string, unknown>>, depth = 0): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value === undefined) continue;
    copy[name] = knownName(name).isSecret && hasContent(value) ? redacted : redactValue(value, depth);
  }
  return copy;
}

interface KnownName {
  readonly isSecret: boolean;
  /** The beginning of a member of this name. */
  readonly start: string;
}

/** Names seen so far: the same few stand on every line. */
const knownNames = new Map<string, KnownName>();
const knownNamesMax = 1_000;

function knownName(name: string): KnownName {
  const known = knownNames.get(name);
  if (known !== undefined) return known;
  const isSecret = secretNames.has(name.toLowerCase().replaceAll(/[-_]/g, ""));
  const fresh = { isSecret, start: `,${JSON.stringify(name)}:` };
  if (knownNames.size < knownNamesMax) knownNames.set(name, fresh);
  return fresh;
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
