import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startModelPlatform } from "../support/model-platform.ts";
import { needs } from "../support/needs.ts";

const run = promisify(execFile);
const script = fileURLToPath(new URL("openai_client.py", import.meta.url));
const clientVersion = "3.54.0";

/** Whether this machine's pip can be asked for packages. Quick, because files must load quickly. */
const hasIndex = await run("python3", ["-m", "pip", "index", "versions", "openai"], { timeout: 15_000 }).then(
  () => true,
  () => false,
);

/** A Python with the client in an environment of its own, kept between runs. */
async function makePython(): Promise<string> {
  const directory = join(tmpdir(), `nexus-test-openai-${clientVersion}`);
  const python = join(directory, "bin", "python");
  const done = join(directory, "done");
  if ((await stat(done).catch(() => undefined)) !== undefined) return python;
  await run("python3", ["-m", "venv", directory], { timeout: 120_000 });
  await run(python, ["-m", "pip", "install", "--quiet", `openai==${clientVersion}`], { timeout: 240_000 });
  await mkdir(done);
  return python;
}

// proves: clients.openai-python
// proves: clients.openai-python
it("OpenAI's Python client drives the platform", {
  ...needs("Python with pip and its index", hasIndex),
  timeout: 600_000,
}, async (t) => {
  const python = await makePython();
  const platform = await startModelPlatform();
  try {
    t.diagnostic(`model: ${platform.describe}`);
    const { stdout } = await run(python, [script, `${platform.url}/v1`, platform.key, platform.model], {
      timeout: 300_000,
    });
    assert.equal(stdout.match(/^ok /gm)?.length, 11, stdout);
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${stdout ?? ""}${stderr ?? ""}${String(error)}`);
  } finally {
    await platform.stop();
  }
});
