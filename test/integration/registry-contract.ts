import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { NexusError } from "../../src/base/errors.ts";
import type { InstanceRecord } from "../../src/contract/instance-record.ts";
import type { Registry, RegistrySnapshot, RegistryView } from "../../src/registry/registry.ts";
import type { FakeClock } from "../fakes/fake-clock.ts";
import { makeRecord } from "../support/records.ts";

/** A registry as the suite wants it: empty, reachable, and with a clock that the suite turns. */
export interface RegistryUnderTest {
  readonly registry: Registry;
  /** The registry that holds the leases, when `registry` only speaks for it; else `registry` itself. */
  readonly holder: Registry;
  /** Decides when leases run out. */
  readonly clock: FakeClock;
}

/** A view that should come to show these records, in this order, and nothing else. */
export interface ViewUnderTest {
  readonly view: RegistryView;
  /** Makes the view's source hold exactly this; entries may be broken. */
  write(records: readonly unknown[]): Promise<void>;
}

/** A test fails rather than hangs. */
export const limit = { timeout: 60_000 };
const ttl = 10_000;

/** Resolves with the first snapshot, this one or a later one, that `is` likes. The test's own time limit ends it. */
export function snapshotWhen(
  view: RegistryView,
  is: (snapshot: RegistrySnapshot) => boolean,
): Promise<RegistrySnapshot> {
  const { promise, resolve } = Promise.withResolvers<RegistrySnapshot>();
  const look = (snapshot: RegistrySnapshot): void => {
    if (is(snapshot)) resolve(snapshot);
  };
  const stop = view.onChange(look);
  look(view.current());
  return promise.finally(stop);
}

const directories: string[] = [];
// At the very end: what a test opened in its directory is closed by hooks that may run later than ours.
process.once("exit", () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** A directory that is gone after the tests of this process. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "nexus-registry-"));
  directories.push(directory);
  return directory;
}

/** Lets what waits for the next turn of the event loop happen. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** `assert.rejects` for a code of the table. */
export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof NexusError && error.code === code;
}

export const record = (instance: string, rest: Partial<InstanceRecord> = {}): InstanceRecord =>
  makeRecord({ service: "chat", instance, ...rest });

const keys = (snapshot: RegistrySnapshot): string[] => [...snapshot.instances.keys()];
const hasKeys =
  (...wanted: string[]) =>
  (snapshot: RegistrySnapshot): boolean =>
    keys(snapshot).join() === wanted.join();

type OpenRegistry = (context: TestContext) => Promise<RegistryUnderTest>;

/** What every `Registry` promises. `open` also closes what it opened, through `context.after`. */
export function registryContract(name: string, open: OpenRegistry): void {
  testLeases(name, open);
  testTakeover(name, open);
  testRecords(name, open);
  testSnapshots(name, open);
  testPolicy(name, open);
  testWatching(name, open);
  testSize(name, open);
}

function testLeases(name: string, open: OpenRegistry): void {
  test(`${name}: a registered record is there until its lease runs out`, limit, async (context) => {
    const { registry, clock } = await open(context);
    const lease = await registry.register(record("a"), ttl);
    assert.equal(lease.ttlMs, ttl);
    const shown = await snapshotWhen(registry, hasKeys("chat/a"));
    assert.deepEqual(shown.instances.get("chat/a"), record("a"));
    await clock.tick(ttl - 1);
    assert.deepEqual(keys(registry.current()), ["chat/a"]);
    await clock.tick(1);
    await snapshotWhen(registry, hasKeys());
    await assert.rejects(registry.renew(lease.id), hasCode("lease_expired"));
  });

  test(`${name}: renewals keep it, and change nothing that a watcher would see`, limit, async (context) => {
    const { registry, holder, clock } = await open(context);
    const lease = await registry.register(record("a"), ttl);
    const { revision } = await snapshotWhen(registry, hasKeys("chat/a"));
    for (let third = 0; third < 9; third++) {
      await clock.tick(ttl / 3);
      await registry.renew(lease.id);
    }
    await registry.renew(lease.id, record("a"));
    await registry.register(record("a"), ttl);
    await nextTurn();
    assert.equal(holder.current().revision, revision);
    assert.equal(registry.current().revision, revision);
  });

  test(`${name}: a renewal with a record replaces it, and only its own`, limit, async (context) => {
    const { registry } = await open(context);
    const lease = await registry.register(record("a"), ttl);
    await registry.renew(lease.id, record("a", { state: "draining" }));
    await snapshotWhen(registry, (snapshot) => snapshot.instances.get("chat/a")?.state === "draining");
    await assert.rejects(registry.renew(lease.id, record("b")), hasCode("record_invalid"));
    assert.deepEqual(keys(registry.current()), ["chat/a"]);
  });
}

