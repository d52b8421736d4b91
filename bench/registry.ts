import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import fastify from "fastify";
import { systemClock } from "../src/base/clock.ts";
import { silentLogger } from "../src/base/logger.ts";
import { registryRoutes } from "../src/control/registry-routes.ts";
import { createControlRegistry } from "../src/registry/control-registry.ts";
import { createEmbeddedRegistry } from "../src/registry/embedded-registry.ts";
import type { RegistryView } from "../src/registry/registry.ts";
import { decodeSnapshot, encodeChange, encodeSnapshot, SnapshotDecoder } from "../src/registry/wire.ts";
import { makeRecord } from "../test/support/records.ts";

/** What the registry costs: `node bench/registry.ts [instances]`. Everything in one process, on one core. */
const instances = Number(process.argv[2] ?? 10_000);
const ttlMs = 600_000;
const record = (at: number, note = "") =>
  makeRecord({ service: "chat", instance: `i${at}`, labels: { note }, models: [{ id: "a" }, { id: "b" }] });

function percentile(samples: readonly number[], fraction: number): number {
  const sorted = [...samples].sort((left, right) => left - right);
  return sorted[Math.floor((sorted.length - 1) * fraction)] ?? Number.NaN;
}

function report(what: string, samples: readonly number[]): void {
  const [p50, p99] = [percentile(samples, 0.5), percentile(samples, 0.99)];
  console.log(`${what.padEnd(64)} p50 ${p50.toFixed(3)} ms  p99 ${p99.toFixed(3)} ms  (${samples.length})`);
}

async function measure(count: number, run: (at: number) => unknown): Promise<number[]> {
  const samples: number[] = [];
  for (let at = 0; at < count; at++) {
    const startedAt = performance.now();
    await run(at);
    samples.push(performance.now() - startedAt);
  }
  return samples;
}

function seen(view: RegistryView, key: string, note: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = view.onChange(({ instances: now }) => {
      if (now.get(key)?.labels.note !== note) return;
      stop();
      resolve();
    });
  });
}

const directory = mkdtempSync(join(tmpdir(), "nexus-bench-"));
const registry = createEmbeddedRegistry({
  clock: systemClock,
  log: silentLogger,
  snapshotPath: join(directory, "registry.json"),
});
const app = fastify({ forceCloseConnections: true });
await app.register(registryRoutes, { registry, clock: systemClock });
const socketPath = join(directory, "control.sock");
await app.listen({ path: socketPath });
const client = createControlRegistry({ url: `unix:${socketPath}`, clock: systemClock, log: silentLogger });

await client.ready();
const few = await measure(500, async (at) => {
  const change = seen(client, "chat/i0", `n${at}`);
  await client.register(record(0, `n${at}`), ttlMs);
  await change;
});
report("register over the socket -> watcher, 1 instance", few);

const all = Array.from({ length: instances }, (_, at) => record(at));
report(`register, of ${instances}`, await measure(instances, (at) => registry.register(all[at] ?? record(at), ttlMs)));
await nextTurn();
while (client.current().instances.size < instances) await nextTurn();

const changed = Array.from({ length: 200 }, (_, at) => record(at, "changed"));
const one = await measure(200, async (at) => {
  await registry.register(changed[at] ?? record(at), ttlMs);
  registry.current();
});
report(`one change and its snapshot, among ${instances}`, one);
const [from] = [registry.current(), await registry.register(record(1, "again"), ttlMs)];
report("encode one change", await measure(50, () => encodeChange(from, registry.current())));
report("encode a whole snapshot", await measure(20, () => encodeSnapshot(registry.current())));
const text = encodeSnapshot(registry.current());
console.log(`a whole snapshot has ${(text.length / 1e6).toFixed(1)} MB`);
report("parse its JSON", await measure(5, () => JSON.parse(text)));
const value = JSON.parse(text);
report("decode it, every record new", await measure(5, () => decodeSnapshot(value)));
const known = registry.current().instances;
report("decode it, every record known", await measure(5, () => new SnapshotDecoder(known).snapshot(value)));

const many = await measure(200, async (at) => {
  const change = seen(client, "chat/i0", `m${at}`);
  await client.register(record(0, `m${at}`), ttlMs);
  await change;
});
report(`register over the socket -> watcher, ${instances} instances`, many);

await Promise.all([client.close(), app.close(), registry.close()]);
report(
  "restore from disk",
  await measure(3, async () => {
    const options = { clock: systemClock, log: silentLogger, snapshotPath: join(directory, "registry.json") };
    await createEmbeddedRegistry(options).close();
  }),
);
rmSync(directory, { recursive: true, force: true });
