import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { composeConfig } from "../../src/config/compose.ts";
import { loadConfig } from "../../src/config/load.ts";
import { type Config, configSchema } from "../../src/config/schema.ts";
import { parseYamlSource } from "../../src/config/yaml-source.ts";
import { createEmbeddedRegistry } from "../../src/registry/embedded-registry.ts";
import { openServers } from "../../src/roles/open-servers.ts";
import type { Supervisor } from "../../src/supervisor/create-supervisor.ts";
import { startBackend } from "../support/see-backend.ts";
import { waitFor } from "../support/wait-for.ts";

function compose(sections: Record<string, unknown>): Config {
  const source = parseYamlSource(JSON.stringify({ discovery: { enabled: false }, ...sections }));
  return composeConfig(configSchema, { name: "f", source }, []).config;
}

/** The servers of a platform under this configuration, which the test changes. */
async function open(t: TestContext, sections: Record<string, unknown>) {
  const directory = mkdtempSync(join(tmpdir(), "nexus-servers-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const registry = createEmbeddedRegistry({ clock: systemClock, log: silentLogger });
  const loaded = await loadConfig({
    flags: { data: directory },
    environment: {},
    workingDirectory: directory,
    homeDirectory: directory,
  });
  const supervisor: Pick<Supervisor, "status"> = { status: () => [] };
  const servers = openServers({
    request: { loaded: { ...loaded, config: compose(sections) }, version: "0", entry: "", environment: {} },
    hostId: "desk",
    registry,
    supervisor,
    resolveSecret: async () => "key",
    clock: systemClock,
    log: silentLogger,
  });
  servers.start();
  t.after(async () => {
    await servers.stop();
    await registry.close();
  });
  const until = (isSo: () => boolean) => waitFor(() => JSON.stringify(servers.attacher.list()), isSo);
  return {
    servers,
    until,
    names: () => servers.attacher.list().map(({ name }) => name),
    instances: () => [...registry.current().instances.values()].map(({ base_url }) => base_url).sort(),
    records: () => registry.current().instances,
    take: (next: Record<string, unknown>) => servers.prepare(compose(next))(),
  };
}

describe("servers under another configuration", { timeout: 60_000 }, () => {
  // proves: reload.only-what-changed
  it("come, go and change while the others are left alone", async (t) => {
    const [one, two, three] = await Promise.all([
      startBackend(t, "ollama"),
      startBackend(t, "vllm"),
      startBackend(t, "llama-cpp"),
    ]);
    const platform = await open(t, { attach: [{ url: one.url, name: "one" }, { url: two.url }] });
    const { take, until, names, instances, records } = platform;
    await until(() => instances().length === 2);
    const kept = [...records().values()].find(({ base_url }) => base_url === one.url);

    take({
      attach: [
        { url: one.url, name: "one" },
        { url: three.url, name: "three" },
      ],
    });
    assert.deepEqual(names(), ["one", "three"]);
    await until(() => instances().join() === [one.url, three.url].sort().join());
    assert.equal(
      [...records().values()].find(({ base_url }) => base_url === one.url),
      kept,
      "the same record",
    );

    // The same server in other words: it leaves before it comes again.
    take({ attach: [{ url: one.url, name: "uno", labels: { zone: "x" } }] });
    await until(() => [...records().values()].some(({ labels }) => labels.zone === "x"));
    assert.deepEqual([names(), instances()], [["uno"], [one.url]]);
  });

  it("count more than the operator's own, which they replace", async (t) => {
    const server = await startBackend(t, "ollama");
    const { servers, take, until, names, instances } = await open(t, {});
    await servers.attacher.attach({ url: server.url, name: "by-hand" });
    take({ attach: [{ url: server.url, name: "by-file" }] });
    assert.deepEqual(names(), ["by-file"]);
    await until(() => servers.attacher.list()[0]?.state === "ready");
    assert.deepEqual(instances(), [server.url]);
    take({});
    await until(() => instances().length === 0);
  });

  it("are found on other ports, or not any more", async (t) => {
    const [one, two] = await Promise.all([startBackend(t, "ollama"), startBackend(t, "vllm")]);
    const find = (...ports: number[]) => ({ discovery: { enabled: true, ports } });
    const { take, until, names, instances } = await open(t, find(one.port));
    await until(() => instances().join() === one.url);
    take(find(two.port));
    await until(() => instances().join() === two.url);
    take({ discovery: { enabled: false, ports: [one.port, two.port] } });
    await until(() => instances().length === 0);
    assert.deepEqual(names(), []);
    take(find(one.port, two.port));
    await until(() => instances().length === 2);
  });
});
