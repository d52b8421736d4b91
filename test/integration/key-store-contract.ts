import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { NexusError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import type { KeyCache } from "../../src/keys/key-cache.ts";
import type { UsageRow } from "../../src/keys/usage.ts";
import { openDatabase } from "../../src/store/open-database.ts";
import { openTestKeys, type TestKeys } from "../support/keys.ts";
import { leastOf } from "../support/least-of.ts";
import { waitFor } from "../support/wait-for.ts";

/** A fresh, empty database's address, for a directory that is the test's own. */
export type MakeDatabase = (directory: string) => Promise<string>;

const limit = { timeout: 60_000 };

export function makeTestDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "nexus-keys-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export const hasCode = (code: string) => (error: unknown) => error instanceof NexusError && error.code === code;

/** Whether the gateway's side takes a key, once it has decided. */
export async function works(cache: KeyCache, key: string): Promise<boolean> {
  return (await cache.find(key)) !== undefined;
}

/** What every database has to do for keys, tenants and usage. */
export function keyStoreContract(name: string, makeDatabase: MakeDatabase): void {
  const open = async (t: TestContext): Promise<TestKeys & { readonly url: string }> => {
    const directory = makeTestDirectory(t);
    const url = await makeDatabase(directory);
    const desk = await openTestKeys({ directory, url });
    t.after(() => desk.close());
    return { ...desk, url };
  };

  keyTests(name, open);
  endingTests(name, open);
  tenantTests(name, open);
  usageTests(name, open);
  countingTests(name, open);

  test(`${name}: processes that start together on an empty database set it up once`, limit, async (t) => {
    const url = await makeDatabase(makeTestDirectory(t));
    const databases = Array.from({ length: 6 }, () =>
      openDatabase({ url: async () => url, isDurable: false, log: silentLogger }),
    );
    t.after(() => Promise.all(databases.map((database) => database.close())));
    const tenants = await Promise.all(
      databases.map((database) => database.read((db) => db.selectFrom("tenants").select("name").execute())),
    );
    for (const rows of tenants)
      assert.deepEqual(
        rows.map(({ name }) => name),
        ["default"],
      );
  });

  test(`${name}: a database that a newer Nexus has changed is refused, and left as it is`, limit, async (t) => {
    const { database, url } = await open(t);
    await database.write((db) =>
      // A table of the runner's own, which rooms do not see.
      db
        .insertInto("nexus_migrations" as "changes")
        .values({ number: 999, name: "later" } as never)
        .execute(),
    );
    const older = openDatabase({ url: async () => url, isDurable: false, log: silentLogger });
    t.after(() => older.close());
    await assert.rejects(
      older.read((db) => db.selectFrom("tenants").select("name").execute()),
      hasCode("conflict"),
    );
  });
}

type Open = (t: TestContext) => Promise<TestKeys & { readonly url: string }>;

function keyTests(name: string, open: Open): void {
  test(
    `${name}: keys are made, found at once by a gateway, listed by their hash, and refuse what collides`,
    limit,
    async (t) => {
      const { keys, cache } = await open(t);
      assert.equal(await works(cache, "nxs_none"), false);
      for (let turn = 0; turn < 10; turn++) {
        const { key, record } = await keys.create({ name: `key ${turn}`, role: "admin" });
        assert.match(key, /^nxs_[A-Za-z0-9_-]{43}$/);
        assert.equal((await cache.find(key))?.record.id, record.id);
        assert.ok(!JSON.stringify(record).includes(key));
      }
      await keys.revoke("key 3");
      await keys.create({ name: "key 3", role: "user" });
      await assert.rejects(keys.create({ name: "key 3", role: "user" }), hasCode("conflict"));
      await assert.rejects(keys.revoke("nobody"), hasCode("not_found"));
      assert.equal((await keys.list()).length, 11);
    },
  );

  test(`${name}: no key is lost when many are made at once, and of one name only one is made`, limit, async (t) => {
    const { keys } = await open(t);
    await Promise.all(Array.from({ length: 25 }, (_, index) => keys.create({ name: `k${index}`, role: "user" })));
    assert.equal((await keys.list()).length, 25);
    const same = await Promise.allSettled(Array.from({ length: 8 }, () => keys.create({ name: "same", role: "user" })));
    assert.equal(same.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test(`${name}: a key that clients have already is taken once, if it can be one`, limit, async (t) => {
    const { keys, cache } = await open(t);
    const { record } = await keys.create({ name: "old", role: "user", key: "sk-1234-local" });
    assert.equal(record.is_weak, true);
    assert.ok(await works(cache, "sk-1234-local"));
    await assert.rejects(keys.create({ name: "again", role: "user", key: "sk-1234-local" }), hasCode("conflict"));
    await keys.revoke("old");
    await assert.rejects(keys.create({ name: "again", role: "user", key: "sk-1234-local" }), hasCode("conflict"));
    for (const key of ["tiny", "with space in it", "ümläut-ümläut", "x".repeat(257)]) {
      await assert.rejects(keys.create({ name: "bad", role: "user", key }), hasCode("invalid_request"));
    }
  });
}

function endingTests(name: string, open: Open): void {
  test(`${name}: a revoked key and one that was made to end stop working within half a second`, limit, async (t) => {
    const { keys, cache } = await open(t);
    for (const end of [
      (id: string) => keys.revoke(id),
      (id: string) => keys.change(id, { expiresAt: Date.now() }),
      (id: string) => keys.rotate(id, { overlapMs: 0 }),
    ]) {
      const least = await leastOf(3, async () => {
        const { key, record } = await keys.create({ name: "short", role: "user" });
        assert.ok(await works(cache, key));
        await end(record.id);
        const endedAt = performance.now();
        await waitFor("the key ends", async () => !(await works(cache, key)));
        const tookMs = performance.now() - endedAt;
        await keys.revoke(record.id);
        return tookMs;
      });
      // Twice the promise, for a machine that is busy with other tests.
      assert.ok(least < 1_000, `${least} ms`);
    }
  });

  test(`${name}: a rotated key is one key with two secrets until the overlap ends`, limit, async (t) => {
    const { keys, cache } = await open(t);
    const first = await keys.create({ name: "app", role: "user", limits: { requests_per_minute: 7 } });
    const second = await keys.rotate("app", { overlapMs: 60_000 });
    assert.equal(second.record.id, first.record.id);
    assert.equal((await cache.find(second.key))?.record.limits.requests_per_minute, 7);
    assert.ok(await works(cache, first.key));
    const third = await keys.rotate("app", { overlapMs: 0 });
    await waitFor(
      "both old ones end",
      async () => !(await works(cache, first.key)) && !(await works(cache, second.key)),
    );
    assert.ok(await works(cache, third.key));
    assert.equal((await keys.find(third.key))?.id, first.record.id);
    assert.equal(await keys.find(second.key), undefined);
    await keys.revoke("app");
    await assert.rejects(keys.rotate(first.record.id, { overlapMs: 0 }), hasCode("conflict"));
  });
}

function tenantTests(name: string, open: Open): void {
  test(
    `${name}: a key has its tenant's limits beside its own, and both may be changed while it is used`,
    limit,
    async (t) => {
      const { keys, tenants, cache } = await open(t);
      await tenants.create({ name: "acme", limits: { requests_per_minute: 100, models: ["llama*", "qwen*"] } });
      await assert.rejects(tenants.create({ name: "acme" }), hasCode("conflict"));
      await assert.rejects(keys.create({ name: "x", role: "user", tenant: "nobody" }), hasCode("not_found"));
      const { key } = await keys.create({
        name: "k",
        role: "user",
        tenant: "acme",
        limits: { models: ["llama-3*"], concurrency: 2 },
      });
      const known = await cache.find(key);
      assert.deepEqual(
        known?.scopes.map(({ kind, limits }) => [kind, limits.requests_per_minute, limits.concurrency]),
        [
          ["key", undefined, 2],
          ["tenant", 100, undefined],
        ],
      );
      assert.deepEqual(
        ["llama-3-8b", "llama-2", "qwen"].map((model) => known?.allowsModel(model)),
        [true, false, false],
      );

      await keys.change("k", { name: "renamed", limits: { models: null, requests_per_minute: 5 } });
      await tenants.change("acme", { limits: { requests_per_minute: null } });
      await waitFor("the gateway hears of it", async () => {
        const now = await cache.find(key);
        return now?.allowsModel("qwen") === true && now.tenant.limits.requests_per_minute === undefined;
      });
      const after = await cache.find(key);
      assert.equal(after?.record.name, "renamed");
      assert.deepEqual(after?.record.limits, { concurrency: 2, requests_per_minute: 5 });
      assert.deepEqual(
        (await tenants.list()).map((tenant) => tenant.name),
        ["default", "acme"],
      );
    },
  );
}

const row = (over: Partial<UsageRow>): UsageRow => ({
  day: "2026-11-23",
  key_id: "key_a",
  tenant_id: "ten_default",
  model: "m",
  operation: "chat.completions.create",
  requests: 1,
  errors: 0,
  prompt_tokens: 10,
  completion_tokens: 5,
  cost_micro_usd: 3,
  ...over,
});

function usageTests(name: string, open: Open): void {
  test(`${name}: usage adds up by key, model and day, and can be asked for by each`, limit, async (t) => {
    const { usage } = await open(t);
    const rows = [
      row({}),
      row({ day: "2026-11-24", model: "n" }),
      row({ key_id: "key_b", tenant_id: "ten_b", errors: 1 }),
      ...Array.from({ length: 1_200 }, (_, index) => row({ key_id: `key_${index}`, day: "2026-10-01" })),
    ];
    await usage.apply({ recorder: "r", number: 1, rows }, []);
    const november = { from: "2026-11-01", to: "2026-11-30" };
    const byKey = await usage.report({ by: ["key"], ...november });
    assert.deepEqual(
      byKey.map(({ key_id, requests }) => [key_id, requests]),
      [
        ["key_a", 2],
        ["key_b", 1],
      ],
    );
    const byDay = await usage.report({ by: ["day", "model"], ...november, key: "key_a" });
    assert.deepEqual(
      byDay.map(({ day, model, prompt_tokens }) => [day, model, prompt_tokens]),
      [
        ["2026-11-23", "m", 10],
        ["2026-11-24", "n", 10],
      ],
    );
    const [total] = await usage.report({ by: [], from: "2026-01-01", to: "2026-12-31" });
    assert.deepEqual(total, {
      requests: 1_203,
      errors: 1,
      prompt_tokens: 12_030,
      completion_tokens: 6_015,
      cost_micro_usd: 3_609,
    });
  });
}

function countingTests(name: string, open: Open): void {
  test(
    `${name}: a batch counts once however often it is sent, and writers at the same time lose nothing`,
    limit,
    async (t) => {
      const { usage, url } = await open(t);
      const other = await openTestKeys({ directory: makeTestDirectory(t), url });
      t.after(() => other.close());
      const query = { kind: "key", id: "key_a", since: "2026-11-01" } as const;
      const send = async (store: typeof usage, recorder: string) => {
        for (let number = 1; number <= 20; number++) {
          const batch = { recorder, number, rows: [row({}), row({ model: "n" })] };
          await Promise.all([store.apply(batch, []), store.apply(batch, [query])]);
        }
      };
      await Promise.all([send(usage, "one"), send(other.usage, "two")]);
      const [total] = await usage.report({ by: [], from: "2026-01-01", to: "2026-12-31" });
      assert.equal(total?.requests, 2 * 20 * 2);
      const [spend] = await usage.apply({ recorder: "one", number: 20, rows: [row({})] }, [query]);
      assert.deepEqual(spend, { tokens: 80 * 15, costMicroUsd: 80 * 3 });
    },
  );

  test(`${name}: a budget is held across two gateways, to what the other has written`, limit, async (t) => {
    const { keys, cache, meter, recorder, url } = await open(t);
    const { key } = await keys.create({
      name: "frugal",
      role: "user",
      limits: { budgets: [{ unit: "tokens", amount: 100, period: "month" }] },
    });
    const known = await cache.find(key);
    const request = { key: known, operation: "o", model: "m", estimate: { promptTokens: 30 } };
    const first = await meter.admit(request);
    assert.ok(first.ok);
    first.finish({
      served: { model: "m", service: "s" },
      used: { promptTokens: 20, completionTokens: 60 },
      isError: false,
    });
    const refused = await meter.admit(request);
    assert.ok(!refused.ok && refused.code === "insufficient_quota");
    assert.match(refused.message, /100 tokens a month, of which 20 tokens are left/);
    await recorder.flush();
    assert.equal((await meter.admit(request)).ok, false, "written usage counts once");
    assert.equal((await meter.admit({ ...request, estimate: { promptTokens: 20 } })).ok, true, "and not twice");

    const other = await openTestKeys({ directory: makeTestDirectory(t), url });
    t.after(() => other.close());
    const there = await other.meter.admit({ ...request, key: await other.cache.find(key) });
    assert.equal(there.ok, false, "the other gateway's first request knows");
  });
}
