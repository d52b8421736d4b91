import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readLlmSettings } from "./settings.ts";
import { physicalCores, usableCores } from "./usable-cores.ts";

describe("settings", () => {
  // proves: llm.threads
  it("leave one core to the rest of the machine, and never ask for more than there are", () => {
    const threads = (cores: number, text?: string) => readLlmSettings({ NEXUS_LLM_THREADS: text }, cores, "/d").threads;
    assert.deepEqual([threads(1), threads(2), threads(8)], [1, 1, 7]);
    assert.deepEqual([threads(8, "3"), threads(2, "64")], [3, 2]);
  });

  it("take empty for unset and find the models in the data directory", () => {
    const settings = readLlmSettings({ NEXUS_LLM_CONTEXT: "", NEXUS_LLM_MODEL: "" }, 2, "/data");
    assert.equal(settings.modelsDirectory, "/data/models");
    assert.equal(settings.contextTokens, 4096);
    assert.equal(readLlmSettings({ NEXUS_MODELS_DIR: "/m" }, 2, "/data").modelsDirectory, "/m");
  });

  for (const [name, text] of [
    ["NEXUS_LLM_CONTEXT", "12"],
    ["NEXUS_LLM_PARALLEL", "0"],
    ["NEXUS_LLM_THREADS", "many"],
    ["NEXUS_LLM_LOADED", "1.5"],
  ] as const) {
    it(`refuse ${name}=${text}`, () => {
      assert.throws(() => readLlmSettings({ [name]: text }, 2, "/d"), new RegExp(name));
    });
  }
});

describe("cores", () => {
  it("count processors that share one as one", async () => {
    const directory = await mkdtemp(join(tmpdir(), "nexus-cores-"));
    for (const [processor, siblings] of ["0,2", "1,3", "0,2", "1,3"].entries()) {
      const topology = join(directory, `cpu${processor}`, "topology");
      await mkdir(topology, { recursive: true });
      await writeFile(join(topology, "thread_siblings_list"), `${siblings}\n`);
    }
    await mkdir(join(directory, "cpufreq"));
    assert.equal(physicalCores(directory), 2);
    assert.equal(physicalCores(join(directory, "none")), undefined);
    assert.ok(usableCores() >= 1);
    await rm(directory, { recursive: true });
  });
});
