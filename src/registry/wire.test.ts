import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { makeRecord } from "../../test/support/records.ts";
import type { InstanceRecord } from "../contract/instance-record.ts";
import type { RegistrySnapshot } from "./registry.ts";
import { SortedMap } from "./sorted-map.ts";
import {
  decodeSnapshot,
  decodeSnapshotText,
  emptySnapshot,
  encodeChange,
  encodeSnapshot,
  SnapshotDecoder,
} from "./wire.ts";

const instanceName = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,3}[a-z0-9])?$/);
const recordArbitrary = fc
  .record({
    instance: instanceName,
    state: fc.constantFrom("ready" as const, "draining" as const, "failed" as const),
    labels: fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8, unit: "binary" }), {
      noNullPrototype: true,
    }),
    state_reason: fc.string({ unit: "grapheme", maxLength: 20 }),
  })
  .map((rest) => makeRecord({ service: "chat", ...rest }));
const ordinary = { noNullPrototype: true };
const rejectedArbitrary = fc.record(
  { key: fc.string({ maxLength: 20 }), reason: fc.string({ maxLength: 20 }) },
  ordinary,
);
const drainArbitrary = fc.record(
  {
    kind: fc.constantFrom("host" as const, "service" as const, "instance" as const),
    name: fc.string({ minLength: 1, maxLength: 20 }),
    reason: fc.string({ maxLength: 20 }),
    since: fc.constant("2026-01-01T00:00:00Z"),
  },
  ordinary,
);
const snapshotArbitrary: fc.Arbitrary<RegistrySnapshot> = fc
  .record({
    revision: fc.nat(),
    records: fc.array(recordArbitrary, { maxLength: 8 }),
    rejected: fc.array(rejectedArbitrary),
    drained: fc.array(drainArbitrary, { maxLength: 3 }),
    stale: fc.boolean(),
  })
  .map(({ records, drained, ...rest }) => ({ ...rest, instances: mapOf(records), policy: { drained } }));

function mapOf(records: readonly InstanceRecord[]): SortedMap<InstanceRecord> {
  return SortedMap.of(new Map(records.map((record) => [`${record.service}/${record.instance}`, record])));
}

/** As plain data, for comparison. */
function plain({ instances, ...rest }: RegistrySnapshot): unknown {
  return { ...rest, instances: [...instances] };
}

test("a snapshot survives the wire, unpaired surrogates and line separators included", () => {
  fc.assert(
    fc.property(snapshotArbitrary, (snapshot) => {
      const text = encodeSnapshot(snapshot);
      assert.deepEqual(plain(decodeSnapshot(JSON.parse(text))), plain(snapshot));
      assert.equal(encodeSnapshot(decodeSnapshotText(text)), text);
      assert.equal(text.split("\n").length, snapshot.instances.size === 0 ? 2 : snapshot.instances.size + 3);
    }),
  );
});

/** What a sender might list: good records, bad ones, things that are none, in any order and twice. */
const listedArbitrary = fc.oneof(
  { weight: 6, arbitrary: recordArbitrary },
  { weight: 1, arbitrary: recordArbitrary.map((record) => ({ ...record, state: "?" })) },
  { weight: 1, arbitrary: fc.constantFrom(null, 5, "instances", {}, { service: "chat" }) },
);