function testTakeover(name: string, open: OpenRegistry): void {
  test(`${name}: registering a key again takes it over from its ghost`, limit, async (context) => {
    const { registry } = await open(context);
    const ghost = await registry.register(record("a"), ttl);
    const lease = await registry.register(record("a", { base_url: "http://127.0.0.1:2" }), ttl);
    assert.notEqual(lease.id, ghost.id);
    await assert.rejects(registry.renew(ghost.id), hasCode("lease_expired"));
    await registry.deregister(ghost.id);
    await registry.renew(lease.id);
    await snapshotWhen(registry, (now) => now.instances.get("chat/a")?.base_url === "http://127.0.0.1:2");
  });

  test(`${name}: deregistering takes it away at once; unknown leases are no error`, limit, async (context) => {
    const { registry } = await open(context);
    const lease = await registry.register(record("a"), ttl);
    await registry.register(record("b"), ttl);
    await registry.deregister(lease.id);
    await registry.deregister(lease.id);
    await registry.deregister("no-such-lease");
    await snapshotWhen(registry, hasKeys("chat/b"));
  });

  test(`${name}: a term that is no sensible number is refused`, limit, async (context) => {
    const { registry } = await open(context);
    for (const wrong of [0, -1, 1.5, 999, 3_600_001]) {
      await assert.rejects(registry.register(record("a"), wrong), hasCode("invalid_request"), String(wrong));
    }
  });
}

function testRecords(name: string, open: OpenRegistry): void {
  test(`${name}: a bad record is refused by name, listed, and harms no other`, limit, async (context) => {
    const { registry, clock } = await open(context);
    await registry.register(record("good"), ttl);
    const bad = { ...record("bad"), state: "sleeping" } as unknown as InstanceRecord;
    await assert.rejects(registry.register(bad, ttl), (error) => {
      assert.ok(hasCode("record_invalid")(error));
      assert.match((error as Error).message, /chat\/bad.*state/);
      return true;
    });
    const listed = await snapshotWhen(registry, ({ rejected }) => rejected.length === 1);
    assert.deepEqual(keys(listed), ["chat/good"]);
    assert.equal(listed.rejected[0]?.key, "chat/bad");
    assert.match(listed.rejected[0]?.reason ?? "", /^state: /);
    await registry.register(record("bad"), ttl);
    await snapshotWhen(registry, (now) => now.rejected.length === 0 && now.instances.has("chat/bad"));
    await assert.rejects(registry.register({ ...bad, instance: "other" } as InstanceRecord, ttl));
    await snapshotWhen(registry, ({ rejected }) => rejected.length === 1);
    await clock.tick(ttl);
    await snapshotWhen(registry, ({ rejected }) => rejected.length === 0);
  });
}

