import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { PlatformStatus } from "../../src/control/status.ts";
import { nexus } from "./command-line.ts";
import { startTestPlatform, type TestPlatform, type TestPlatformOptions } from "./platform.ts";

/** A data directory whose platform, with or without its parent, ends with the test. */
export async function makeData(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-up-"));
  const data = join(directory, "data");
  t.after(async () => {
    await nexus(["down", "--data", data]);
    await rm(directory, { recursive: true, force: true });
  });
  return data;
}

/** A platform without the built-in model service, for the length of one test. */
export async function startPlatformFor(t: TestContext, options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const data = options.data ?? (await makeData(t));
  const platform = await startTestPlatform({ ...options, data, args: ["--no-builtin", ...(options.args ?? [])] });
  t.after(() => platform.parent.kill("SIGKILL"));
  // A gateway that is adopted was ready before its new parent.
  for (let turn = 0; turn < 100; turn++) {
    if ((await nexus(["status", "--data", data])).code === 0) return platform;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the platform did not become ready: ${platform.output()}`);
}

export async function statusOf(data: string): Promise<PlatformStatus> {
  return JSON.parse((await nexus(["status", "--json", "--data", data])).stdout) as PlatformStatus;
}

/** Looks again and again until something is there. @throws Error when it is not within 30 s. */
export async function waitFor<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const end = performance.now() + 30_000;
  while (performance.now() < end) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what}: not within 30 s`);
}
