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

const places = {
  entry: "/nexus/src/main.ts",
  servicesDirectory: "/nexus/services",
  version: "0.0.0",
  hostId: "box",
};

/** The command of the gateway's process, and the settings that it is started with. */
async function gatewayOf(t: TestContext, config: Config) {
  const root = await mkdtemp(join(tmpdir(), "nexus-specs-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const paths = dataPaths(root);
  const { specs, gatewayFile } = describeChildren({
    config,
    paths,
    ...places,
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

test("the services of the configuration run, with their settings and beside the model service", () => {
  const started = (text: string) =>
    describeChildren({ config: compose(text), paths: dataPaths("/data"), ...places, environment: {} }).specs;
  const names = (text: string) => started(text).map(({ name }) => name);
  assert.deepEqual(names(""), ["llm", "gateway"], "nothing heavy runs unasked");
  assert.deepEqual(names("builtin: { llm: false, services: { rerank: {}, embeddings: {} } }"), [
    "embeddings",
    "rerank",
    "gateway",
  ]);
  assert.deepEqual(names("builtin: { llm: false, services: { rerank: { enabled: false } } }"), ["gateway"]);

  const [spec] = started(
    "builtin: { llm: false, services: { speech: { env: { NEXUS_SPEECH_VOICE: en, NEXUS_PORT: '1' } } } }",
  );
  assert.deepEqual(spec?.command.slice(1), ["/nexus/services/speech/src/main.ts"]);
  assert.equal(spec?.env.NEXUS_SPEECH_VOICE, "en");
  assert.equal(spec?.env.NEXUS_PORT, "0", "where it stands is not for its settings to say");
});

test("a service that does not exist is refused with the name that was meant", () => {
  assert.throws(() => compose("builtin: { services: { embedings: {} } }"), /did you mean 'embeddings'/);
  assert.throws(() => compose("services: [{ name: ocr, command: [ocr] }]"), /is the name of a process of Nexus/);
});
