import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { DryRun } from "../../src/records/dry-run.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf } from "../support/gateway.ts";
import { type GatewayProcess, startGatewayProcess } from "../support/gateway-process.ts";

const question = { model: "tiny", messages: [{ role: "user", content: "Hi" }] };
const loadMs = 600;

async function post(gateway: GatewayProcess, path: string, body: object): Promise<unknown> {
  const answer = await fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200);
  return await answer.json();
}

async function coldStartMs(gateway: GatewayProcess): Promise<number | undefined> {
  const { candidates } = (await post(gateway, "/v1/nexus/explain", { request: question })) as DryRun;
  return candidates[0]?.why.cold_start_ms;
}

// proves: routing.cold-start-kept
test("a gateway that is started again knows what loading a model cost", { timeout: 60_000 }, async (t) => {
  const data = await mkdtemp(join(tmpdir(), "nexus-cold-"));
  t.after(() => rm(data, { recursive: true, force: true }));
  const backend = await startFakeBackend("nexus", { faults: { delayFirstByteMs: loadMs } });
  t.after(() => backend.close());
  const records = [recordOf(backend, { models: [{ id: "tiny", state: "available" }] })];
  const start = () => startGatewayProcess(t, { data, records, config: { auth: { mode: "none" } } });
  const first = await start();
  const guessed = await coldStartMs(first);
  assert.ok((guessed ?? 0) > 10 * loadMs, "nothing is known yet");
  await post(first, "/v1/chat/completions", question);
  const learned = (await coldStartMs(first)) ?? 0;
  assert.ok(learned >= loadMs && learned < 10 * loadMs, String(learned));
  const ended = new Promise((resolve) => first.process.once("exit", resolve));
  first.process.kill("SIGTERM");
  await ended;
  assert.equal(await coldStartMs(await start()), learned);
});
