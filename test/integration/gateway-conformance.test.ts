import assert from "node:assert/strict";
import { it } from "node:test";
import { runConformance } from "../../src/contract/conformance/run-conformance.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway } from "../support/gateway.ts";

// proves: contract.gateway-conforms, gateway.own-pages
it("the gateway keeps the contract that it asks of services", { timeout: 60_000 }, async () => {
  const models = [{ id: "tiny" }, { id: "vectors", kind: "embedding" as const }];
  const backend = await startFakeBackend("nexus", { models });
  const gateway = await startTestGateway({ aliases: { "gpt-4o": "tiny" } });
  gateway.view.set([
    recordOf(backend, {
      models: [
        { id: "tiny", domains: ["chat"] },
        { id: "vectors", domains: ["embedding"] },
      ],
    }),
  ]);
  const { key } = await gateway.keys.create({ name: "check", role: "admin" });
  try {
    const results = await Array.fromAsync(
      runConformance({ baseUrl: gateway.url, key, generate: true, signal: AbortSignal.timeout(50_000) }),
    );
    const failed = results.filter(({ status }) => status === "fail").map(({ id, reason }) => `${id}: ${reason}`);
    assert.deepEqual(failed, []);
    assert.ok(results.filter(({ status }) => status === "pass").length >= 25);
  } finally {
    await gateway.close();
    await backend.close();
  }
});
