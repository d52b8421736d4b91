import { z } from "zod";
import { type InstanceRecord, policySchema } from "../contract/instance-record.ts";
import { describeIssues } from "../contract/parse.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { type ParsedRecord, parseRecord, parseRecordText, recordText } from "./parse-record.ts";
import { RecordLines } from "./record-lines.ts";
import type { RegistrySnapshot, RejectedRecord } from "./registry.ts";
import { SortedMap } from "./sorted-map.ts";

/** Version of the encoding below. A reader refuses others as a whole. */
const wireVersion = 1;
/** Refused records listed at most: the list is for eyes. */
const rejectedMax = 1_000;

const headSchema = z.looseObject({
  version: z.literal(wireVersion),
  revision: z.int().nonnegative(),
  stale: z.boolean().default(false),
  rejected: z.array(z.looseObject({ key: z.string().max(256), reason: z.string().max(1024) })).default([]),
});
const snapshotSchema = headSchema.extend({ instances: z.array(z.unknown()), policy: z.unknown() });
const changeSchema = headSchema.extend({
  since: z.int().nonnegative(),
  changed: z.array(z.unknown()),
  removed: z.array(z.string()),
  policy: z.unknown().optional(),
});
const drainSchema = policySchema.shape.drained.unwrap().element;

/**
 * A snapshot as JSON, one record a line: `{version, revision, stale, rejected, policy, instances}`. Lines keep files
 * readable and make the `data:` lines of an event stream short.
 */
export function encodeSnapshot(snapshot: RegistrySnapshot): string {
  const head = JSON.stringify({ ...headOf(snapshot), policy: snapshot.policy });
  return `${head.slice(0, -1)},\n"instances":${recordLines([...snapshot.instances.values()])}}`;
}

/** What leads from one snapshot to a later one: `{version, since, revision, stale, rejected, policy?, removed, changed}`. */
export function encodeChange(from: RegistrySnapshot, to: RegistrySnapshot): string {
  const { changed, removed } = SortedMap.of(to.instances).changesSince(SortedMap.of(from.instances));
  const policy = from.policy === to.policy ? {} : { policy: to.policy };
  const head = JSON.stringify({ ...headOf(to), since: from.revision, ...policy, removed });
  return `${head.slice(0, -1)},\n"changed":${recordLines(changed)}}`;
}

function headOf(snapshot: RegistrySnapshot) {
  const { revision, stale, rejected } = snapshot;
  return { version: wireVersion, revision, stale, rejected };
}

function recordLines(records: readonly InstanceRecord[]): string {
  return records.length === 0 ? "[]" : `[\n${records.map(recordText).join(",\n")}\n]`;
}

/** A snapshot as it comes out of a decoder. */
export type DecodedSnapshot = RegistrySnapshot & { readonly instances: SortedMap<InstanceRecord> };

/** Nothing known. */
export const emptySnapshot: DecodedSnapshot = Object.freeze({
  revision: 0,
  instances: SortedMap.empty<InstanceRecord>(),
  rejected: Object.freeze([]),
  policy: deepFreeze({ drained: [] }),
  stale: false,
});

/**
 * Reads one snapshot, of which `encodeSnapshot` made the text.
 * @throws Error when it is none at all; single records that are bad are listed in `rejected`.
 */
export function decodeSnapshotText(text: string): DecodedSnapshot {
  return new SnapshotDecoder().snapshotText(text);
}

/** As `decodeSnapshotText`, of a JSON value. */
export function decodeSnapshot(value: unknown): DecodedSnapshot {
  return new SnapshotDecoder().snapshot(value);
}

/**
 * Reads a sequence of snapshots and changes. Every record is validated on its own: a bad one is listed
 * with its reason and never hides another. Records that stay the same stay the same objects and are validated once.
 */
export class SnapshotDecoder {
  #known: ReadonlyMap<string, InstanceRecord> | undefined;
  #last: DecodedSnapshot | undefined;
  /** Records that this side refuses, whatever the sender thinks of them. */
  readonly #refused = new Map<string, RejectedRecord>();

  /** `known` are records that were validated before: an equal one is taken instead of validating it again. */
  constructor(known?: ReadonlyMap<string, InstanceRecord>) {
    this.#known = known;
  }

  /** @throws Error when the value as a whole is no snapshot. */
  snapshot(value: unknown): DecodedSnapshot {
    const head = parseHead(snapshotSchema, value);
    this.#refused.clear();
    const entries = new Map<string, InstanceRecord>();
    for (const [at, item] of head.instances.entries()) this.#read(item, `instances[${at}]`, entries);
    const policy = this.#readPolicy(head.policy);
    return this.#finish(head, SortedMap.empty<InstanceRecord>().with(entries), policy);
  }

