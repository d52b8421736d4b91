import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRecord } from "../../test/support/records.ts";
import { instanceRecordBytesMax, metadataDigest } from "../contract/instance-record.ts";
import { parseRecord, recordText } from "./parse-record.ts";

const good = makeRecord({ service: "chat", instance: "a" });

function reasonOf(value: unknown): string {
  const parsed = parseRecord(value);
  assert.equal(parsed.ok, false);
  return parsed.ok ? "" : parsed.reason;
}

test("a good record comes back as a frozen copy of its own", () => {
  const unknown = { nested: { by: "a newer service" } };
  const input = { ...good, extra: unknown };
  const parsed = parseRecord(input);
  assert.ok(parsed.ok);
  assert.equal(parsed.key, "chat/a");
  assert.deepEqual(parsed.record, input);
  unknown.nested.by = "somebody else";
  assert.deepEqual(parsed.record.extra, { nested: { by: "a newer service" } });
  assert.ok(Object.isFrozen(parsed.record.metadata.models[0]));
  assert.equal(recordText(parsed.record), JSON.stringify(parsed.record));
});

test("parsing its own output changes nothing, and an equal record is the same object", () => {
  const { metadata_digest: _, labels: __, ...sparse } = good;
  const metadata = { ...good.metadata, backend: { name: "x" } };
  const first = parseRecord({ ...sparse, metadata, metadata_digest: metadataDigest(metadata as never) });
  assert.ok(first.ok, "the digest may be that of the metadata before its defaults");
  const second = parseRecord(JSON.parse(recordText(first.record)));
  assert.ok(second.ok);
  assert.deepEqual(second.record, first.record);
  const known = new Map([["chat/a", first.record]]);
  const third = parseRecord(JSON.parse(recordText(first.record)), known);
  assert.ok(third.ok);
  assert.equal(third.record, first.record);
  const changed = parseRecord({ ...first.record, state: "draining" }, known);
  assert.ok(changed.ok);
  assert.notEqual(changed.record, first.record);
});

test("what contradicts itself is refused with the field", () => {
  const withMetadata = (metadata: typeof good.metadata) => ({
    ...good,
    metadata,
    metadata_digest: metadataDigest(metadata),
  });
  const { instance } = good.metadata;
  assert.match(
    reasonOf(withMetadata({ ...good.metadata, instance: { ...instance, id: "b" } })),
    /^metadata\.instance\.id/,
  );
  assert.match(
    reasonOf(withMetadata({ ...good.metadata, instance: { ...instance, host: "b" } })),
    /^metadata\.instance\.host/,
  );
  assert.match(reasonOf({ ...good, metadata_digest: `sha256:${"0".repeat(64)}` }), /^metadata_digest/);
  assert.match(reasonOf({ ...good, service: "other" }), /^metadata\.service\.name/);
});

test("whatever is thrown at it, it answers with a reason that is short", () => {
  const circular: Record<string, unknown> = { ...good };
  circular.self = circular;
  let deep: unknown = 0;
  for (let depth = 0; depth < 100_000; depth++) deep = [deep];
  const hostile = [
    undefined,
    null,
    5,
    "text",
    [],
    () => {},
    {},
    circular,
    { ...good, deep },
    { toJSON: () => undefined },
  ];
  for (const value of hostile) assert.ok(reasonOf(value).length > 0);
  const wide = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`${"k".repeat(100)}${at}`, 5]));
  assert.ok(reasonOf({ ...good, labels: wide }).length <= 512);
  assert.equal(parseRecord({ ...good, instance: "../../etc" }).key, undefined);
  const polluting = JSON.parse(`{"__proto__": {"polluted": true}, ${JSON.stringify(good).slice(1)}`);
  assert.ok(parseRecord(polluting).ok);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test("a record above the limit is refused, and so is one that its defaults would lift above it", () => {
  const pad = (characters: number) => ({ ...good, note: "x".repeat(characters) });
  const room = instanceRecordBytesMax - JSON.stringify(pad(0)).length;
  assert.ok(parseRecord(pad(room)).ok);
  assert.match(reasonOf(pad(room + 1)), /larger than/);
  const { labels: _, ...sparse } = pad(room + 5);
  assert.match(reasonOf(sparse), /larger than/);
  assert.match(
    reasonOf(pad(room / 2 + 1).note.length > 0 ? { ...good, note: "ü".repeat(room / 2 + 1) } : {}),
    /larger than/,
  );
});
