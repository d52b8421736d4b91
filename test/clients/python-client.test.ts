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

/** A Python with the client in an environment of its own, kept between runs; undefined where it cannot be made. */
async function findPython(): Promise<string | undefined> {
  const directory = join(tmpdir(), `nexus-test-openai-${clientVersion}`);
  const python = join(directory, "bin", "python");
  try {
    if ((await stat(join(directory, "done")).catch(() => undefined)) !== undefined) return python;
    await run("python3", ["-m", "venv", directory], { timeout: 60_000 });
    await run(python, ["-m", "pip", "install", "--quiet", `openai==${clientVersion}`], { timeout: 180_000 });
    await mkdir(join(directory, "done"));
    return python;
  } catch {
    return undefined;
  }
}

const python = await findPython();

// proves: clients.openai-python
// proves: clients.openai-python
it("OpenAI's Python client drives the platform", {
  ...needs("Python with pip and its index", python !== undefined),
  timeout: 600_000,
}, async (t) => {
  const platform = await startModelPlatform();
  try {
    t.diagnostic(`model: ${platform.describe}`);
    const { stdout } = await run(python ?? "", [script, `${platform.url}/v1`, platform.key, platform.model], {
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
