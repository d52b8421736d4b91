import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { NexusError } from "../base/errors.ts";
import { openKeyCache } from "./key-cache.ts";
import type { KeyCopy } from "./key-copy.ts";
import type { KeyRecord, TenantRecord } from "./key-record.ts";
import { hashKey } from "./key-secret.ts";
import type { KeySnapshot, KeySource } from "./key-snapshot-store.ts";

const at = "2026-01-01T00:00:00.000Z";
const tenant: TenantRecord = { id: "ten_1", name: "acme", limits: {}, created_at: at };

function keyOf(key: string, over: Partial<KeyRecord> = {}): KeyRecord {
  const secrets = [{ hash: hashKey(key), valid_until: null }];
  const rest = { role: "user", hint: "nxs_", is_weak: false, limits: {}, created_at: at } as const;
  return {
    id: `key_${key}`,
    name: key,
    tenant_id: "ten_1",
    secrets,
    expires_at: null,
    revoked_at: null,
    ...rest,
    ...over,
  };
}

/** A database by hand: what is in it, whether it answers, and how often it was asked. */
class HandSource implements KeySource {
  keys: KeyRecord[] = [];
  revision = 0;
  isAway = false;
  asked = 0;
  /** While set, looks wait for it. */
  gate: Promise<void> | undefined;

  async changes(since: number | undefined): Promise<KeySnapshot | undefined> {
    this.asked++;
    const { revision, keys } = { revision: this.revision, keys: [...this.keys] };
    await this.gate;
    if (this.isAway) throw new NexusError("database_unavailable", "away");
    return revision === since ? undefined : { revision, isWhole: true, keys, tenants: [tenant] };
  }

  add(key: KeyRecord): void {
    this.keys.push(key);
    this.revision++;
  }
}

async function open(t: TestContext, source: HandSource, copy?: KeyCopy) {
  const clock = new FakeClock();
  const problems: unknown[] = [];
  const opening = openKeyCache({ source, copy, clock, onProblem: (error) => problems.push(error) });
  const cache = await opening;
  t.after(() => cache.close());
  return { cache, clock, problems };
}

const unavailable = (error: unknown) => error instanceof NexusError && error.code === "database_unavailable";

test("a key that is known is found at once, without asking", async (t) => {
  const source = new HandSource();
  source.add(keyOf("a"));
  const { cache } = await open(t, source);
  const { asked } = source;
  assert.ok(!(cache.find("a") instanceof Promise));
  assert.equal(source.asked, asked);
});

test("a flood of wrong keys costs two looks, and a key that comes meanwhile is found", async (t) => {
  const source = new HandSource();
  const { cache } = await open(t, source);
  const { asked } = source;
  const gate = Promise.withResolvers<void>();
  source.gate = gate.promise;
  const before = Array.from({ length: 500 }, (_, index) => cache.find(`wrong ${index}`));
  source.add(keyOf("new"));
  // The look that is under way has read before the key was there.
  const found = cache.find("new");
  const more = Array.from({ length: 500 }, (_, index) => cache.find(`wrong ${index}`));
  gate.resolve();
  assert.ok(await found);
  for (const one of await Promise.all([...before, ...more])) assert.equal(one, undefined);
  assert.equal(source.asked - asked, 2);
});

// proves: keys.revoked-at-once
test("expiry and the end of an overlap need no look", async (t) => {
  const source = new HandSource();
  source.add(keyOf("a", { expires_at: "2026-01-01T00:00:10.000Z" }));
  const secrets = [{ hash: hashKey("b"), valid_until: "2026-01-01T00:00:10.000Z" }];
  source.add(keyOf("b", { secrets }));
  const { cache, clock } = await open(t, source);
  await clock.tick(9_999);
  assert.ok(cache.find("a"));
  assert.ok(cache.find("b"));
  source.isAway = true;
  await clock.tick(1);
  assert.equal(await cache.find("a"), undefined);
  assert.equal(await cache.find("b"), undefined);
});

// proves: keys.outage
test("while the database is away known keys work, unknown ones are not called wrong, and it is told of once", async (t) => {
  const source = new HandSource();
  source.add(keyOf("a"));
  source.add(keyOf("gone", { revoked_at: at }));
  const { cache, clock, problems } = await open(t, source);
  source.isAway = true;
  await clock.tick(60_000);
  assert.ok(cache.find("a"));
  assert.equal(cache.find("gone"), undefined, "it is known to be revoked");
  const { asked } = source;
  await assert.rejects(Promise.resolve(cache.find("other")), unavailable);
  assert.equal(source.asked, asked, "nobody waits for what is known to be away");
  assert.equal(problems.length, 1);
  source.isAway = false;
  await clock.tick(250);
  assert.equal(await cache.find("other"), undefined);
  source.isAway = true;
  await clock.tick(250);
  assert.equal(problems.length, 2);
});

// proves: keys.outage
test("a database that doesn't answer keeps a request with an unknown key for 1.5 s, and no other", async (t) => {
  const source = new HandSource();
  source.add(keyOf("a"));
  const { cache, clock } = await open(t, source);
  source.gate = new Promise(() => {});
  const waiting = Promise.resolve(cache.find("other"));
  const settled = waiting.then(
    () => "found",
    (error: unknown) => (unavailable(error) ? "unavailable" : "wrong"),
  );
  assert.ok(cache.find("a"));
  await clock.tick(1_499);
  assert.equal(await Promise.race([settled, Promise.resolve("waits")]), "waits");
  await clock.tick(1);
  assert.equal(await settled, "unavailable");
});

// proves: keys.outage
test("what is on disk serves until the database has answered, and then what the database says", async (t) => {
  const source = new HandSource();
  source.isAway = true;
  const written: KeySnapshot[] = [];
  const copy: KeyCopy = {
    read: async () => ({ revision: 9, isWhole: true, keys: [keyOf("old")], tenants: [tenant] }),
    write: async (snapshot) => void written.push(snapshot),
  };
  const { cache, clock } = await open(t, source, copy);
  assert.ok(cache.find("old"));
  source.isAway = false;
  source.add(keyOf("a"));
  await clock.tick(250);
  assert.equal(await cache.find("old"), undefined, "another database, or an older one");
  assert.ok(cache.find("a"));
  await clock.tick(1_000);
  assert.deepEqual(
    written.at(-1)?.keys.map(({ name }) => name),
    ["a"],
  );
});
