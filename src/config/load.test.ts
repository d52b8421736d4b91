import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ConfigError } from "./config-error.ts";
import { type ConfigFlags, loadConfig } from "./load.ts";

async function makePlace(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "nexus-config-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const write = async (name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };
  const load = (flags: ConfigFlags = {}, environment: Record<string, string> = {}) =>
    loadConfig({ flags, environment, workingDirectory: directory, homeDirectory: directory });
  const problems = async (flags: ConfigFlags = {}, environment: Record<string, string> = {}) => {
    const error = await load(flags, environment).then(
      () => assert.fail("it must be refused"),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split("\n");
  };
  return { directory, write, load, problems };
}

test("without a file the defaults hold", async (t) => {
  const { load, directory } = await makePlace(t);
  const { config, file, paths, originOf } = await load();
  assert.equal(file, undefined);
  assert.equal(config.listen.port, 8800);
  assert.equal(config.listen.host, "127.0.0.1");
  assert.equal(originOf(["listen", "port"]), "default");
  assert.equal(paths.root, join(directory, ".nexus"));
});

test("flags stand above the environment, that above the file, that above the defaults", async (t) => {
  const { write, load } = await makePlace(t);
  await write("nexus.yaml", "listen:\n  host: 127.0.0.2\n  port: 1\nlogs:\n  level: warn\n");
  const { config, originOf } = await load({ port: 3 }, { NEXUS_PORT: "2", NEXUS_LOG_LEVEL: "error" });
  assert.deepEqual(config.listen, { host: "127.0.0.2", port: 3 });
  assert.equal(config.logs.level, "error");
  assert.equal(originOf(["listen", "host"]), "file");
  assert.equal(originOf(["listen", "port"]), "flag");
  assert.equal(originOf(["logs", "level"]), "env");
  assert.equal(originOf(["gateway", "retry", "attemptsMax"]), "default");
});

test("an empty variable is one that was not set", async (t) => {
  const { load } = await makePlace(t);
  const { config } = await load({}, { NEXUS_PORT: "", NEXUS_CONFIG: "", NEXUS_DATA: "" });
  assert.equal(config.listen.port, 8800);
});

test("the file is the named one, else the data directory's, else the working directory's", async (t) => {
  const { write, load, directory } = await makePlace(t);
  const data = join(directory, "data");
  await import("node:fs/promises").then(({ mkdir }) => mkdir(data));
  await write("nexus.yaml", "listen: { port: 1 }");
  assert.equal((await load({ data })).config.listen.port, 1);
  await write("data/nexus.yaml", "listen: { port: 2 }");
  assert.equal((await load({ data })).config.listen.port, 2);
  await write("third.yaml", "listen: { port: 3 }");
  assert.equal((await load({ data }, { NEXUS_CONFIG: "third.yaml" })).config.listen.port, 3);
  await write("fourth.yaml", "listen: { port: 4 }");
  assert.equal((await load({ data, config: "fourth.yaml" }, { NEXUS_CONFIG: "third.yaml" })).config.listen.port, 4);
});

test("a named file that isn't there is refused", async (t) => {
  const { problems } = await makePlace(t);
  assert.deepEqual(await problems({ config: "missing.yaml" }), ["missing.yaml  no such file"]);
});

test("every problem is listed with its line, its key and what was meant", async (t) => {
  const { write, problems } = await makePlace(t);
  await write(
    "nexus.yaml",
    `listen:
  prot: 8800
  host: 5
gateway:
  retry:
    attemptsMax: 99
    budgetRatio: much
gatway: {}
services:
  - name: Web
    command: [run]
  - name: web
    command: run
    comand: [x]
logs: { level: loud }
`,
  );
  assert.deepEqual(await problems(), [
    "nexus.yaml:2  listen.prot: unknown key; did you mean 'port'?",
    "nexus.yaml:3  listen.host: must be text",
    "nexus.yaml:6  gateway.retry.attemptsMax: must be at most 10",
    "nexus.yaml:7  gateway.retry.budgetRatio: must be a number",
    "nexus.yaml:8  gatway: unknown key; did you mean 'gateway'?",
    "nexus.yaml:10  services[0].name: use 1 to 63 lower-case letters, digits and inner hyphens; `parent` is taken by Nexus itself.",
    "nexus.yaml:13  services[1].command: must be a list",
    "nexus.yaml:14  services[1].comand: unknown key; did you mean 'command'?",
    "nexus.yaml:15  logs.level: must be one of debug, info, warn, error, silent",
  ]);
});

test("a problem names the variable or the flag that it comes from", async (t) => {
  const { write, problems } = await makePlace(t);
  await write("nexus.yaml", "listen: { port: 80 }");
  assert.deepEqual(await problems({}, { NEXUS_PORT: "99999" }), ["NEXUS_PORT  listen.port: must be at most 65535"]);
  assert.deepEqual(await problems({}, { NEXUS_PORT: "many" }), ["NEXUS_PORT  must be a whole number"]);
  assert.deepEqual(await problems({}, { NEXUS_BUILTIN_LLM: "maybe" }), ["NEXUS_BUILTIN_LLM  must be true or false"]);
  assert.deepEqual(await problems({ host: "" }), ["--host  listen.host: must not be empty"]);
});

test("broken YAML is refused with its line", async (t) => {
  const { write, problems } = await makePlace(t);
  await write("nexus.yaml", "listen:\n  port: [1\nlogs: {}\n");
  assert.match((await problems())[0] ?? "", /^nexus\.yaml:3 {2}/);
  await write("nexus.yaml", "listen: { port: 1 }\nlisten: { port: 2 }\n");
  assert.match((await problems())[0] ?? "", /^nexus\.yaml:2 {2}.*unique/);
  await write("nexus.yaml", "- listen\n");
  assert.deepEqual(await problems(), ["nexus.yaml:1  must be a map of keys, such as `listen:`"]);
});

test("an alias bomb is refused", async (t) => {
  const { write, problems } = await makePlace(t);
  const levels = Array.from({ length: 12 }, (_, level) =>
    level === 0 ? "a0: &a0 [x, x]" : `a${level}: &a${level} [${`*a${level - 1}, `.repeat(9)}]`,
  );
  await write("nexus.yaml", levels.join("\n"));
  assert.match((await problems())[0] ?? "", /alias/i);
});

// proves: gateway.keyless
test("keyless is for loopback addresses only", async (t) => {
  const { write, load, problems } = await makePlace(t);
  await write("nexus.yaml", "auth: { mode: none }\n");
  for (const host of ["127.0.0.1", "127.1.2.3", "::1", "localhost", "[::1]", "::ffff:127.0.0.1"]) {
    assert.equal((await load({ host })).config.auth.mode, "none");
  }
  for (const host of ["0.0.0.0", "::", "192.168.1.5", "example.test", "::ffff:10.0.0.1", "127.0.0.1.example.test"]) {
    assert.match((await problems({ host }))[0] ?? "", /^nexus\.yaml:1 {2}auth\.mode: `none` lets everybody in/);
  }
});

test("the configuration is frozen to its depth", async (t) => {
  const { write, load } = await makePlace(t);
  await write("nexus.yaml", "services:\n  - { name: web, command: [run], env: { A: b } }\n");
  const { config } = await load();
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.services) && Object.isFrozen(config.gateway.timeouts));
  assert.throws(() => Object.assign(config.services[0]?.env ?? {}, { A: "c" }), TypeError);
});