function testSnapshots(name: string, open: OpenRegistry): void {
  test(`${name}: instances stand in the order of their keys`, limit, async (context) => {
    const { registry } = await open(context);
    for (const instance of ["c", "a-b", "b", "a", "a.b"]) await registry.register(record(instance), ttl);
    await snapshotWhen(registry, hasKeys("chat/a", "chat/a-b", "chat/a.b", "chat/b", "chat/c"));
  });

  test(`${name}: a snapshot never changes, whatever happens later`, limit, async (context) => {
    const { registry } = await open(context);
    const lease = await registry.register(record("a"), ttl);
    const before = await snapshotWhen(registry, hasKeys("chat/a"));
    await registry.register(record("b"), ttl);
    await registry.deregister(lease.id);
    await registry.drain({ kind: "host", name: "host-1" }, "repair");
    const after = await snapshotWhen(registry, (now) => hasKeys("chat/b")(now) && now.policy.drained.length === 1);
    assert.deepEqual(keys(before), ["chat/a"]);
    assert.deepEqual(before.policy.drained, []);
    assert.ok(after.revision > before.revision);
    const held = before.instances.get("chat/a");
    assert.throws(() => Object.assign(held ?? {}, { state: "failed" }), TypeError);
    assert.throws(() => held?.metadata.models.push(), TypeError);
    assert.throws(() => Object.assign(before, { revision: 0 }), TypeError);
  });
}

function testPolicy(name: string, open: OpenRegistry): void {
  test(`${name}: drains outlive every lease and are undone by name`, limit, async (context) => {
    const { registry, clock } = await open(context);
    await registry.register(record("a"), ttl);
    await registry.drain({ kind: "instance", name: "chat/a" }, "replace the fan");
    await registry.drain({ kind: "host", name: "host-1" }, "");
    await registry.drain({ kind: "instance", name: "chat/a" }, "replace both fans");
    await clock.tick(ttl);
    const drained = await snapshotWhen(registry, (now) => now.policy.drained.length === 2 && hasKeys()(now));
    const instance = drained.policy.drained.find(({ kind }) => kind === "instance");
    assert.equal(instance?.reason, "replace both fans");
    assert.equal(instance?.since, "2026-01-01T00:00:00.000Z");
    await registry.undrain({ kind: "instance", name: "chat/a" });
    await registry.undrain({ kind: "service", name: "nobody" });
    const left = await snapshotWhen(registry, (now) => now.policy.drained.length === 1);
    assert.equal(left.policy.drained[0]?.name, "host-1");
  });

  test(`${name}: a drain that makes no sense is refused`, limit, async (context) => {
    const { registry } = await open(context);
    await assert.rejects(registry.drain({ kind: "host", name: "" }, ""), hasCode("invalid_request"));
    await assert.rejects(registry.drain({ kind: "host", name: "h" }, "x".repeat(513)), hasCode("invalid_request"));
  });
}

function testWatching(name: string, open: OpenRegistry): void {
  test(`${name}: listeners are told later, together, and in order`, limit, async (context) => {
    const { registry, holder } = await open(context);
    await registry.register(record("first"), ttl);
    await snapshotWhen(registry, hasKeys("chat/first"));
    const told: RegistrySnapshot[] = [];
    const toldByOther: RegistrySnapshot[] = [];
    let toldInVain = 0;
    const stopMute = registry.onChange(() => toldInVain++);
    registry.onChange(() => {
      throw new Error("this listener is broken");
    });
    registry.onChange((snapshot) => told.push(snapshot));
    registry.onChange((snapshot) => toldByOther.push(snapshot));
    stopMute();
    const leases = ["x", "y", "z"].map((instance) => holder.register(record(instance), ttl));
    assert.equal(told.length, 0, "not synchronously");
    await Promise.all(leases);
    const last = await snapshotWhen(registry, (now) => now.instances.size === 4);
    await nextTurn();
    assert.deepEqual(told.at(-1), last);
    assert.equal(told.length, 1, "three changes in one turn are one");
    assert.deepEqual(toldByOther, told);
    assert.equal(toldInVain, 0);
  });

  test(`${name}: a listener that another one unsubscribes in passing is not told any more`, limit, async (context) => {
    const { registry, holder } = await open(context);
    await snapshotWhen(registry, (now) => !now.stale);
    let stop = (): void => {};
    const told = new Promise<void>((resolve) => {
      registry.onChange(() => {
        stop();
        resolve();
      });
    });
    let toldInVain = 0;
    stop = registry.onChange(() => toldInVain++);
    await holder.register(record("a"), ttl);
    await told;
    await nextTurn();
    assert.equal(toldInVain, 0);
  });
}

