import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeDirectory } from "../../test/support/command-line.ts";
import { openTestKeys } from "../../test/support/keys.ts";
import { NexusError } from "../base/errors.ts";
import { importKeysFile } from "./import-keys-store.ts";
import { hashKey } from "./key-secret.ts";

const oldKey = (name: string, over: Record<string, unknown> = {}) => ({
  id: `key_${name}`,
  name,
  role: "user",
  hash: hashKey(`nxs_${name}`),
  hint: "nxs_",
  is_weak: false,
  created_at: "2026-01-01T00:00:00.000Z",
  revoked_at: null,
  ...over,
});

// proves: keys.import
test("keys of keys.json go on working, revoked ones stay revoked, and the file is taken over once", async (t) => {
  const directory = await makeDirectory(t);
  const desk = await openTestKeys({ directory });
  t.after(() => desk.close());
  const path = join(directory, "keys.json");
  assert.equal(await importKeysFile(path, desk.database), undefined);
  const keys = [oldKey("a", { role: "admin" }), oldKey("b", { revoked_at: "2026-02-01T00:00:00.000Z" })];
  const text = JSON.stringify({ version: 1, keys });
  writeFileSync(path, text);
  assert.equal(await importKeysFile(path, desk.database), 2);
  assert.ok(!existsSync(path));
  assert.equal(readFileSync(`${path}.imported`, "utf8"), text);
  assert.equal((await desk.cache.find("nxs_a"))?.record.role, "admin");
  assert.equal(await desk.cache.find("nxs_b"), undefined);
  await assert.rejects(
    desk.keys
      .create({ name: "again", role: "user", key: "nxs_b-but-longer" })
      .then(() => desk.keys.create({ name: "a", role: "user" })),
    NexusError,
  );

  // As after a crash between the database and the renaming, and with a name that was taken meanwhile.
  await desk.keys.create({ name: "c", role: "user" });
  writeFileSync(path, JSON.stringify({ version: 1, keys: [...keys, oldKey("c")] }));
  await importKeysFile(path, desk.database);
  const names = (await desk.keys.list()).map(({ name }) => name).sort();
  assert.deepEqual(names, ["a", "again", "b", "c", "c (key_c)"]);
  assert.ok(await desk.cache.find("nxs_c"));
});

test("a damaged keys.json is refused and left as it is", async (t) => {
  const directory = await makeDirectory(t);
  const desk = await openTestKeys({ directory });
  t.after(() => desk.close());
  const path = join(directory, "keys.json");
  for (const text of ["{ broken", JSON.stringify({ version: 1, keys: [{ id: 1 }] })]) {
    writeFileSync(path, text);
    await assert.rejects(importKeysFile(path, desk.database), /restore it from a backup/);
    assert.equal(readFileSync(path, "utf8"), text);
  }
});
