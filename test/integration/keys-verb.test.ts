import assert from "node:assert/strict";
import { test } from "node:test";
import { nexus } from "../support/command-line.ts";
import { makeData, startPlatformFor } from "../support/started-platform.ts";
import { waitFor } from "../support/wait-for.ts";

// proves: cli.keys
test("keys and tenants are made, limited, rotated and ended from the command line", { timeout: 90_000 }, async (t) => {
  const data = await makeData(t);
  const { url } = await startPlatformFor(t, { data });
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await nexus([...args, "--data", data]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const json = async (...args: string[]) => JSON.parse(await run(...args, "--json"));
  const status = async (key: string) =>
    (await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;

  await run("tenants", "create", "acme", "--rpm", "100", "--budget", "20usd/month");
  assert.match(await run("tenants", "limit", "acme", "--rpm", "none", "--tpm", "20k"), /20000 tpm, \$20 a month/);
  const limits = [
    "--concurrency",
    "2",
    "--tokens",
    "1M/day,5M/week",
    "--models",
    "llama*,qwen*",
    "--ip",
    "127.0.0.0/8",
  ];
  const made = await json("keys", "create", "app", "--tenant", "acme", "--expires", "30d", ...limits);
  assert.deepEqual(made.record.limits, {
    concurrency: 2,
    budgets: [
      { unit: "tokens", amount: 1_000_000, period: "day" },
      { unit: "tokens", amount: 5_000_000, period: "week" },
    ],
    models: ["llama*", "qwen*"],
    addresses: ["127.0.0.0/8"],
  });
  assert.equal(await status(made.key), 200);
  const rotated = await json("keys", "rotate", "app", "--overlap", "1h");
  assert.deepEqual([await status(made.key), await status(rotated.key)], [200, 200]);
  assert.match(await run("keys", "ls"), /app .* live, until 20.*, old key works too .* 2 at once/);

  await run("keys", "limit", "app", "--ip", "192.0.2.0/24");
  await until(async () => (await status(rotated.key)) === 403);
  await run("keys", "limit", "app", "--ip", "none");
  await until(async () => (await status(rotated.key)) === 200);
  await run("keys", "expire", "app");
  await until(async () => (await status(rotated.key)) === 401);
  await run("keys", "expire", "app", "--in", "never");
  await until(async () => (await status(rotated.key)) === 200);
  await run("keys", "revoke", "app");
  await until(async () => (await status(rotated.key)) === 401);

  const usage = await json("keys", "usage", "--by", "key,model");
  assert.deepEqual(usage.by, ["key", "model"]);
  assert.equal((await nexus(["keys", "usage", "--by", "colour", "--data", data])).code, 2);
  assert.equal((await nexus(["keys", "create", "x", "--budget", "20eur/month", "--data", data])).code, 2);
});

/** Changes reach the gateway within half a second. */
const until = (isSo: () => Promise<boolean>) => waitFor("the gateway to hear of a change", isSo);
