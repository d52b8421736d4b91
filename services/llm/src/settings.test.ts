import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { readLlmSettings } from "./settings.ts";
import { physicalCores, usableCores } from "./usable-cores.ts";

// proves: llm.threads
it("never takes more threads than cores, and by default leaves one core free", () => {
  const threads = (asked: string | undefined, cores: number) =>
    readLlmSettings({ NEXUS_LLM_THREADS: asked }, cores, "/data").threads;
  for (const cores of [1, 2, 6, 64]) {
    assert.equal(threads(undefined, cores), Math.max(1, cores - 1));
    assert.equal(threads("1", cores), 1);
    assert.equal(threads("1024", cores), cores);
  }
  assert.throws(() => threads("0", 4), /NEXUS_LLM_THREADS must be a whole number from 1 to 1024/);
});

// proves: llm.threads
it("counts two processors of one core once", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "nexus-cores-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  for (const [index, siblings] of ["0,2", "1,3", "0,2", "1,3"].entries()) {
    const topology = join(directory, `cpu${index}`, "topology");
    await mkdir(topology, { recursive: true });
    await writeFile(join(topology, "thread_siblings_list"), `${siblings}\n`);
  }
  await mkdir(join(directory, "cpufreq"));
  assert.equal(physicalCores(directory), 2);
  assert.equal(physicalCores(join(directory, "nowhere")), undefined);
  assert.ok(usableCores() >= 1 && usableCores() <= availableParallelism());
});
