import assert from "node:assert/strict";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeDirectory } from "../../test/support/command-line.ts";
import { systemClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import { createKeyStore } from "../keys/key-store.ts";
import { openDatabase } from "../store/open-database.ts";
import { ensureOperatorKey, makeFirstKey } from "./first-keys.ts";

async function makeKeys(t: TestContext) {
  const directory = await makeDirectory(t);
  const url = `sqlite:${join(directory, "nexus.db")}`;
  const database = openDatabase({ url: async () => url, isDurable: false, log: silentLogger });
  t.after(() => database.close());
  const keys = createKeyStore({ database, clock: systemClock });
  const path = join(directory, "operator.key");
  const live = async () => (await keys.list()).filter((record) => record.revoked_at === null);
  const works = async () => (await keys.find(readFileSync(path, "utf8").trim()))?.role === "admin";
  return { keys, path, live, works };
}

test("the operator's key is made once, privately, and made anew only when it doesn't work any more", async (t) => {
  const { keys, path, live, works } = await makeKeys(t);
  await ensureOperatorKey(keys, path);
  const first = readFileSync(path, "utf8");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await ensureOperatorKey(keys, path);
  assert.equal(readFileSync(path, "utf8"), first);
  const spoilers = [
    async () => rmSync(path),
    async () => writeFileSync(path, "nxs_something_else\n"),
    async () => writeFileSync(path, ""),
    async () => void (await keys.revoke((await live())[0]?.id ?? "")),
  ];
  for (const spoil of spoilers) {
    await spoil();
    await ensureOperatorKey(keys, path);
    assert.ok(await works());
    assert.equal((await live()).length, 1, "no key is left that nobody has");
  }
});

test("the first key is made when there has never been one, and only then", async (t) => {
  const { keys, path } = await makeKeys(t);
  await ensureOperatorKey(keys, path);
  const key = await makeFirstKey(keys);
  assert.match(key ?? "", /^nxs_/);
  assert.equal(await makeFirstKey(keys), undefined);
  await keys.revoke("first");
  assert.equal(await makeFirstKey(keys), undefined, "whoever revokes the last key wants none");
});
