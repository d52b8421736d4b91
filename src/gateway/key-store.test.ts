import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import { systemClock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { createKeyStore, isWeakKey, openKeyReader } from "./key-store.ts";

async function openStore(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "nexus-keys-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, "keys.json");
  const problems: unknown[] = [];
  const reader = openKeyReader({ path, clock: systemClock, onProblem: (error) => problems.push(error) });
  return { path, store: createKeyStore({ path, clock: systemClock }), reader, problems };
}

const hasCode = (code: string) => (error: unknown) => error instanceof NexusError && error.code === code;

// proves: gateway.keys
it("keeps hashes and never keys, in a file of its owner's", async (t) => {
  const { path, store } = await openStore(t);
  const { key, record } = await store.create({ name: "laptop", role: "user" });
  assert.match(key, /^nxs_[A-Za-z0-9_-]{43}$/);
  assert.equal(record.is_weak, false);
  assert.ok(!(await readFile(path, "utf8")).includes(key));
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

it("finds keys that are newer than its last look, and takes the name of a revoked one again", async (t) => {
  const { store, reader } = await openStore(t);
  assert.equal(await reader.find("nxs_none"), undefined);
  for (let turn = 0; turn < 20; turn++) {
    const { key, record } = await store.create({ name: `key ${turn}`, role: "admin" });
    assert.equal((await reader.find(key))?.id, record.id);
  }
  await store.revoke("key 3");
  await store.create({ name: "key 3", role: "user" });
  await assert.rejects(store.create({ name: "key 3", role: "user" }), hasCode("conflict"));
  await assert.rejects(store.revoke("nobody"), hasCode("not_found"));
});

it("loses no key when many are made at once", async (t) => {
  const { store } = await openStore(t);
  await Promise.all(Array.from({ length: 25 }, (_, index) => store.create({ name: `k${index}`, role: "user" })));
  assert.equal((await store.list()).length, 25);
});

it("keeps the last good keys while the file is broken, and says so", async (t) => {
  const { path, store, reader, problems } = await openStore(t);
  const { key } = await store.create({ name: "laptop", role: "user" });
  assert.ok(await reader.find(key));
  await rm(path);
  await writeFile(path, "{ broken");
  await reader.find("nxs_unknown");
  assert.ok(await reader.find(key));
  assert.ok(problems.length > 0);
});

// proves: gateway.guarded-address
it("tells weak keys from strong ones", () => {
  for (const weak of [
    "short",
    "sk-1234",
    "sk-1234567890123456789012345",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "changeme-changeme-changeme",
  ]) {
    assert.equal(isWeakKey(weak), true, weak);
  }
  assert.equal(isWeakKey("correct-horse-battery-staple"), false);
});

it("takes a key that clients have already, once, if it can be one", async (t) => {
  const { store, reader } = await openStore(t);
  const { record } = await store.create({ name: "old", role: "user", key: "sk-1234-local" });
  assert.equal(record.is_weak, true);
  assert.equal((await reader.find("sk-1234-local"))?.id, record.id);
  await assert.rejects(store.create({ name: "again", role: "user", key: "sk-1234-local" }), hasCode("conflict"));
  for (const key of ["tiny", "with space in it", "ümläut-ümläut", "x".repeat(257)]) {
    await assert.rejects(store.create({ name: "bad", role: "user", key }), hasCode("invalid_request"));
  }
});
