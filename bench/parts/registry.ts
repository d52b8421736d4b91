import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import fastify from "fastify";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { registryRoutes } from "../../src/control/registry-routes.ts";
import { createControlRegistry } from "../../src/registry/control-registry.ts";
import { createEmbeddedRegistry, type EmbeddedRegistry } from "../../src/registry/embedded-registry.ts";
import type { Registry, RegistryView } from "../../src/registry/registry.ts";
import { encodeChange, encodeSnapshot, SnapshotDecoder } from "../../src/registry/wire.ts";
import type { PartResult } from "../results.ts";
import { fleetRecord, measure, summarise } from "./measure.ts";

/**
 * What the registry costs with so many instances: `node bench/parts/registry.ts [instances]`. Prints one line of JSON.
 * Everything is in one process, on one core.
 */
const ttlMs = 600_000;
const models = ["a", "b"];

function seen(view: RegistryView, key: string, note: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = view.onChange(({ instances: now }) => {
      if (now.get(key)?.labels.note !== note) return;
      stop();
      resolve();
    });
  });
}

/** From a service's registration over the control socket to a gateway that knows it. */
async function registerAndSee(client: Registry, count: number, word: string): Promise<number[]> {
  return await measure(count, async (at) => {
    const change = seen(client, "chat/i0", `${word}${at}`);
    await client.register(fleetRecord(0, models, `${word}${at}`), ttlMs);
    await change;
  });
}

async function measureWire(registry: EmbeddedRegistry, instances: number): Promise<PartResult[]> {
  const from = registry.current();
  await registry.register(fleetRecord(1, models, "again"), ttlMs);
  const text = encodeSnapshot(registry.current());
  const known = registry.current().instances;
  return [
    summarise("encode one change", instances, await measure(50, () => encodeChange(from, registry.current()))),
    summarise("encode a full snapshot", instances, await measure(10, () => encodeSnapshot(registry.current()))),
    summarise(
      "read a full snapshot, every record known",
      instances,
      await measure(5, () => new SnapshotDecoder(known).snapshotText(text)),
    ),
    summarise(
      "read a full snapshot, every record new",
      instances,
      await measure(3, () => new SnapshotDecoder(new Map()).snapshotText(text)),
    ),
  ];
}

async function measureRegistry(instances: number, directory: string): Promise<PartResult[]> {
  const options = { clock: systemClock, log: silentLogger, snapshotPath: join(directory, "registry.json") };
  const registry = createEmbeddedRegistry(options);
  const app = fastify({ forceCloseConnections: true });
  await app.register(registryRoutes, { registry, clock: systemClock });
  const socketPath = join(directory, "control.sock");
  await app.listen({ path: socketPath });
  const client = createControlRegistry({ url: `unix:${socketPath}`, clock: systemClock, log: silentLogger });
  await client.ready();

  const few = await registerAndSee(client, 200, "n");
  const all = Array.from({ length: instances }, (_, at) => fleetRecord(at, models));
  for (const record of all) await registry.register(record, ttlMs);
  while (client.current().instances.size < instances) await nextTurn();
  const changed = Array.from({ length: 200 }, (_, at) => fleetRecord(at, models, "changed"));
  const one = await measure(changed.length, async (at) => {
    await registry.register(changed[at] ?? fleetRecord(at, models), ttlMs);
    registry.current();
  });
  const many = await registerAndSee(client, 100, "m");
  const wire = await measureWire(registry, instances);
  await Promise.all([client.close(), app.close(), registry.close()]);
  const restored = await measure(1, async () => await createEmbeddedRegistry(options).close());
  return [
    summarise("register, until a gateway knows it", 1, few),
    summarise("register, until a gateway knows it", instances, many),
    summarise("apply one change", instances, one),
    ...wire,
    summarise("restore from disk", instances, restored),
  ];
}

const directory = mkdtempSync(join(tmpdir(), "nexus-bench-"));
try {
  console.log(JSON.stringify(await measureRegistry(Number(process.argv[2] ?? 10_000), directory)));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
