import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { addModel } from "../../src/blobs/index.ts";
import { nexus } from "../support/command-line.ts";
import { replaceFile } from "../support/config-file.ts";
import { makeData, startPlatformFor, statusOf } from "../support/started-platform.ts";
import { tinyEncoder } from "../support/tiny-encoder.ts";
import { waitFor } from "../support/wait-for.ts";

// proves: services.builtin, reload.only-what-changed
test("services of the configuration run and are routed to, and come and go with it", {
  timeout: 110_000,
}, async (t) => {
  const data = await makeData(t);
  const directory = join(dirname(data), "models");
  await mkdir(directory, { recursive: true });
  for (const kind of ["vectors", "pairs"] as const) {
    await writeFile(join(directory, `${kind}.gguf`), tinyEncoder(kind));
    await addModel({ directory, id: kind, from: join(directory, `${kind}.gguf`) });
  }
  const file = join(dirname(data), "nexus.yaml");
  const configure = (services: object) =>
    replaceFile(file, { discovery: { enabled: false }, models: { directory }, builtin: { services } });
  const embeddings = { env: { NEXUS_EMBEDDINGS_MODEL: "vectors", NEXUS_EMBEDDINGS_THREADS: "1" } };
  const rerank = { env: { NEXUS_RERANK_MODEL: "pairs", NEXUS_RERANK_THREADS: "1" } };

  configure({ embeddings });
  await startPlatformFor(t, { data, args: ["--config", file] });
  const succeeds = async (args: readonly string[]) => {
    const { code, stdout } = await nexus([...args, "--data", data]);
    return code === 0 ? stdout : undefined;
  };
  const vectors = await waitFor("a vector", () => succeeds(["embed", "one two", "three"]));
  const [first, second] = vectors
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as number[]);
  assert.equal(first?.length, 32);
  assert.notDeepEqual(first, second);
  const names = async () => (await statusOf(data)).processes.map(({ name }) => name).sort();
  assert.deepEqual(await names(), ["embeddings", "gateway"]);

  configure({ embeddings: { ...embeddings, enabled: false }, rerank });
  const ranking = await waitFor("a ranking", () => succeeds(["rerank", "one", "two three", "four", "five one"]));
  assert.equal(ranking.trim().split("\n").length, 3);
  await waitFor("the end of embeddings", async () => (await names()).join() === "gateway,rerank");
  const gone = await nexus(["embed", "one", "--data", data]);
  assert.equal(gone.code, 3);
  assert.match(gone.stderr, /No model for embedding is there yet/);
});
