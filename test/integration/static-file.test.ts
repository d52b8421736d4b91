import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { createStaticFileSource, type StaticFileOptions } from "../../src/registry/static-file.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { limit, record, snapshotWhen, temporaryDirectory, viewContract } from "./registry-contract.ts";

async function open(context: TestContext, text?: string, options: Partial<StaticFileOptions> = {}) {
  const path = join(temporaryDirectory(), "instances.yaml");
  if (text !== undefined) writeFileSync(path, text);
  const source = createStaticFileSource({ path, clock: systemClock, log: silentLogger, ...options });
  context.after(() => source.close());
  await source.ready();
  return { source, path };
}
// proves: registry.static-file, registry.one-contract

viewContract("static file", async (context) => {
  const { source, path } = await open(context, "[]");
  return { view: source, write: async (records) => writeFileSync(path, JSON.stringify(records)) };
});
viewContract("static file that an editor replaces", async (context) => {
  const { source, path } = await open(context, "[]");
  return {
    view: source,
    async write(records) {
      writeFileSync(`${path}.swp`, JSON.stringify({ instances: records }));
      renameSync(`${path}.swp`, path);
    },
  };
});

const two = `
instances:
  - name: gpu-1
    url: http://gpu-1:8000/v1/
    models: [qwen, { id: bge, domains: [embedding], context_window: 512 }]
    labels: { rack: 3 }
    secret: env:GPU_KEY
  - name: local
    service: ollama
    url: http://127.0.0.1:11434
    dialect: ollama
    models: [llama]
`;

test("static file: the short form becomes a full record", limit, async (context) => {
  const { source } = await open(context, two, { hostId: "my-box" });
  const { instances, rejected, stale, policy } = source.current();
  assert.deepEqual({ rejected, stale, policy }, { rejected: [], stale: false, policy: { drained: [] } });
  assert.deepEqual([...instances.keys()], ["gpu-1/gpu-1", "ollama/local"]);
  const gpu = instances.get("gpu-1/gpu-1");
  assert.equal(gpu?.base_url, "http://gpu-1:8000");
  assert.equal(gpu?.host, "gpu-1");
  assert.deepEqual(gpu?.labels, { rack: "3" });
  assert.equal(gpu?.secret, "env:GPU_KEY");
  assert.equal(gpu?.readiness_path, "/v1/models");
  assert.deepEqual(gpu?.metadata.capabilities.domains, ["chat", "embedding"]);
  assert.deepEqual(
    gpu?.metadata.endpoints.map((endpoint) => endpoint.operation_id),
    ["chat.completions.create", "completions.create", "embeddings.create"],
  );
  assert.equal(gpu?.metadata.models[1]?.context_window, 512);
  const local = instances.get("ollama/local");
  assert.equal(local?.host, "my-box");
  assert.equal(local?.dialect, "ollama");
});

test("static file: what is wrong with one entry is said with its line, and harms no other", limit, async (context) => {
  const { source } = await open(
    context,
    `- { name: good, url: http://a, models: [m] }
- { name: typo, url: http://a, models: [m], lables: {} }
- { name: nowhere, models: [m] }
- { name: useless, url: http://a }
- just a text
- { name: good, url: http://b, models: [m] }
- { name: badurl, url: "http://user:pw@a", models: [m] }
- { name: old, base_url: http://a, metadata: { models: [m] } }
`,
  );
  const { instances, rejected } = source.current();
  assert.deepEqual([...instances.keys()], ["good/good", "old/old"]);
  const reasons = new Map(rejected.map(({ key, reason }) => [key, reason]));
  assert.match(reasons.get("typo/typo") ?? "", /^line 2: .*lables.*did you mean 'labels'\?/);
  assert.match(reasons.get("nowhere/nowhere") ?? "", /^line 3: url: is missing/);
  assert.match(reasons.get("useless/useless") ?? "", /^line 4: models: is missing/);
  assert.match(reasons.get("line 5") ?? "", /^line 5: /);
  assert.match(reasons.get("good/good") ?? "", /^line 6: listed twice/);
  assert.match(reasons.get("badurl/badurl") ?? "", /^line 7: base_url: no credentials/);
});

for (const [what, text, reason] of [
  ["that is no YAML", "instances:\n  - {name: a\n  - b: [", /^line \d+, column \d+: /],
  ["that is empty", "", /write instances: \[\]/],
  ["that holds something else", "instances: 5", /must be a list/],
  ["that repeats a key", "instances: []\ninstances: []", /^line 2, column 1: /],
] as const) {
  // proves: registry.static-file
  test(`static file: a file ${what} leaves the last good state, and says why`, limit, async (context) => {
    const { source, path } = await open(context, two);
    const before = source.current();
    writeFileSync(path, text);
    const broken = await snapshotWhen(source, (now) => now.stale);
    assert.equal(broken.instances, before.instances);
    assert.match(source.problem() ?? "", reason);
    assert.deepEqual(broken.rejected, [{ key: basename(path), reason: source.problem() }]);
    writeFileSync(path, two);
    const healed = await snapshotWhen(source, (now) => !now.stale);
    assert.deepEqual(healed.rejected, []);
    assert.deepEqual([...healed.instances], [...before.instances], "the same records");
  });
}

test(
  "static file: one that is taken away leaves the last good state; one that comes is read",
  limit,
  async (context) => {
    const { source, path } = await open(context);
    assert.match(source.problem() ?? "", /does not exist/);
    assert.equal(source.current().instances.size, 0);
    writeFileSync(path, two);
    await snapshotWhen(source, (now) => now.instances.size === 2 && !now.stale);
    rmSync(path);
    const gone = await snapshotWhen(source, (now) => now.stale);
    assert.equal(gone.instances.size, 2);
    writeFileSync(path, two);
    await snapshotWhen(source, (now) => !now.stale);
  },
);

test("static file: a file system that tells nothing is asked every two seconds", limit, async (context) => {
  const clock = new FakeClock();
  const directory = join(temporaryDirectory(), "not-yet");
  // A directory that does not exist cannot be watched.
  const path = join(directory, "instances.yaml");
  const source = createStaticFileSource({ path, clock, log: silentLogger });
  context.after(() => source.close());
  await source.ready();
  mkdirSync(directory);
  writeFileSync(path, two);
  await clock.tick(1_999);
  assert.match(source.problem() ?? "", /does not exist/);
  await clock.tick(1);
  await snapshotWhen(source, (now) => now.instances.size === 2);
});

test("static file: entries may share what an anchor names, as often as they like", limit, async (context) => {
  const entries = Array.from({ length: 300 }, (_, at) => `- { name: i${at}, url: http://a, models: *models }`);
  const { source } = await open(context, `shared: &models [m]\ninstances:\n${entries.join("\n")}\n`);
  assert.equal(source.current().instances.size, 300);
});

test("static file: too large a file is refused unread", limit, async (context) => {
  const { source } = await open(context, `# ${"x".repeat(1024 * 1024)}\n[]`);
  assert.match(source.problem() ?? "", /larger than/);
});

test("static file: a full record needs no digest", limit, async (context) => {
  const { metadata_digest: _, ...full } = record("a");
  const { source } = await open(
    context,
    JSON.stringify([full, { ...record("b"), metadata_digest: `sha256:${"0".repeat(64)}` }]),
  );
  assert.deepEqual([...source.current().instances], [["chat/a", record("a")]]);
  assert.match(source.current().rejected[0]?.reason ?? "", /metadata_digest/);
});
