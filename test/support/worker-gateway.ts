import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { dataPaths } from "../../src/config/paths.ts";
import type { Limits } from "../../src/keys/key-record.ts";
import { createKeyStore } from "../../src/keys/key-store.ts";
import { openDatabase } from "../../src/store/open-database.ts";
import type { FakeBackend } from "../fakes/fake-backend.ts";
import { waitFor } from "./wait-for.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export interface WorkerGatewayOptions {
  readonly workers: number;
  readonly backends: readonly (Pick<FakeBackend, "url"> & { readonly maxConcurrency?: number })[];
  /** A key with such limits; without, no key is needed. */
  readonly limits?: Limits;
  readonly port?: number;
  /** Further sections of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** `nexus gateway` with several workers, as a process. */
export interface WorkerGateway {
  readonly url: string;
  readonly process: ChildProcess;
  readonly key: string;
  readonly configFile: string;
  /** Lines that its processes have logged so far. */
  lines(): readonly Readonly<Record<string, unknown>>[];
  /** Pids of the workers that have said that they serve, in that order; those that have ended are among them. */
  workers(): readonly number[];
  /** On a connection of its own, so that any worker may get it. */
  fetch(path: string, body?: unknown): Promise<Response>;
}

/** Starts one for the length of a test; resolves when all its workers serve. */
export async function startWorkerGateway(t: TestContext, options: WorkerGatewayOptions): Promise<WorkerGateway> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-workers-"));
  const configFile = await writeConfig(directory, options);
  const key = options.limits === undefined ? "" : await makeKey(directory, options.limits);
  const runFile = join(directory, "run.json");
  const child = spawn(process.execPath, [main, "gateway", "--data", directory, "--config", configFile], {
    env: { ...process.env, NEXUS_RUN_FILE: runFile, NEXUS_INSTANCE: "test" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (output += String(bytes)));
  const lines = () => output.split("\n").flatMap(parseLine);
  const workers = () => lines().flatMap(({ message, pid }) => (message === "worker serves" ? Number(pid) : []));
  t.after(async () => {
    child.kill("SIGKILL");
    for (const pid of workers()) kill(pid);
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  const areAllUp = () => {
    if (child.exitCode !== null) throw new Error(`the gateway ended: ${output}`);
    return workers().length >= options.workers && lines().some(({ message }) => message === "gateway listens");
  };
  await waitFor(() => `all workers to serve: ${output}`, areAllUp);
  const { url } = JSON.parse(await readFile(runFile, "utf8")) as { url: string };
  return {
    url,
    process: child,
    key,
    configFile,
    lines,
    workers,
    fetch: (path, body) =>
      fetch(`${url}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json", connection: "close" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
  };
}

async function writeConfig(directory: string, options: WorkerGatewayOptions): Promise<string> {
  const staticFile = join(directory, "instances.json");
  const instances = options.backends.map(({ url, maxConcurrency }, at) => ({
    name: `fake-${at}`,
    url,
    models: ["tiny"],
    ...(maxConcurrency === undefined ? {} : { max_concurrency: maxConcurrency }),
  }));
  await writeFile(staticFile, JSON.stringify({ instances }));
  const { gateway = {}, ...rest } = options.config ?? {};
  const config = {
    listen: { host: "127.0.0.1", port: options.port ?? 0 },
    auth: { mode: options.limits === undefined ? "none" : "keys" },
    registry: { staticFile },
    gateway: { workers: options.workers, ...(gateway as object) },
    ...rest,
  };
  const path = join(directory, "nexus.json");
  await writeFile(path, JSON.stringify(config));
  return path;
}

async function makeKey(directory: string, limits: Limits): Promise<string> {
  const { database: path } = dataPaths(directory);
  const database = openDatabase({ url: async () => `sqlite:${path}`, isDurable: true, log: silentLogger });
  try {
    const keys = createKeyStore({ database, clock: systemClock });
    return (await keys.create({ name: "test", role: "admin", limits })).key;
  } finally {
    await database.close();
  }
}

function parseLine(line: string): Record<string, unknown>[] {
  try {
    return [JSON.parse(line) as Record<string, unknown>];
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has gone.
  }
}