test("relative paths are meant from where the file is", async (t) => {
  const { write, load, directory } = await makePlace(t);
  await import("node:fs/promises").then(({ mkdir }) => mkdir(join(directory, "etc")));
  await write("etc/nexus.yaml", "models: { directory: ../models }\nregistry: { staticFile: fleet.yaml }\n");
  const { config } = await load({ config: "etc/nexus.yaml" });
  assert.equal(config.models.directory, join(directory, "models"));
  assert.equal(config.registry.staticFile, join(directory, "etc", "fleet.yaml"));
});

test("a misspelt variable is a warning, those of services are not", async (t) => {
  const { load } = await makePlace(t);
  const { warnings } = await load({}, { NEXUS_PROT: "1", NEXUS_HOST_ID: "here", NEXUS_RELEASE: "1", OTHER_PORT: "1" });
  assert.deepEqual(warnings, ["NEXUS_PROT is not read; did you mean NEXUS_PORT?"]);
});

test("a service can't have the name of one of Nexus's own processes", async (t) => {
  const { write, problems } = await makePlace(t);
  await write("nexus.yaml", "services:\n  - { name: gateway, command: [run] }\n");
  assert.deepEqual(await problems(), ["nexus.yaml:2  services[0].name: is the name of a process of Nexus"]);
});
