import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../src/base/logger.ts";
import { createEmbeddedRegistry, type EmbeddedRegistryOptions } from "../../src/registry/embedded-registry.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import {
  hasCode,
  limit,
  nextTurn,
  record,
  registryContract,
  snapshotWhen,
  temporaryDirectory,
  viewContract,
} from "./registry-contract.ts";

const ttl = 10_000;

function open(context: TestContext, options: Partial<EmbeddedRegistryOptions> & { clock?: FakeClock } = {}) {
  const clock = options.clock ?? new FakeClock();
  const registry = createEmbeddedRegistry({ log: silentLogger, ...options, clock });
  context.after(() => registry.close());
  return { registry, holder: registry, clock };
}

// proves: registry.lease, registry.watch, registry.bad-record, registry.one-contract
registryContract("embedded registry", async (context) => open(context));
registryContract("embedded registry with a snapshot on disk", async (context) =>
  open(context, { snapshotPath: join(temporaryDirectory(), "registry.json") }),
);
viewContract("embedded registry", async (context) => {
  const { registry } = open(context);
  const leases = new Map<string, string>();
  return {
    view: registry,
    async write(records) {
      const wanted = new Set(records.map((one) => (one as { instance: string }).instance));
      for (const [instance, id] of leases) if (!wanted.has(instance)) await registry.deregister(id);
      for (const one of records) {
        await registry.register(one as Parameters<typeof registry.register>[0], ttl).then(
          (lease) => leases.set((one as { instance: string }).instance, lease.id),
          () => {},
        );
      }
    },
  };
});

test("embedded registry: holds no more instances, and no more text, than it was told", limit, async (context) => {
  const { registry } = open(context, { instancesMax: 2 });
  await registry.register(record("a"), ttl);
  const lease = await registry.register(record("b"), ttl);
  await assert.rejects(registry.register(record("c"), ttl), hasCode("conflict"));
  await registry.register(record("a", { state: "draining" }), ttl);
  await registry.deregister(lease.id);
  await registry.register(record("c"), ttl);
  const small = open(context, { charactersMax: 5_000 }).registry;
  const wide = record("wide", { labels: { note: "x".repeat(256) } });
  const size = JSON.stringify(wide).length;
  const fits = Math.floor(5_000 / size);
  for (let at = 0; at < fits; at++) await small.register({ ...wide, ...named(`w${at}`) }, ttl);
  await assert.rejects(small.register({ ...wide, ...named("one-more") }, ttl), hasCode("conflict"));
  assert.equal(small.current().instances.size, fits);
});

test("embedded registry: lists the last hundred refused records and no more", limit, async (context) => {
  const { registry } = open(context);
  for (let at = 0; at < 150; at++) {
    await assert.rejects(registry.register({ ...record(`i${at}`), state: "?" } as never, ttl));
  }
  const { rejected } = registry.current();
  assert.equal(rejected.length, 100);
  assert.equal(rejected.at(-1)?.key, "chat/i149");
});

test("embedded registry: is closed when it is closed", limit, async (context) => {
  const { registry } = open(context);
  await registry.close();
  await registry.close();
  await assert.rejects(registry.register(record("a"), ttl), hasCode("draining"));
});
/** The parts of a record that carry its name. */
function named(instance: string) {
  const { metadata, metadata_digest } = record(instance);
  return { instance, metadata, metadata_digest };
}

function paths() {
  const directory = temporaryDirectory();
  return { directory, snapshotPath: join(directory, "registry.json") };
}

// proves: registry.drain
test("embedded registry: records, lease ids and drains come back, with one fresh term each", limit, async (context) => {
  const { snapshotPath } = paths();
  const first = open(context, { snapshotPath });
  const lease = await first.registry.register(record("a"), ttl);
  await first.registry.register(record("b"), ttl);
  await first.registry.drain({ kind: "service", name: "chat" }, "update");
  await first.clock.tick(ttl - 1);
  const before = first.registry.current();
  await first.registry.close();

  const { registry, clock } = open(context, { snapshotPath, clock: new FakeClock(0) });
  const restored = registry.current();
  assert.ok(restored.revision > before.revision, "even with a clock that was set back");
  assert.deepEqual([...restored.instances], [...before.instances]);
  assert.deepEqual(restored.policy, before.policy);
  await clock.tick(ttl - 1);
  await registry.renew(lease.id);
  await clock.tick(1);
  assert.deepEqual([...registry.current().instances.keys()], ["chat/a"]);
});

