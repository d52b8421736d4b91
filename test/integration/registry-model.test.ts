import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { silentLogger } from "../../src/base/logger.ts";
import { createEmbeddedRegistry, type EmbeddedRegistry } from "../../src/registry/embedded-registry.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { hasCode, record, temporaryDirectory } from "./registry-contract.ts";

/** A registry as simple as can be: who is there until when, under which lease, and what is drained. */
class Model {
  readonly held = new Map<string, { until: number; ttlMs: number; lease: string; state: string }>();
  readonly drained = new Set<string>();
  /** Every lease that was ever granted. */
  readonly leases: string[] = [];
  revision = 0;

  lease(at: number): string {
    return this.leases[at % Math.max(1, this.leases.length)] ?? "no-lease";
  }

  keyOf(lease: string): string | undefined {
    return [...this.held].find(([, one]) => one.lease === lease)?.[0];
  }
}

/** The registry, replaced by another one at each restart. */
interface Real {
  registry: EmbeddedRegistry;
  readonly clock: FakeClock;
  readonly start: () => EmbeddedRegistry;
}

/** A command that may always run, does `step` to both sides, and then compares them. */
function command(name: string, step: (model: Model, real: Real) => Promise<void>): fc.AsyncCommand<Model, Real> {
  return {
    check: () => true,
    toString: () => name,
    async run(model, real) {
      await step(model, real);
      const now = real.registry.current();
      const shown = [...now.instances].map(([key, one]) => `${key} ${one.state}`);
      assert.deepEqual(shown, [...model.held].map(([key, one]) => `${key} ${one.state}`).sort());
      assert.deepEqual(now.policy.drained.map(({ name: host }) => host).sort(), [...model.drained].sort());
      assert.ok(now.revision >= model.revision, "revisions never fall");
      model.revision = now.revision;
    },
  };
}

function register(name: number, ttlMs: number, state: "ready" | "draining") {
  return command(`register(${name}, ${ttlMs}, ${state})`, async (model, { registry, clock }) => {
    const { id } = await registry.register(record(`n${name}`, { state }), ttlMs);
    model.leases.push(id);
    model.held.set(`chat/n${name}`, { until: clock.now() + ttlMs, ttlMs, lease: id, state });
  });
}

function renew(at: number) {
  return command(`renew(${at})`, async (model, { registry, clock }) => {
    const entry = model.held.get(model.keyOf(model.lease(at)) ?? "");
    if (entry === undefined) return assert.rejects(registry.renew(model.lease(at)), hasCode("lease_expired"));
    await registry.renew(entry.lease);
    entry.until = clock.now() + entry.ttlMs;
  });
}

function deregister(at: number) {
  return command(`deregister(${at})`, async (model, { registry }) => {
    await registry.deregister(model.lease(at));
    model.held.delete(model.keyOf(model.lease(at)) ?? "");
  });
}

function tick(ms: number) {
  return command(`tick(${ms})`, async (model, { clock }) => {
    await clock.tick(ms);
    for (const [key, { until }] of model.held) if (until <= clock.now()) model.held.delete(key);
  });
}

function drain(host: number, isDrained: boolean) {
  return command(`${isDrained ? "drain" : "undrain"}(${host})`, async (model, { registry }) => {
    const target = { kind: "host", name: `h${host}` } as const;
    if (isDrained) {
      await registry.drain(target, "");
      model.drained.add(target.name);
    } else {
      await registry.undrain(target);
      model.drained.delete(target.name);
    }
  });
}

const restart = command("restart", async (model, real) => {
  await real.registry.close();
  real.registry = real.start();
  for (const entry of model.held.values()) entry.until = real.clock.now() + entry.ttlMs;
});

const commands = fc.commands(
  [
    fc
      .tuple(fc.nat(4), fc.integer({ min: 1_000, max: 5_000 }), fc.constantFrom("ready" as const, "draining" as const))
      .map((args) => register(...args)),
    fc.nat(9).map(renew),
    fc.nat(9).map(deregister),
    fc.integer({ min: 1, max: 3_000 }).map(tick),
    fc.tuple(fc.nat(2), fc.boolean()).map((args) => drain(...args)),
    fc.constant(restart),
  ],
  { size: "+1" },
);
// proves: registry.lease, registry.snapshot

test("the embedded registry lives random lives as a trivial model does", { timeout: 60_000 }, async () => {
  let life = 0;
  const property = fc.asyncProperty(commands, async (steps) => {
    const clock = new FakeClock();
    const snapshotPath = join(temporaryDirectory(), `${life++}.json`);
    const start = () => createEmbeddedRegistry({ snapshotPath, clock, log: silentLogger });
    const real: Real = { registry: start(), clock, start };
    try {
      await fc.asyncModelRun(() => ({ model: new Model(), real }), steps);
    } finally {
      await real.registry.close();
    }
  });
  await fc.assert(property, { numRuns: 60 });
});