test("the text of a snapshot says what its value says, whatever is known, and keeps what stayed the same", () => {
  fc.assert(
    fc.property(
      snapshotArbitrary,
      fc.array(listedArbitrary, { maxLength: 12 }),
      fc.boolean(),
      fc.constantFrom("", "\n", " x", ",\n{}"),
      (snapshot, strangers, isSorted, tail) => {
        const known = decodeSnapshot(JSON.parse(encodeSnapshot(snapshot))).instances;
        const listed: unknown[] = [...known.values()].filter((_, at) => at % 3 !== 1).concat(strangers as never);
        const nameOf = (item: unknown) => String((item as { instance?: unknown } | null)?.instance);
        if (isSorted) listed.sort((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
        const lines = listed.map((item) => JSON.stringify(item)).join(",\n");
        const head = JSON.stringify({ version: 1, revision: 7, policy: snapshot.policy });
        const text = `${head.slice(0, -1)},\n"instances":[\n${lines}\n]}${tail}`;
        const read = (run: (decoder: SnapshotDecoder) => RegistrySnapshot) => {
          try {
            return run(new SnapshotDecoder(known));
          } catch (error) {
            return error instanceof SyntaxError ? "no JSON" : String(error);
          }
        };
        const ofValue = read((decoder) => decoder.snapshot(JSON.parse(text)));
        const ofText = read((decoder) => decoder.snapshotText(text));
        if (typeof ofValue === "string" || typeof ofText === "string") return assert.equal(ofText, ofValue);
        assert.deepEqual(plain(ofText), plain(ofValue));
        for (const [key, record] of ofText.instances) {
          if (known.get(key) === ofValue.instances.get(key)) assert.equal(record, known.get(key));
        }
      },
    ),
    { numRuns: 400 },
  );
});

test("another layout of the same JSON is read as well", () => {
  const records = ["a", "b"].map((instance) => makeRecord({ service: "chat", instance }));
  const snapshot = { ...emptySnapshot, revision: 3, instances: mapOf(records) };
  const value = JSON.parse(encodeSnapshot(snapshot));
  const nested = { ...value, later: { deep: 1, instances: [] } };
  const mark = ',\n"instances":[\n';
  const layouts = [
    JSON.stringify(value, null, 2),
    JSON.stringify(nested).replace(',"instances":[]', `${mark}]`),
    encodeSnapshot(snapshot).replace(/\]\}$/, '], "later": 1}'),
    encodeSnapshot(snapshot).replace('"metadata":', '\n"metadata":'),
  ];
  for (const text of layouts) assert.deepEqual(plain(decodeSnapshotText(text)), plain(snapshot), text);
  assert.throws(() => decodeSnapshotText(encodeSnapshot(snapshot).slice(0, -3)), SyntaxError);
});

test("a chain of changes ends where whole snapshots end, and keeps what did not change", () => {
  fc.assert(
    fc.property(fc.array(snapshotArbitrary, { minLength: 2, maxLength: 6 }), (chain) => {
      const decoder = new SnapshotDecoder();
      let before: RegistrySnapshot | undefined;
      let shown: RegistrySnapshot | undefined;
      for (const snapshot of chain) {
        const text = before === undefined ? encodeSnapshot(snapshot) : encodeChange(before, snapshot);
        const next = before === undefined ? decoder.snapshot(JSON.parse(text)) : decoder.change(JSON.parse(text));
        assert.deepEqual(plain(next), plain(snapshot));
        for (const [key, record] of next.instances) {
          const earlier = shown?.instances.get(key);
          if (JSON.stringify(earlier) === JSON.stringify(record)) assert.equal(record, earlier);
        }
        [before, shown] = [snapshot, next];
      }
    }),
  );
});

test("an unchanged registry is an empty change, and one record among many is a change of one", () => {
  const records = Array.from({ length: 100 }, (_, at) => makeRecord({ service: "chat", instance: `i${at}` }));
  const from = { ...emptySnapshot, revision: 1, instances: mapOf(records) };
  assert.deepEqual(JSON.parse(encodeChange(from, { ...from, revision: 2 })), {
    version: 1,
    revision: 2,
    stale: false,
    rejected: [],
    since: 1,
    removed: [],
    changed: [],
  });
  const other = makeRecord({ service: "chat", instance: "i50", state: "failed" });
  const to = { ...from, revision: 2, instances: from.instances.with(new Map([["chat/i50", other]])) };
  const change = JSON.parse(encodeChange(from, to));
  assert.deepEqual([change.changed.length, change.removed.length], [1, 0]);
});
// proves: registry.bad-record

