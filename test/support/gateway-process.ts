import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { InstanceRecord } from "../../src/contract/instance-record.ts";
import { waitFor } from "./wait-for.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** A real gateway in a process of its own, over a fleet from a file. */
export interface GatewayProcess {
  readonly url: string;
  readonly process: ChildProcess;
  /** `kill -9`, and waits for its end. */
  kill(): Promise<void>;
}

export interface GatewayProcessOptions {
  /** Its data directory, perhaps of one that was killed. */
  readonly data: string;
  readonly records: readonly InstanceRecord[];
  readonly databaseUrl?: string;
  /** Further sections of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
}

let started = 0;

/** @throws Error with what it printed when it does not listen in time. */
export async function startGatewayProcess(
  t: { after(run: () => unknown): void },
  { data, records, databaseUrl, config }: GatewayProcessOptions,
): Promise<GatewayProcess> {
  await mkdir(data, { recursive: true });
  const staticFile = join(data, "fleet.yaml");
  await writeFile(staticFile, JSON.stringify(records));
  const runFile = join(data, `gateway-${started++}.json`);
  const configFile = join(data, "nexus.yaml");
  const database = databaseUrl === undefined ? {} : { database: { url: databaseUrl } };
  // JSON is YAML.
  const settings = { listen: { port: 0 }, registry: { staticFile }, ...database, ...config };
  await writeFile(configFile, JSON.stringify(settings));
  const child = spawn(process.execPath, [main, "gateway", "--data", data, "--config", configFile], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", NEXUS_RUN_FILE: runFile },
  });
  t.after(() => child.kill("SIGKILL"));
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (printed += String(chunk)));
  const url = await readUrl(runFile, child).catch((cause: unknown) => {
    throw new Error(`the gateway did not start:\n${printed}`, { cause });
  });
  return {
    url,
    process: child,
    async kill() {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function readUrl(runFile: string, child: ChildProcess): Promise<string> {
  return await waitFor("its address", async () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    // Written in one step: it is there whole, or not yet.
    const text = await readFile(runFile, "utf8").catch(() => "");
    return text !== "" && (JSON.parse(text) as { url: string }).url;
  });
}
