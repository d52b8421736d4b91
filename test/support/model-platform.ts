import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { addModel, defaultModelId, pullModel } from "../../src/blobs/index.ts";
import { startTestPlatform, type TestPlatform, waitForModel } from "./platform.ts";
import { writeTinyGguf } from "./tiny-gguf.ts";

/** A platform with the built-in model service and a model that is ready. */
export interface ModelPlatform extends TestPlatform {
  readonly model: string;
  /** False for random weights, whose answers make no sense. */
  readonly isReal: boolean;
  /** Which model it is and why, for the test's output. */
  readonly describe: string;
}

/** Kept between runs, so that the weights are fetched once a machine. */
const sharedModels = process.env.NEXUS_TEST_MODELS ?? join(tmpdir(), "nexus-test-models");
const fetchTimeoutMs = 240_000;

/** The real SmolLM2 when one of its sources is in reach, else a tiny model made on the spot. */
export async function startModelPlatform(): Promise<ModelPlatform> {
  const data = await mkdtemp(join(tmpdir(), "nexus-model-"));
  const { model, directory, describe } = await findModel(data);
  const config = join(data, "test.yaml");
  await writeFile(config, JSON.stringify({ models: { directory, default: model } }));
  const platform = await startTestPlatform({ data, args: ["--config", config] });
  const stop = async () => {
    const code = await platform.stop();
    await rm(data, { recursive: true, force: true });
    return code;
  };
  try {
    await waitForModel(platform, model, 120_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...platform, stop, model, isReal: model === defaultModelId, describe };
}

async function findModel(data: string): Promise<{ model: string; directory: string; describe: string }> {
  try {
    const { source } = await pullModel({
      id: defaultModelId,
      directory: sharedModels,
      environment: process.env,
      signal: AbortSignal.timeout(fetchTimeoutMs),
      log: silentLogger,
    });
    return { model: defaultModelId, directory: sharedModels, describe: `${defaultModelId}, real weights (${source})` };
  } catch (error) {
    const directory = join(data, "models");
    const file = join(data, "tiny.gguf");
    await writeTinyGguf(file);
    await addModel({ directory, id: "tiny-random", from: file });
    return { model: "tiny-random", directory, describe: `tiny random weights, because ${describeError(error)}` };
  }
}
