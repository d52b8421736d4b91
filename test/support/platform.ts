import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { waitFor } from "./wait-for.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export interface TestPlatformOptions {
  /** Further flags of `nexus up`. Discovery is off: what else runs on the machine is not the test's. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A data directory to use again; a fresh one is made and removed by default. */
  readonly data?: string;
  readonly port?: number;
}

/** A whole platform: `nexus up` in a process of its own, on a free port and a data directory of its own. */
export interface TestPlatform {
  readonly url: string;
  readonly key: string;
  readonly data: string;
  readonly parent: ChildProcess;
  /** Everything that it has printed so far. */
  output(): string;
  /** SIGTERM, then waits for its end. */
  stop(): Promise<number | null>;
}

/** @throws Error with what was printed when the gateway does not listen in time. */
export async function startTestPlatform(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), "nexus-up-")));
  const flags = ["--data", data, "--port", String(options.port ?? 0), "--no-discovery", ...(options.args ?? [])];
  const parent = spawn(process.execPath, [main, "up", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", ...options.env },
  });
  let printed = "";
  for (const stream of [parent.stdout, parent.stderr]) stream?.on("data", (chunk) => (printed += String(chunk)));
  const stop = async () => {
    if (parent.exitCode === null && parent.signalCode === null) {
      const exited = once(parent, "exit");
      parent.kill("SIGTERM");
      await exited;
    }
    if (options.data === undefined) await rm(data, { recursive: true, force: true });
    return parent.exitCode;
  };
  try {
    const url = await readAddress(data, parent);
    const key = (await readFile(join(data, "operator.key"), "utf8")).trim();
    return { url, key, data, parent, output: () => printed, stop };
  } catch (error) {
    await stop();
    throw new Error(`the platform did not start:\n${printed}`, { cause: error });
  }
}

async function readAddress(data: string, parent: ChildProcess): Promise<string> {
  return await waitFor("the gateway is ready", async () => {
    if (parent.exitCode !== null) throw new Error(`it ended with ${parent.exitCode}`);
    try {
      const { url } = JSON.parse(await readFile(join(data, "run", "gateway.address.json"), "utf8")) as { url: string };
      const response = await fetch(`${url}/readyz`);
      return response.ok && url;
    } catch {
      // Not there yet.
      return false;
    }
  });
}

/** Waits until a model can be asked. @throws Error with the last listing when it cannot in time. */
export async function waitForModel(platform: TestPlatform, id: string, timeoutMs: number): Promise<void> {
  let listed = "";
  const isReady = async () => {
    const response = await fetch(`${platform.url}/v1/models`, { headers: { authorization: `Bearer ${platform.key}` } });
    listed = await response.text();
    const { data } = JSON.parse(listed) as { data: { id: string; nexus: { ready_instances: number } }[] };
    return data.some((model) => model.id === id && model.nexus.ready_instances > 0);
  };
  await waitFor(() => `'${id}' is ready: ${listed}\n${platform.output()}`, isReady, timeoutMs);
}
