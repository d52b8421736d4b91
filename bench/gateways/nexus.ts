import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import manifest from "../../package.json" with { type: "json" };
import { systemClock } from "../../src/base/clock.ts";
import { dataPaths } from "../../src/config/paths.ts";
import { createKeyStore } from "../../src/gateway/key-store.ts";
import { type Started, start, untilReady } from "../processes.ts";
import { model } from "../wire.ts";
import { type GatewayKind, logFile, type Place, plain } from "./gateway.ts";

const entry = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const startMs = 20_000;

/** The files of a gateway that stands alone: its settings, and the mock as its one instance. Resolves to a key. */
async function writeFiles(place: Place, port: number): Promise<string> {
  const paths = dataPaths(place.directory);
  mkdirSync(paths.root, { recursive: true, mode: 0o700 });
  const staticFile = join(place.directory, "instances.json");
  const instances = [{ name: "mock", url: `http://127.0.0.1:${place.upstreamPort}`, models: [model] }];
  writeFileSync(staticFile, JSON.stringify({ instances }));
  const config = { listen: { host: "127.0.0.1", port }, auth: { mode: "keys" }, registry: { staticFile } };
  writeFileSync(join(place.directory, "nexus.json"), JSON.stringify(config));
  const { key } = await createKeyStore({ path: paths.keys, clock: systemClock }).create({ name: "b", role: "user" });
  return key;
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
  hasWorkers: false,
  prepare: async () => manifest.version,
  async start(place) {
    const key = await writeFiles(place, 0);
    const runFile = join(place.directory, "run.json");
    const gateway = start({
      command: [
        process.execPath,
        entry,
        "gateway",
        "--data",
        place.directory,
        "--config",
        `${place.directory}/nexus.json`,
      ],
      cores: place.cores,
      environment: { NEXUS_RUN_FILE: runFile, NEXUS_INSTANCE: "bench", NEXUS_HOST_ID: "bench" },
      logFile: logFile(place),
    });
    const port = await readPort(gateway, runFile);
    await untilReady(gateway, { port, path: "/readyz", timeoutMs: startMs });
    return { ...plain, headers: { authorization: `Bearer ${key}` }, port, process: gateway };
  },
};
