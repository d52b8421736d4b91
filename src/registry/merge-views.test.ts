import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { makeRecord, makeSnapshot } from "../../test/support/records.ts";
import { mergeViews } from "./merge-views.ts";
import type { RegistrySnapshot, RegistryView } from "./registry.ts";

/** A view whose snapshot a test sets by hand. */
function handView(snapshot = makeSnapshot([])) {
  let now = snapshot;
  const listeners = new Set<(snapshot: RegistrySnapshot) => void>();
  const view: RegistryView = {
    current: () => now,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const set = (next: RegistrySnapshot, isTold = true): void => {
    now = next;
    if (isTold) for (const listener of listeners) listener(next);
  };
  return { view, set, listeners };
}

const record = (instance: string, base_url = "http://h") => makeRecord({ service: "chat", instance, base_url });

test("the earlier view wins, whichever is the largest, and the order is that of the keys", () => {
  const name = fc.constantFrom("a", "b", "c", "d", "e");
  fc.assert(
    fc.property(fc.array(fc.uniqueArray(name), { maxLength: 4 }), (parts) => {
      const snapshots = parts.map((names, at) => makeSnapshot(names.sort().map((one) => record(one, `http://h${at}`))));
      const { instances } = mergeViews(snapshots.map((snapshot) => handView(snapshot).view)).current();
      const expected = new Map<string, string>();
      for (const [at, names] of parts.entries()) {
        for (const one of names) if (!expected.has(`chat/${one}`)) expected.set(`chat/${one}`, `http://h${at}`);
      }
      assert.deepEqual(
        [...instances].map(([key, { base_url }]) => [key, base_url]),
        [...expected].sort(),
      );
    }),
  );
});

test("drains, refusals and staleness of all views hold; revisions grow with each", () => {
  const drain = { kind: "host" as const, name: "h", reason: "", since: "2026-01-01T00:00:00Z" };
  const left = handView(makeSnapshot([], { policy: { drained: [drain] }, rejected: [{ key: "x", reason: "bad" }] }));
  const right = handView();
  const merged = mergeViews([left.view, right.view]);
  const before = merged.current();
  assert.deepEqual(before.policy.drained, [drain]);
  assert.equal(before.stale, false);
  right.set(makeSnapshot([], { revision: 2, stale: true, policy: { drained: [{ ...drain, name: "g" }] } }));
  const after = merged.current();
  assert.ok(after.revision > before.revision);
  assert.equal(after.stale, true);
  assert.deepEqual(
    after.policy.drained.map(({ name }) => name),
    ["h", "g"],
  );
  assert.equal(after.rejected.length, 1);
});

test("costs nothing while nothing changes, and tells each change once", () => {
  const views = [handView(), handView()] as const;
  const merged = mergeViews(views.map(({ view }) => view));
  assert.equal(merged.current(), merged.current());
  const told: RegistrySnapshot[] = [];
  const stop = merged.onChange((snapshot) => told.push(snapshot));
  views[0].set(makeSnapshot([record("a")], { revision: 2 }), false);
  views[1].set(makeSnapshot([record("b")], { revision: 2 }));
  views[0].set(views[0].view.current());
  assert.deepEqual(
    told.map(({ instances }) => instances.size),
    [2],
    "two that change together are one change",
  );
  stop();
  assert.deepEqual(
    views.map(({ listeners }) => listeners.size),
    [0, 0],
  );
});
