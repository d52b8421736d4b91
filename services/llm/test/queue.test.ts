import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { waitFor } from "../../../test/support/wait-for.ts";
import { startLlm } from "./support/running-service.ts";
import { tinyId, tinyModels } from "./support/test-models.ts";

/** Requests that wait, as the service kit has it. */
const queueMax = 64;

// proves: llm.queue
it("generates no more at once than it says, lets a bounded number wait, and refuses the rest with 429", {
  timeout: 60_000,
}, async (t) => {
  const directory = await tinyModels(await mkdtemp(join(tmpdir(), "nexus-queue-")));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const llm = await startLlm({ modelId: tinyId, modelsDirectory: directory, parallel: 2, contextTokens: 2048 });
  t.after(() => llm.close());
  await llm.ready();
  assert.equal((await llm.get("/v1/metadata")).body.capabilities.max_concurrency, 2);
  const body = { model: tinyId, messages: [{ role: "user", content: "go on" }], max_tokens: 1 };
  const client = new AbortController();
  // Not a word of theirs is read: each waits for its reader and keeps its slot.
  const long = { ...body, stream: true, max_tokens: 1_900, temperature: 1, logprobs: true, top_logprobs: 20 };
  const held = await Promise.all([1, 2].map((seed) => llm.post("chat/completions", { ...long, seed }, client.signal)));
  const waiting = Array.from({ length: queueMax }, () => llm.ask("chat/completions", body));
  const gauges = async () => {
    const text = await (await fetch(`${llm.url}/metrics`, { signal: t.signal })).text();
    const read = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
    return [read("nexus_service_slots_active"), read("nexus_service_queue_depth")];
  };
  await waitFor("a full queue", async () => {
    const [active, depth] = await gauges();
    assert.equal(active, 2);
    return depth === queueMax;
  });
  const refused = await llm.post("chat/completions", body);
  assert.equal(refused.status, 429);
  assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/);
  assert.match(await refused.text(), /"queue_full"/);
  // An answer that nobody refers to any more is collected, and cancelled by that.
  for (const { bodyUsed } of held) assert.equal(bodyUsed, false);
  client.abort();
  for (const { status } of await Promise.all(waiting)) assert.equal(status, 200);
});