test("embedded registry: a drain is on disk before it returns, and the rest soon after", limit, async (context) => {
  const { snapshotPath } = paths();
  const { registry, clock } = open(context, { snapshotPath });
  await registry.drain({ kind: "host", name: "h" }, "");
  assert.match(readFileSync(snapshotPath, "utf8"), /"name":"h"/);
  await registry.register(record("a"), ttl);
  assert.doesNotMatch(readFileSync(snapshotPath, "utf8"), /"instance":"a"/);
  await clock.tick(250);
  // The process dies here: nobody closes the registry.
  const again = open(context, { snapshotPath: await fileWhen(snapshotPath, /"instance":"a"/) });
  assert.deepEqual([...again.registry.current().instances.keys()], ["chat/a"]);
  assert.equal(again.registry.current().policy.drained.length, 1);
});

// proves: registry.snapshot
test("embedded registry: a write that was cut leaves the state before it, and no litter", limit, async (context) => {
  const { directory, snapshotPath } = paths();
  const first = open(context, { snapshotPath });
  await first.registry.register(record("a"), ttl);
  await first.registry.close();
  writeFileSync(`${snapshotPath}.4711.tmp`, readFileSync(snapshotPath, "utf8").slice(0, 100));
  const { registry } = open(context, { snapshotPath });
  assert.deepEqual([...registry.current().instances.keys()], ["chat/a"]);
  assert.deepEqual(readdirSync(directory), ["registry.json"]);
});

for (const [what, spoil] of [
  ["truncated", (text: string) => text.slice(0, text.length / 2)],
  ["empty", () => ""],
  ["of another kind", () => '{"some":"file"}'],
  ["no JSON", () => "\u0000\u0001"],
  ["of a later version", (text: string) => text.replace('"version":1', '"version":2')],
] as const) {
  test(`embedded registry: a snapshot that is ${what} is put aside and harms nothing`, limit, async (context) => {
    const { directory, snapshotPath } = paths();
    const first = open(context, { snapshotPath });
    await first.registry.register(record("a"), ttl);
    await first.registry.close();
    const spoilt = spoil(readFileSync(snapshotPath, "utf8"));
    writeFileSync(snapshotPath, spoilt);
    await first.clock.tick(1_000);
    const { registry } = open(context, { snapshotPath, clock: first.clock });
    assert.equal(registry.current().instances.size, 0);
    assert.ok(registry.current().revision > first.registry.current().revision, "time itself keeps revisions growing");
    const [aside] = readdirSync(directory);
    assert.match(aside ?? "", /^registry\.json\.corrupt-2026-01-01T00-00-01-000Z$/);
    assert.equal(readFileSync(join(directory, aside ?? ""), "utf8"), spoilt);
    await registry.register(record("b"), ttl);
    await registry.close();
    assert.match(readFileSync(snapshotPath, "utf8"), /"instance":"b"/);
  });
}

test(
  "embedded registry: one bad record in the snapshot is listed for a term; the others live",
  limit,
  async (context) => {
    const { snapshotPath } = paths();
    const first = open(context, { snapshotPath });
    for (const instance of ["a", "b", "c"]) await first.registry.register(record(instance), ttl);
    await first.registry.close();
    const text = readFileSync(snapshotPath, "utf8");
    writeFileSync(snapshotPath, text.replace(/("instance":"b".*?"state":)"ready"/, '$1"asleep"'));
    const { registry, clock } = open(context, { snapshotPath });
    assert.deepEqual([...registry.current().instances.keys()], ["chat/a", "chat/c"]);
    assert.equal(registry.current().rejected[0]?.key, "chat/b");
    await clock.tick(ttl);
    await snapshotWhen(registry, ({ rejected }) => rejected.length === 0);
  },
);

test(
  "embedded registry: a disk that takes nothing leaves it working in memory, says so, and is tried again",
  limit,
  async (context) => {
    const directory = temporaryDirectory();
    const snapshotPath = join(directory, "registry.json");
    mkdirSync(snapshotPath);
    const { registry, clock } = open(context, { snapshotPath });
    const aside = readdirSync(directory).find((name) => name.includes("corrupt"));
    assert.ok(aside !== undefined, "the directory in its place is put aside like any file");
    mkdirSync(snapshotPath);
    await registry.register(record("a"), ttl * 10);
    await registry.drain({ kind: "host", name: "h" }, "");
    assert.match(registry.problem() ?? "", /registry\.json cannot be written/);
    assert.equal(registry.current().instances.size, 1);
    rmdirSync(snapshotPath);
    await clock.tick(5_000);
    await fileWhen(snapshotPath, /"instance":"a"/);
    await until(() => registry.problem() === undefined);
  },
);
/** Waits for real file writes, which no clock of ours turns. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await nextTurn();
}

async function fileWhen(path: string, content: RegExp): Promise<string> {
  await until(() => existsSync(path) && content.test(readFileSync(path, "utf8")));
  return path;
}