test("one bad record of 1,000 leaves 999, and is listed with its reason", () => {
  const records = Array.from({ length: 1_000 }, (_, at) => makeRecord({ service: "chat", instance: `i${at}` }));
  const value = JSON.parse(encodeSnapshot({ ...emptySnapshot, instances: mapOf(records) }));
  value.instances[500].base_url = "nowhere";
  const { instances, rejected } = decodeSnapshot(value);
  assert.equal(instances.size, 999);
  assert.equal(rejected.length, 1);
  assert.equal(rejected[0]?.key, `chat/${value.instances[500].instance}`);
  assert.match(rejected[0]?.reason ?? "", /^base_url: /);
});

test("a whole snapshot that comes again keeps the records that stayed the same", () => {
  const records = ["a", "b"].map((instance) => makeRecord({ service: "chat", instance }));
  const text = encodeSnapshot({ ...emptySnapshot, instances: mapOf(records) });
  const decoder = new SnapshotDecoder();
  const first = decoder.snapshot(JSON.parse(text));
  const again = decoder.snapshot(JSON.parse(text.replace('"state":"ready"', '"state":"failed"')));
  assert.notEqual(again.instances.get("chat/a"), first.instances.get("chat/a"));
  assert.equal(again.instances.get("chat/b"), first.instances.get("chat/b"));
});

test("what this side refuses stays listed until its owner changes or removes it", () => {
  const [a, b] = ["a", "b"].map((instance) => makeRecord({ service: "chat", instance }));
  const decoder = new SnapshotDecoder();
  const head = { version: 1, rejected: [{ key: "x", reason: "the sender's own" }] };
  const first = decoder.snapshot({ ...head, revision: 1, policy: {}, instances: [a, { ...b, state: "?" }] });
  assert.deepEqual(
    first.rejected.map(({ key }) => key),
    ["x", "chat/b"],
  );
  const second = decoder.change({ ...head, since: 1, revision: 2, changed: [{ ...a, state: "?" }], removed: [] });
  assert.equal(second.instances.size, 0, "the record that it replaces is not true any more");
  assert.deepEqual(
    second.rejected.map(({ key }) => key),
    ["x", "chat/b", "chat/a"],
  );
  const third = decoder.change({ ...head, since: 2, revision: 3, changed: [b], removed: ["chat/a"] });
  assert.deepEqual(
    third.rejected.map(({ key }) => key),
    ["x"],
  );
  assert.deepEqual([...third.instances.keys()], ["chat/b"]);
});

test("a record that is listed twice counts once; bad drains are listed and the others hold", () => {
  const [a, b] = ["a", "a"].map((instance, at) => makeRecord({ service: "chat", instance, base_url: `http://h${at}` }));
  const drain = { kind: "host", name: "h", since: "2026-01-01T00:00:00Z" };
  const policy = { drained: [{ ...drain, kind: "rack" }, drain] };
  const { instances, rejected, policy: read } = decodeSnapshot({ version: 1, revision: 1, policy, instances: [a, b] });
  assert.equal(instances.get("chat/a")?.base_url, "http://h0");
  assert.deepEqual(
    rejected.map(({ key }) => key),
    ["chat/a", "policy.drained[0]"],
  );
  assert.deepEqual(read.drained, [{ ...drain, reason: "" }]);
});

test("what is no snapshot as a whole is an error", () => {
  for (const value of [
    null,
    5,
    [],
    {},
    { version: 2, revision: 1, instances: [] },
    { version: 1, revision: 1, instances: {} },
  ]) {
    assert.throws(() => decodeSnapshot(value), /not a registry snapshot/);
  }
  const decoder = new SnapshotDecoder();
  const change = { version: 1, since: 1, revision: 2, rejected: [], changed: [], removed: [] };
  assert.throws(() => decoder.change(change), /does not fit/);
  decoder.snapshot({ version: 1, revision: 5, policy: {}, instances: [] });
  assert.throws(() => decoder.change(change), /since revision 1 does not fit revision 5/);
});
