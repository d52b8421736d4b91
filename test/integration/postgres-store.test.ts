import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { NexusError } from "../../src/base/errors.ts";
import { openTestKeys, type TestKeys } from "../support/keys.ts";
import { needs } from "../support/needs.ts";
import { hasPostgres, startPostgres, type TestPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";
import { hasCode, keyStoreContract, makeTestDirectory, works } from "./key-store-contract.ts";

const writer = fileURLToPath(new URL("../fakes/usage-writer.ts", import.meta.url));
const all = { from: "2000-01-01", to: "2999-12-31" };

let postgres: TestPostgres;

if (hasPostgres) {
  before(async () => {
    postgres = await startPostgres();
  });
  after(() => postgres.close());
  // proves: keys.migrations, keys.revoked-at-once, keys.rotate, keys.tenants, keys.usage, keys.counted-once
  // proves: keys.budgets, gateway.keys
  keyStoreContract("PostgreSQL", () => postgres.makeDatabase());
}

const here = { ...needs("PostgreSQL", hasPostgres), timeout: 90_000 };

/** Requests of one key without a pause, each counted, until `stop`; it returns how many there were. */
function startTraffic(desk: TestKeys, key: string) {
  let served = 0;
  const failures: unknown[] = [];
  const slowest = { ms: 0 };
  let isStopped = false;
  const run = async () => {
    while (!isStopped) {
      const startedAt = performance.now();
      try {
        const known = await desk.cache.find(key);
        if (known === undefined) throw new Error("401 for a key that exists");
        const admitted = await desk.meter.admit({
          key: known,
          operation: "o",
          model: "m",
          estimate: { promptTokens: 1 },
        });
        if (!admitted.ok) throw new Error(admitted.message);
        admitted.finish({ served: { model: "m", service: "s" }, used: { promptTokens: 1 }, isError: false });
        served++;
      } catch (error) {
        failures.push(error);
      }
      slowest.ms = Math.max(slowest.ms, performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const running = run();
  return {
    served: () => served,
    failures,
    slowest,
    async stop() {
      isStopped = true;
      await running;
      return served;
    },
  };
}

/** None while the database is away: a connection that was open before it was killed says so when it is used next. */
async function countedRequests(desk: TestKeys): Promise<number> {
  try {
    const [total] = await desk.usage.report({ by: [], ...all });
    return total?.requests ?? 0;
  } catch (error) {
    if (error instanceof NexusError && error.code === "database_unavailable") return 0;
    throw error;
  }
}

async function openWithKey(directory: string) {
  const url = await postgres.makeDatabase();
  const desk = await openTestKeys({ directory, url });
  const limits = {
    requests_per_minute: 1_000_000,
    budgets: [{ unit: "tokens", amount: 1_000_000, period: "month" }],
  } as const;
  const { key } = await desk.keys.create({
    name: "app",
    role: "user",
    limits: { ...limits, budgets: [...limits.budgets] },
  });
  assert.ok(await works(desk.cache, key));
  return { url, desk, key };
}

const not = (value: boolean) => !value;

// proves: keys.outage, keys.counted-once
test(
  "PostgreSQL killed under traffic: no request notices, and every one is counted once when it is back",
  here,
  async (t) => {
    const directory = makeTestDirectory(t);
    const { desk, key } = await openWithKey(directory);
    t.after(() => desk.close());
    const traffic = startTraffic(desk, key);
    for (let turn = 0; turn < 3; turn++) {
      await waitFor("traffic is written", async () => (await countedRequests(desk)) > 0);
      await postgres.kill();
      await waitFor(
        "usage is on disk",
        () => existsSync(join(directory, "usage")) && readdirSync(join(directory, "usage")).length > 0,
        30_000,
      );
      await assert.rejects(works(desk.cache, "nxs_unknown"), hasCode("database_unavailable"));
      await postgres.start();
      await waitFor("it is written again", () => readdirSync(join(directory, "usage")).length === 0, 20_000);
    }
    const served = await traffic.stop();
    assert.deepEqual(traffic.failures, []);
    await waitFor("the rest is written", () => desk.recorder.flush());
    assert.equal(await countedRequests(desk), served);
    // The cache looks at the database in its own time.
    await waitFor("an unknown key is unknown again", () => works(desk.cache, "nxs_unknown").then(not, () => false));
    t.diagnostic(`${served} requests over three kills, the slowest ${traffic.slowest.ms.toFixed(0)} ms`);
  },
);

// proves: keys.outage, keys.counted-once
test(
  "PostgreSQL frozen in the middle of writes: nothing waits for it, and what it did is not done again",
  here,
  async (t) => {
    const directory = makeTestDirectory(t);
    const { desk, key } = await openWithKey(directory);
    t.after(async () => {
      postgres.thaw();
      await desk.close();
    });
    const traffic = startTraffic(desk, key);
    for (const delayMs of [0, 1]) {
      // Frozen somewhere between the first statement and the answer to the commit.
      const writing = desk.recorder.flush();
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      postgres.freeze();
      await writing;
      await waitFor(
        "usage is on disk",
        () => existsSync(join(directory, "usage")) && readdirSync(join(directory, "usage")).length > 0,
        30_000,
      );
      await assert.rejects(works(desk.cache, "nxs_unknown"), hasCode("database_unavailable"));
      postgres.thaw();
      await waitFor("it is written again", () => readdirSync(join(directory, "usage")).length === 0, 20_000);
    }
    const served = await traffic.stop();
    assert.deepEqual(traffic.failures, []);
    assert.ok(traffic.slowest.ms < 1_000, `the slowest request took ${traffic.slowest.ms} ms`);
    await waitFor("the rest is written", () => desk.recorder.flush());
    assert.equal(await countedRequests(desk), served);
    t.diagnostic(`${served} requests over two freezes, the slowest ${traffic.slowest.ms.toFixed(0)} ms`);
  },
);

// proves: keys.outage
test(
  "PostgreSQL away at a gateway's start: its last keys work, and what a killed gateway had counted is not lost",
  here,
  async (t) => {
    const directory = makeTestDirectory(t);
    const { url, desk, key } = await openWithKey(directory);
    const usage = join(directory, "usage");
    const copy = join(directory, "gateway-keys.json");
    await waitFor("the keys are copied", () => existsSync(copy) && readFileSync(copy, "utf8").includes("app"));
    await desk.close();
    await postgres.kill();
    const child = spawn(process.execPath, [writer, url, usage], { stdio: "inherit" });
    t.after(() => child.kill("SIGKILL"));
    const kept = () => {
      const [name] = existsSync(usage) ? readdirSync(usage).filter((file) => file.endsWith(".json")) : [];
      if (name === undefined) return 0;
      const { batches } = JSON.parse(readFileSync(join(usage, name), "utf8"));
      return batches
        .flatMap(({ rows }: { rows: { requests: number }[] }) => rows)
        .reduce((sum: number, { requests }: { requests: number }) => sum + requests, 0);
    };
    await waitFor("the other gateway keeps usage on disk", () => kept() > 100);
    child.kill("SIGKILL");
    await once(child, "exit");
    const left = kept();

    const next = await openTestKeys({ directory, url });
    t.after(() => next.close());
    assert.ok(await works(next.cache, key));
    await assert.rejects(works(next.cache, "nxs_unknown"), hasCode("database_unavailable"));
    await postgres.start();
    await waitFor("the new gateway writes what the killed one left", () => kept() === 0, 60_000);
    assert.equal(await countedRequests(next), left);
  },
);
