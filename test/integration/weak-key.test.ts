import assert from "node:assert/strict";
import { test } from "node:test";
import { nexus } from "../support/command-line.ts";
import { makeData, startPlatformFor } from "../support/started-platform.ts";

// proves: gateway.guarded-address
test("a weak key works on this machine and stops a start on an address that others can reach", {
  timeout: 90_000,
}, async (t) => {
  const data = await makeData(t);
  const { url, stop } = await startPlatformFor(t, { data });
  const env = { OLD_KEY: "sk-1234" };
  const tooShort = await nexus(["keys", "create", "old", "--key-from", "env:OLD_KEY", "--data", data], { env });
  assert.equal(tooShort.code, 1);
  const created = await nexus(["keys", "create", "old", "--key-from", "env:OLD_KEY", "--data", data], {
    env: { OLD_KEY: "sk-1234-home" },
  });
  assert.equal(created.code, 0, created.stderr);
  assert.match(created.stdout, /weak/);
  assert.doesNotMatch(created.stdout, /sk-1234-home/);
  const answer = await fetch(`${url}/v1/models`, { headers: { authorization: "Bearer sk-1234-home" } });
  assert.equal(answer.status, 200);
  await stop();

  const refused = await nexus([
    "up",
    "--data",
    data,
    "--host",
    "0.0.0.0",
    "--port",
    "0",
    "--no-builtin",
    "--no-discovery",
  ]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /'old'.*short or well known/);
});
