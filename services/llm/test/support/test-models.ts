import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "nexus/base";
import { addModel, defaultModelId, findEntry, pullModel } from "nexus/blobs";
import { writeTinyGguf } from "../../../../test/support/tiny-gguf.ts";

/** Id of the generated model in a directory made by `tinyModels`. */
export const tinyId = "tiny";

/** A models directory whose catalogue has the generated model; nothing is fetched yet. */
export async function tinyModels(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const path = await writeTinyGguf(join(directory, "tiny.gguf"));
  await addModel({ directory, id: tinyId, from: path });
  return directory;
}

/** Where the real model is kept between test runs. */
export function sharedModelsDirectory(): string {
  return process.env.NEXUS_TEST_MODELS || join(tmpdir(), "nexus-test-models");
}

/** The real default model if it is here or can be fetched, else why not. Fetched once, then kept. */
export async function realModel(): Promise<{ readonly path: string } | { readonly missing: string }> {
  const directory = sharedModelsDirectory();
  const signal = AbortSignal.timeout(120_000);
  await findEntry(directory, defaultModelId);
  return await pullModel({ id: defaultModelId, directory, environment: process.env, signal, log: silentLogger }).then(
    ({ path }) => ({ path }),
    (error: unknown) => ({ missing: error instanceof Error ? error.message : String(error) }),
  );
}
