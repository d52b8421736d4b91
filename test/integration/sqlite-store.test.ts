import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { openTestKeys } from "../support/keys.ts";
import { waitFor } from "../support/wait-for.ts";
import { hasCode, keyStoreContract, makeTestDirectory, works } from "./key-store-contract.ts";

// proves: keys.migrations, keys.revoked-at-once, keys.rotate, keys.tenants, keys.usage, keys.counted-once
// proves: keys.budgets, gateway.keys
keyStoreContract("SQLite", async (directory) => `sqlite:${join(directory, "nexus.db")}`);

// proves: gateway.keys
test("SQLite: the file is its owner's, and holds hashes and never keys", async (t) => {
  const directory = makeTestDirectory(t);
  const desk = await openTestKeys({ directory });
  const { key } = await desk.keys.create({ name: "laptop", role: "user" });
  await desk.close();
  const path = join(directory, "nexus.db");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.ok(!readFileSync(path, "latin1").includes(key));
});

// proves: keys.outage
test("SQLite: while another process holds the file, usage waits on disk, nothing stops, and nothing counts twice", {
  timeout: 60_000,
}, async (t) => {
  const directory = makeTestDirectory(t);
  const desk = await openTestKeys({ directory });
  t.after(() => desk.close());
  const { key } = await desk.keys.create({ name: "laptop", role: "user" });
  const known = await desk.cache.find(key);
  const serve = async () => {
    const admitted = await desk.meter.admit({ key: known, operation: "o", model: "m", estimate: {} });
    assert.ok(admitted.ok);
    admitted.finish({ served: { model: "m", service: "s" }, used: { promptTokens: 2 }, isError: false });
  };
  const holder = new DatabaseSync(join(directory, "nexus.db"));
  t.after(() => holder.close());
  holder.exec("begin immediate");
  await serve();
  assert.equal(await desk.recorder.flush(), false);
  await serve();
  assert.ok(await works(desk.cache, key));
  assert.equal(await works(desk.cache, "nxs_wrong"), false, "SQLite can be read while it is written");
  await assert.rejects(desk.keys.create({ name: "other", role: "user" }), hasCode("database_unavailable"));
  holder.exec("rollback");
  assert.equal(await desk.recorder.flush(), true);
  const [total] = await desk.usage.report({ by: [], from: "2000-01-01", to: "2999-12-31" });
  assert.deepEqual([total?.requests, total?.prompt_tokens], [2, 4]);
});

// proves: keys.outage
test("SQLite: a gateway starts with its last keys when the file is damaged, and says that it doesn't know others", {
  timeout: 60_000,
}, async (t) => {
  const directory = makeTestDirectory(t);
  const first = await openTestKeys({ directory });
  const { key } = await first.keys.create({ name: "laptop", role: "user" });
  assert.ok(await works(first.cache, key));
  await waitFor("the keys are copied", () => {
    try {
      return readFileSync(join(directory, "gateway-keys.json"), "utf8").includes("laptop");
    } catch {
      return false;
    }
  });
  assert.ok(!readFileSync(join(directory, "gateway-keys.json"), "utf8").includes(key));
  await first.close();
  const path = join(directory, "nexus.db");
  const good = readFileSync(path);
  writeFileSync(path, "this is no database, and it is long enough to be looked at".repeat(100));
  const problems: unknown[] = [];
  const second = await openTestKeys({ directory, onProblem: (error) => problems.push(error) });
  t.after(() => second.close());
  assert.ok(await works(second.cache, key));
  await assert.rejects(works(second.cache, "nxs_unknown"), hasCode("database_unavailable"));
  assert.equal(problems.length, 1);
  writeFileSync(path, good);
  await waitFor("it is back", () =>
    works(second.cache, "nxs_unknown").then(
      (found) => !found,
      () => false,
    ),
  );
  assert.ok(await works(second.cache, key));
});
