import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { checkout } from "./new-service.ts";

const run = promisify(execFile);

/** Whether there is a `python3` of this version or a newer one, and its pip can be asked for packages. */
export async function hasPython(major: number, minor: number): Promise<boolean> {
  const isNewEnough = `import sys; sys.exit(sys.version_info < (${major}, ${minor}))`;
  try {
    await run("python3", ["-c", isNewEnough], { timeout: 15_000 });
    await run("python3", ["-m", "pip", "index", "versions", "fastapi"], { timeout: 15_000 });
    return true;
  } catch {
    return false;
  }
}

/** A Python with these packages in an environment of its own, kept between runs: the same packages are the same one. */
export async function makePython(requirements: string): Promise<string> {
  const hash = createHash("sha256").update(requirements).digest("hex").slice(0, 12);
  const directory = join(tmpdir(), `nexus-test-python-${hash}`);
  const python = join(directory, "bin", "python");
  const done = join(directory, "done");
  if ((await stat(done).catch(() => undefined)) !== undefined) return python;
  await rm(directory, { recursive: true, force: true });
  await run("python3", ["-m", "venv", directory], { timeout: 120_000 });
  const packages = requirements.split("\n").filter((line) => /^[\w-]+==/.test(line));
  await run(python, ["-m", "pip", "install", "--quiet", "--no-input", ...packages], { timeout: 240_000 });
  await mkdir(done);
  return python;
}

/** A Python with what services of the Python template need, in all their modes. */
export async function makeTemplatePython(): Promise<string> {
  const requirements = await readFile(join(checkout, "templates", "python", "all", "requirements.txt"), "utf8");
  return await makePython(requirements.replace("{{requirements}}", "\nPyYAML==6.0.3"));
}
