import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import manifest from "../../package.json" with { type: "json" };
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { dataPaths } from "../../src/config/paths.ts";
import { gatewayConfigSchema } from "../../src/gateway/config.ts";
import type { Limits } from "../../src/keys/key-record.ts";
import { createKeyStore } from "../../src/keys/key-store.ts";
import { gatewayNodeFlags } from "../../src/roles/gateway-node-flags.ts";
import { openDatabase } from "../../src/store/open-database.ts";
import { type Started, start, untilReady } from "../processes.ts";
import { model } from "../wire.ts";
import { type GatewayKind, logFile, type Place, plain } from "./gateway.ts";

const entry = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const startMs = 20_000;

/** Far above what one core can do: counted on every request, reached by none. */
const limits: Limits = {
  requests_per_minute: 100_000_000,
  tokens_per_minute: 1_000_000_000,
  concurrency: 100_000,
  budgets: [{ unit: "tokens", period: "month", amount: 1_000_000_000_000 }],
  models: ["bench-*"],
  operations: ["chat.*"],
};

/** A key of the real store, as `nexus keys create` makes it. */
async function makeKey(place: Place): Promise<string> {
  const { database: path } = dataPaths(place.directory);
  const database = openDatabase({ url: async () => `sqlite:${path}`, isDurable: true, log: silentLogger });
  try {
    const keys = createKeyStore({ database, clock: systemClock });
    return (await keys.create({ name: "bench", role: "user", limits })).key;
  } finally {
    await database.close();
  }
}

/** The settings of a gateway that stands alone, with the mock as its one instance. */
function writeSettings(place: Place): void {
  const staticFile = join(place.directory, "instances.json");
  const url = `http://127.0.0.1:${place.upstreamPort}`;
  const instances = [{ name: "mock", url, models: [model], max_concurrency: 10_000, labels: { zone: "here" } }];
  writeFileSync(staticFile, JSON.stringify({ instances }));
  const config = {
    listen: { host: "127.0.0.1", port: 0 },
    auth: { mode: "keys" },
    registry: { staticFile },
    routes: [{ model: "bench-*", candidates: [{ where: "instance.labels.zone == 'here'" }] }],
    ...(place.workers === 1 ? {} : { gateway: { workers: place.workers } }),
  };
  writeFileSync(join(place.directory, "nexus.json"), JSON.stringify(config));
}

async function readPort(process: Started, runFile: string): Promise<number> {
  const deadline = performance.now() + startMs;
  while (performance.now() < deadline && !process.hasEnded()) {
    const text = readIfThere(runFile);
    if (text !== undefined) return Number(new URL((JSON.parse(text) as { url: string }).url).port);
    await sleep(5);
  }
  throw new Error(`it didn't start: ${process.tail().slice(-400)}`);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Nexus as its owner runs it: the gateway process with everything on. */
export const nexus: GatewayKind = {
  name: "nexus",
  title: "Nexus",
  features: "all: key, limits, route, record, log line, metrics",
  hasWorkers: "workers" in gatewayConfigSchema.shape,
  prepare: async () => manifest.version,
  async start(place) {
    mkdirSync(place.directory, { recursive: true, mode: 0o700 });
    writeSettings(place);
    const key = await makeKey(place);
    const runFile = join(place.directory, "run.json");
    const gateway = start({
      command: [
        process.execPath,
        ...gatewayNodeFlags,
        entry,
        "gateway",
        "--data",
        place.directory,
        "--config",
        `${place.directory}/nexus.json`,
      ],
      cores: place.cores,
      environment: {
        NEXUS_RUN_FILE: runFile,
        NEXUS_INSTANCE: "bench",
        NEXUS_HOST_ID: "bench",
        // As `./nexus` starts everything: what Node has made of the sources is kept.
        NODE_COMPILE_CACHE: fileURLToPath(new URL("../../node_modules/.compile-cache", import.meta.url)),
      },
      logFile: logFile(place),
    });
    const port = await readPort(gateway, runFile);
    await untilReady(gateway, { port, path: "/readyz", timeoutMs: startMs });
    return { ...plain, headers: { authorization: `Bearer ${key}` }, port, process: gateway };
  },
};
