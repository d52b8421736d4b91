import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { composeConfig } from "../config/compose.ts";
import { dataPaths } from "../config/paths.ts";
import { type Config, configSchema } from "../config/schema.ts";
import { parseYamlSource } from "../config/yaml-source.ts";
import { describeChildren } from "./child-specs.ts";
import { writeGatewayFile } from "./gateway-file.ts";

/** Sections that only the parent reads. */
const ofTheParent = ["attach", "discovery", "services", "builtin", "models"];

function compose(text: string): Config {
  return composeConfig(configSchema, { name: "nexus.yaml", source: parseYamlSource(text) }, []).config;
}

/** The command of the gateway's process, and the settings that it is started with. */
async function gatewayOf(t: TestContext, config: Config) {
  const root = await mkdtemp(join(tmpdir(), "nexus-specs-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const paths = dataPaths(root);
  const { specs, gatewayFile } = describeChildren({
    config,
    paths,
    entry: "/nexus/src/main.ts",
    llmEntry: "/nexus/services/llm/src/main.ts",
    version: "0.0.0",
    hostId: "box",
    environment: {},
  });
  await writeGatewayFile(gatewayFile, paths);
  const command: readonly string[] = specs.find(({ name }) => name === "gateway")?.command ?? [];
  const file = command[command.indexOf("--config") + 1] ?? "";
  return { file: file.slice(root.length), settings: compose(await readFile(file, "utf8")) };
}

test("the gateway is started with every section that is not the parent's alone", async (t) => {
  const config = compose(`
routes: [{ model: big, candidates: [{ service: ollama }] }]
records: { memoryMax: 7 }
responses: { keepDays: 2 }
batches: { atOnce: 2 }
`);
  const { settings } = await gatewayOf(t, config);
  for (const section of Object.keys(config) as (keyof Config)[]) {
    if (!ofTheParent.includes(section)) assert.deepEqual(settings[section], config[section], section);
  }
});

test("only what a running gateway cannot change changes how it is started", async (t) => {
  const plain = await gatewayOf(t, compose(""));
  const attached = await gatewayOf(t, compose("attach: [{ url: http://127.0.0.1:1 }]"));
  const routed = await gatewayOf(t, compose("routes: [{ model: big }]"));
  const moved = await gatewayOf(t, compose("listen: { port: 1 }"));
  assert.equal(attached.file, plain.file);
  assert.equal(routed.file, plain.file, "it takes over what it can");
  assert.notEqual(moved.file, plain.file);
});