/** Seconds of work, which a busy machine makes minutes of. */
const sizeLimit = { timeout: 180_000 };

function testSize(name: string, open: OpenRegistry): void {
  const promise = "10,000 registrations reach a watcher in a few steps, and one more leaves the others untouched";
  test(`${name}: ${promise}`, sizeLimit, async (context) => {
    const { registry, holder } = await open(context);
    await snapshotWhen(registry, (now) => !now.stale);
    const revisions: number[] = [];
    registry.onChange(({ revision }) => revisions.push(revision));
    const all = Array.from({ length: 10_000 }, (_, at) => record(`i${String(at).padStart(5, "0")}`));
    for (let from = 0; from < all.length; from += 1_000) {
      await Promise.all(all.slice(from, from + 1_000).map((one) => holder.register(one, ttl)));
      await nextTurn();
    }
    const before = await snapshotWhen(registry, (now) => now.instances.size === 10_000);
    assert.ok(revisions.length <= 20, `${revisions.length} notifications`);
    assert.deepEqual(
      revisions,
      [...new Set(revisions)].sort((a, b) => a - b),
      "revisions grow",
    );
    await registry.register(record("i05000", { state: "draining" }), ttl);
    const after = await snapshotWhen(registry, (now) => now.instances.get("chat/i05000")?.state === "draining");
    const touched = [...after.instances].filter(([key, one]) => before.instances.get(key) !== one);
    assert.deepEqual(
      touched.map(([key]) => key),
      ["chat/i05000"],
    );
  });
}

/** What every view promises of what its source holds, read-only ones too. */
export function viewContract(name: string, open: (context: TestContext) => Promise<ViewUnderTest>): void {
  test(`${name}: shows what is there, in order, and follows changes`, limit, async (context) => {
    const { view, write } = await open(context);
    await write([record("b"), record("a")]);
    const before = await snapshotWhen(view, hasKeys("chat/a", "chat/b"));
    await write([record("c"), record("a")]);
    const after = await snapshotWhen(view, hasKeys("chat/a", "chat/c"));
    assert.ok(after.revision > before.revision);
    assert.equal(after.stale, false);
    assert.equal(after.instances.get("chat/a"), before.instances.get("chat/a"), "what stays is the same object");
    assert.deepEqual(keys(before), ["chat/a", "chat/b"]);
    assert.throws(() => Object.assign(after.instances.get("chat/a") ?? {}, { state: "failed" }), TypeError);
  });

  test(`${name}: lists what is bad with its reason and shows the rest`, limit, async (context) => {
    const { view, write } = await open(context);
    const records = Array.from({ length: 20 }, (_, at) => record(`i${at}`));
    await write(records.map((one, at) => (at === 7 ? { ...one, base_url: "ftp://host" } : one)));
    const snapshot = await snapshotWhen(view, (now) => now.instances.size > 0);
    assert.equal(snapshot.instances.size, 19);
    assert.deepEqual(
      snapshot.rejected.map(({ key }) => key),
      ["chat/i7"],
    );
    assert.match(snapshot.rejected[0]?.reason ?? "", /base_url/);
  });

  test(`${name}: tells listeners later, and a broken one harms no other`, limit, async (context) => {
    const { view, write } = await open(context);
    let told = 0;
    view.onChange(() => {
      throw new Error("this listener is broken");
    });
    const stop = view.onChange(() => told++);
    await write([record("a")]);
    await snapshotWhen(view, hasKeys("chat/a"));
    await nextTurn();
    assert.ok(told >= 1);
    stop();
    const before = told;
    await write([]);
    await snapshotWhen(view, hasKeys());
    assert.equal(told, before);
  });
}
