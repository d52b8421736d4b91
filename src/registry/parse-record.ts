import { describeError } from "../base/errors.ts";
import {
  type InstanceRecord,
  instanceKey,
  instanceRecordBytesMax,
  instanceRecordSchema,
  metadataDigest,
} from "../contract/instance-record.ts";
import { nameSchema, type ServiceMetadata } from "../contract/metadata.ts";
import { describeIssues } from "../contract/parse.ts";
import { deepFreeze } from "./deep-freeze.ts";

/** A record that follows the contract, or why it does not. */
export type ParsedRecord =
  | { readonly ok: true; readonly key: string; readonly record: InstanceRecord }
  /** `key` is undefined when the record does not even say whose it is. */
  | { readonly ok: false; readonly key: string | undefined; readonly reason: string };

/** Reasons are shown in lists: what is longer helps nobody. */
const reasonLengthMax = 512;

/** Valid records are frozen, so their JSON is worked out once and stays true. */
const texts = new WeakMap<InstanceRecord, string>();

/** The record as one line of JSON. Free for records that came through `parseRecord`. */
export function recordText(record: InstanceRecord): string {
  return texts.get(record) ?? JSON.stringify(record);
}

/**
 * Holds a record against the contract: its schema, its size, its digest, and that record and metadata name the same
 * instance and host. The result is a frozen copy with every default filled in and the digest of its metadata as it now
 * stands, so that parsing it again changes nothing. When `known` has the very same record, that one is the result and
 * nothing is validated twice. Never throws.
 */
export function parseRecord(value: unknown, known?: ReadonlyMap<string, InstanceRecord>): ParsedRecord {
  const key = keyOf(value);
  try {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) return { ok: false, key, reason: "not a JSON object" };
    const before = key === undefined ? undefined : known?.get(key);
    if (key !== undefined && before !== undefined && texts.get(before) === text) {
      return { ok: true, key, record: before };
    }
    // Parsed from the text and not taken as it is: the caller's own objects must be neither kept nor frozen.
    return toParsed(key, isTooLarge(text) ? tooLarge : validate(JSON.parse(text)));
  } catch (error) {
    // Circular, throwing getters, or nested deeper than the stack: nothing that JSON could carry.
    return toParsed(key, `cannot be read: ${describeError(error)}`);
  }
}

/** As `parseRecord`, of a record's JSON. Undefined when it is no JSON. */
export function parseRecordText(text: string, known?: ReadonlyMap<string, InstanceRecord>): ParsedRecord | undefined {
  const raw = parseJson(text);
  if (raw === undefined) return undefined;
  const key = keyOf(raw);
  try {
    const before = key === undefined ? undefined : known?.get(key);
    if (before !== undefined && texts.get(before) === text) return toParsed(key, before);
    return toParsed(key, isTooLarge(text) ? tooLarge : validate(raw));
  } catch (error) {
    return toParsed(key, `cannot be read: ${describeError(error)}`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function toParsed(key: string | undefined, record: InstanceRecord | string): ParsedRecord {
  if (typeof record === "string") return { ok: false, key, reason: record.slice(0, reasonLengthMax) };
  return { ok: true, key: instanceKey(record), record };
}

/** The record, or the reason why it is none. */
function validate(raw: unknown): InstanceRecord | string {
  const parsed = instanceRecordSchema.safeParse(raw);
  if (!parsed.success) return describeIssues(parsed.error);
  const record = parsed.data;
  if (record.metadata.instance.id !== record.instance)
    return "metadata.instance.id: differs from the record's instance";
  if (record.metadata.instance.host !== record.host) return "metadata.instance.host: differs from the record's host";
  const digest = metadataDigest(record.metadata);
  // Owners digest what they wrote, with or without the defaults filled in.
  if (record.metadata_digest !== digest && record.metadata_digest !== metadataDigest(rawMetadata(raw))) {
    return "metadata_digest: is not the digest of the metadata";
  }
  const normal = deepFreeze({ ...record, metadata_digest: digest });
  const normalText = JSON.stringify(normal);
  if (isTooLarge(normalText)) return tooLarge;
  texts.set(normal, normalText);
  return normal;
}

const tooLarge = `larger than ${instanceRecordBytesMax} bytes`;

function isTooLarge(text: string): boolean {
  return Buffer.byteLength(text) > instanceRecordBytesMax;
}

function rawMetadata(raw: unknown): ServiceMetadata {
  return (raw as { metadata: ServiceMetadata }).metadata;
}

function keyOf(value: unknown): string | undefined {
  const { service, instance } = (value ?? {}) as { service?: unknown; instance?: unknown };
  const names = nameSchema.safeParse(service).success && nameSchema.safeParse(instance).success;
  return names ? `${String(service)}/${String(instance)}` : undefined;
}
