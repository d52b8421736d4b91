import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { PlatformStatus } from "../../src/control/status.ts";
import { nexus } from "./command-line.ts";
import { startTestPlatform, type TestPlatform, type TestPlatformOptions } from "./platform.ts";
import { waitFor } from "./wait-for.ts";

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
  await waitFor(
    () => `the platform is ready: ${platform.output()}`,
    async () => (await nexus(["status", "--data", data])).code === 0,
  );
  return platform;
}

export async function statusOf(data: string): Promise<PlatformStatus> {
  return JSON.parse((await nexus(["status", "--json", "--data", data])).stdout) as PlatformStatus;
}
