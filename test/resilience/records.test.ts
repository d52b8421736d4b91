import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { createEmbeddedRegistry } from "../../src/registry/embedded-registry.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { startTestGateway } from "../support/gateway.ts";
import { makeRecord } from "../support/records.ts";
import { scenarioMs, sized } from "../support/size.ts";

const question = (model: string) => ({ model, messages: [{ role: "user", content: "hi" }] });

// proves: resilience.bad-record
test("R8: of 1,000 records one is bad; 999 are routed and the bad one is listed with its reason", {
  timeout: scenarioMs,
}, async (t) => {
  const backend = await startFakeBackend("nexus", {
    models: Array.from({ length: 1_000 }, (_, n) => ({ id: `m${n}` })),
  });
  t.after(() => backend.close());
  const registry = createEmbeddedRegistry({ clock: systemClock, log: silentLogger });
  t.after(() => registry.close());
  // A thousand instances on one port: their probes would be most of what the machine does.
  const gateway = await startTestGateway({ view: registry, settings: { probes: { intervalMs: 60_000 } } });
  t.after(() => gateway.close());
  for (let n = 0; n < 1_000; n++) {
    const record = makeRecord({
      service: "fleet",
      instance: `i${n}`,
      models: [{ id: `m${n}` }],
      base_url: backend.url,
    });
    if (n === 500)
      await assert.rejects(registry.register({ ...record, base_url: "not a url" } as never, 60_000), /base_url/);
    else await registry.register(record, 60_000);
  }
  assert.equal(registry.current().instances.size, 999);
  assert.ok(registry.current().rejected.some(({ reason }) => reason.includes("base_url")));
  const step = sized(50, 1);
  for (let n = 0; n < 1_000; n += step) {
    const answer = await gateway.fetch("/v1/chat/completions", { body: question(`m${n}`) });
    assert.equal(answer.status, n === 500 ? 404 : 200, `m${n}: ${await answer.text()}`);
  }
});

// proves: resilience.routable-at-once
test("R4: an instance that registers ready is routed to by the next request", { timeout: scenarioMs }, async (t) => {
  const count = sized(50, 1_000);
  const backend = await startFakeBackend("nexus", {
    models: Array.from({ length: count }, (_, n) => ({ id: `m${n}` })),
  });
  t.after(() => backend.close());
  const registry = createEmbeddedRegistry({ clock: systemClock, log: silentLogger });
  t.after(() => registry.close());
  const gateway = await startTestGateway({ view: registry });
  t.after(() => gateway.close());
  for (let n = 0; n < count; n++) {
    await registry.register(
      makeRecord({ service: "fleet", instance: `i${n}`, models: [{ id: `m${n}` }], base_url: backend.url }),
      60_000,
    );
    const answer = await gateway.fetch("/v1/chat/completions", { body: question(`m${n}`) });
    assert.equal(answer.status, 200, await answer.text());
    await answer.text().catch(() => {});
  }
});
