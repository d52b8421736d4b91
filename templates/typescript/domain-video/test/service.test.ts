import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { start } from "./start.ts";

interface Job {
  readonly id: string;
  readonly status: string;
}

test("a film is made beside the request that asks for it", { timeout: 20_000 }, async (t) => {
  const url = await start(t);
  const made = await fetch(`${url}/v1/videos`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "{{name}}", prompt: "a lighthouse", seconds: "2" }),
  });
  assert.equal(made.status, 200);
  const { id } = (await made.json()) as Job;
  let job: Job = { id, status: "queued" };
  while (job.status === "queued" || job.status === "in_progress") {
    await pause(20, undefined, { signal: t.signal });
    job = (await (await fetch(`${url}/v1/videos/${id}`)).json()) as Job;
  }
  assert.equal(job.status, "completed");
  const content = Buffer.from(await (await fetch(`${url}/v1/videos/${id}/content`)).arrayBuffer());
  assert.equal(content.toString("latin1", 4, 8), "ftyp");
});