  /**
   * As `snapshot`, from the text. Laid out as `encodeSnapshot` does, lines of records that are known already are compared
   * and not parsed, which costs a tenth; any other layout is JSON like every other.
   */
  snapshotText(text: string): DecodedSnapshot {
    const lines = RecordLines.find(text, "instances");
    if (lines === undefined) return this.snapshot(JSON.parse(text));
    const head = parseHead(snapshotSchema, { ...lines.head, instances: [] });
    this.#refused.clear();
    const known = SortedMap.of(this.#known ?? new Map<string, InstanceRecord>());
    const changes = this.#compareLines(lines, known);
    if (changes === undefined) return this.snapshot(JSON.parse(text));
    return this.#finish(head, changes.size === 0 ? known : known.with(changes), this.#readPolicy(head.policy));
  }

  /** What the lines say otherwise than what is known; undefined when one of them is not a record's. */
  #compareLines(
    lines: RecordLines,
    known: SortedMap<InstanceRecord>,
  ): Map<string, InstanceRecord | undefined> | undefined {
    const records = [...known.values()];
    const keys = [...known.keys()];
    const entries = new Map<string, InstanceRecord | undefined>();
    // Both are in the order of keys: what is known before this one came as it is, unless `entries` says otherwise.
    let next = 0;
    for (let at = 0; !lines.isAtEnd; at++) {
      const expected = records[next];
      if (expected !== undefined && lines.skip(recordText(expected))) {
        next++;
        continue;
      }
      const line = lines.take();
      if (line === undefined) return undefined;
      const parsed = parseRecordText(line, known);
      if (parsed === undefined) return undefined;
      const { key = "" } = parsed;
      for (; (keys[next] ?? key) < key; next++) entries.set(keys[next] ?? "", undefined);
      if (keys[next] === key) entries.set(keys[next++] ?? "", undefined);
      else if (!entries.has(key)) entries.set(key, known.get(key));
      this.#take(parsed, parsed.key ?? `instances[${at}]`, entries);
    }
    for (; next < keys.length; next++) entries.set(keys[next] ?? "", undefined);
    return entries;
  }

  /** @throws Error when the value is no change, or not one of what was read last. */
  change(value: unknown): DecodedSnapshot {
    const head = parseHead(changeSchema, value);
    const last = this.#last;
    if (last === undefined || head.since !== last.revision) {
      throw new Error(`a change since revision ${head.since} does not fit revision ${last?.revision ?? "none"}`);
    }
    const entries = new Map<string, InstanceRecord | undefined>();
    for (const key of head.removed) {
      entries.set(key, undefined);
      this.#refused.delete(key);
    }
    for (const [at, item] of head.changed.entries()) this.#read(item, `changed[${at}]`, entries);
    const policy = head.policy === undefined ? last.policy : this.#readPolicy(head.policy);
    return this.#finish(head, last.instances.with(entries), policy);
  }

  #read(item: unknown, place: string, entries: Map<string, InstanceRecord | undefined>): void {
    const parsed = parseRecord(item, this.#known);
    this.#take(parsed, parsed.key ?? place, entries);
  }

  #take(parsed: ParsedRecord, key: string, entries: Map<string, InstanceRecord | undefined>): void {
    if (!parsed.ok) {
      this.#refused.set(key, { key, reason: parsed.reason });
      if (!entries.has(key)) entries.set(key, undefined);
    } else if (entries.get(key) !== undefined) {
      this.#refused.set(key, { key, reason: "listed twice; the first one counts" });
    } else {
      this.#refused.delete(key);
      entries.set(key, parsed.record);
    }
  }

  #readPolicy(value: unknown): RegistrySnapshot["policy"] {
    const drained: RegistrySnapshot["policy"]["drained"] = [];
    for (const key of this.#refused.keys()) if (key.startsWith("policy.")) this.#refused.delete(key);
    const listed = (value as { drained?: unknown } | null | undefined)?.drained;
    for (const [at, item] of (Array.isArray(listed) ? listed : []).entries()) {
      const parsed = drainSchema.safeParse(item);
      const key = `policy.drained[${at}]`;
      if (parsed.success) drained.push(parsed.data);
      else this.#refused.set(key, { key, reason: describeIssues(parsed.error).slice(0, 512) });
    }
    return deepFreeze({ drained });
  }

  #finish(
    head: z.output<typeof headSchema>,
    instances: SortedMap<InstanceRecord>,
    policy: RegistrySnapshot["policy"],
  ): DecodedSnapshot {
    const { revision, stale } = head;
    const rejected = Object.freeze([...head.rejected, ...this.#refused.values()].slice(0, rejectedMax));
    this.#last = Object.freeze({ revision, instances, rejected, policy, stale });
    this.#known = instances;
    return this.#last;
  }
}

function parseHead<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Error(`not a registry snapshot: ${describeIssues(parsed.error)}`);
}
