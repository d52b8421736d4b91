import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "nexus/base";
import { readServiceEnvironment, runService } from "nexus/service-kit";
import { createService } from "../src/service.ts";

test("without its server the service is not ready, and says why", { timeout: 20_000 }, async (t) => {
  const service = await createService({ UPSTREAM_URL: "http://127.0.0.1:1" });
  const options = { ownsProcess: false, log: silentLogger };
  const { url, close } = await runService(service, readServiceEnvironment({}), options);
  t.after(close);
  let reason = "";
  while (reason === "") {
    const answer = await fetch(`${url}/readyz`, { signal: t.signal });
    assert.equal(answer.status, 503);
    const { checks } = (await answer.json()) as { checks: { upstream?: { reason: string } } };
    reason = checks.upstream?.reason ?? "";
  }
  assert.match(reason, /can't be reached/);
});
