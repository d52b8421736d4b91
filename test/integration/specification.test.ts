import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { startService } from "../../src/cli/started-service.ts";
import { conformanceChecks } from "../../src/contract/conformance/run-conformance.ts";
import { jsonSchemas } from "../../src/contract/generate-json-schemas.ts";
import { operations } from "../../src/contract/operations.ts";
import { registryRoutes } from "../../src/control/registry-routes.ts";
import { startControlServer } from "../../src/control/server.ts";
import { createEmbeddedRegistry } from "../../src/registry/embedded-registry.ts";
import type { RegistrySnapshot } from "../../src/registry/registry.ts";
import { readServiceEnvironment, runService } from "../../src/service-kit/index.ts";
import { goodService } from "../fakes/good-service.ts";
import { makeDirectory } from "../support/command-line.ts";
import { failuresOf, report } from "../support/conformance.ts";
import { needs } from "../support/needs.ts";
import { waitForModel } from "../support/platform.ts";
import { startPlatformFor } from "../support/started-platform.ts";

const text = await readFile(new URL("../../SERVICE_API_SPECIFICATION.md", import.meta.url), "utf8");

/** The lines of one section, without its subsections' end. */
function section(title: string): string {
  const start = text.indexOf(`\n## ${title}\n`);
  assert.ok(start >= 0, title);
  const end = text.indexOf("\n## ", start + 1);
  return text.slice(start, end < 0 ? undefined : end);
}

test("the checklist is the table of the checks", () => {
  const rows = [...section("Checklist").matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)].map(([, id, title]) => ({
    id,
    title,
  }));
  assert.deepEqual(
    rows,
    conformanceChecks.map(({ id, title }) => ({ id, title })),
  );
});

test("every field of the contract's documents is explained", () => {
  const names = new Set<string>();
  const collect = (schema: unknown): void => {
    if (typeof schema !== "object" || schema === null) return;
    for (const [key, value] of Object.entries(schema)) {
      if (key === "properties") for (const name of Object.keys(value as object)) names.add(name);
      collect(value);
    }
  };
  const { "policy.schema.json": _policy, ...documents } = jsonSchemas();
  collect(documents);
  assert.deepEqual(
    [...names].filter((name) => !text.includes(`\`${name}\``) && !text.includes(`"${name}"`)),
    [],
  );
});

test("every operation stands in the table of operations", () => {
  for (const { id, owner, method, path, body, answers, domains } of operations) {
    const served = owner === "instance" ? ` ${domains.join(", ")} |` : "";
    const row = `\n| \`${id}\` | \`${method} ${path}\` | ${body} | ${answers.join(", ")} |${served}\n`;
    assert.ok(section("Operations").includes(row), row);
  }
});

test("every variable that the kit reads stands in the table of the environment", () => {
  const read: string[] = [];
  const watching = new Proxy<Record<string, string | undefined>>(
    {},
    {
      get: (_, name) => {
        read.push(String(name));
        return undefined;
      },
    },
  );
  readServiceEnvironment(watching);
  const listed = [...section("Environment").matchAll(/^\| `(NEXUS_\w+)` \|/gm)].map(([, name]) => String(name));
  assert.deepEqual(listed.sort(), [...new Set(read)].sort());
});

/** A platform's registry behind its control API on a Unix socket. */
async function startControl(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "nexus-spec-"));
  const socketPath = join(directory, "control.sock");
  const registry = createEmbeddedRegistry({ clock: systemClock, log: silentLogger });
  const mount = (app: Parameters<typeof registryRoutes>[0]) =>
    void app.register(registryRoutes, { registry, clock: systemClock });
  const server = await startControlServer({ socketPath, routes: [mount], log: silentLogger });
  t.after(async () => {
    await server.close();
    await registry.close();
    await rm(directory, { recursive: true, force: true });
  });
  const until = async (fits: (snapshot: RegistrySnapshot) => boolean): Promise<RegistrySnapshot> => {
    while (!fits(registry.current())) {
      await new Promise<void>((resolve) => {
        const stop = registry.onChange(() => {
          stop();
          resolve();
        });
      });
    }
    return registry.current();
  };
  return { directory, url: `unix:${socketPath}`, until };
}

test("a service of the kit registers over the control's socket and takes its record away", async (t) => {
  const control = await startControl(t);
  const environment = readServiceEnvironment({ NEXUS_INSTANCE: "one", NEXUS_CONTROL_URL: control.url });
  const running = await runService(goodService(), environment, { ownsProcess: false, log: silentLogger });
  t.after(() => running.close());
  const { instances } = await control.until((now) => now.instances.get("good/one")?.state === "ready");
  assert.equal(instances.get("good/one")?.base_url, running.url);
  await running.close();
  assert.equal((await control.until((now) => now.instances.size === 0)).rejected.length, 0);
});

const python = needs(
  "python3 (3.9 or newer)",
  runs("python3", "-c", "import sys; sys.exit(sys.version_info < (3, 9))"),
);
const shell = needs(
  "jq and systemd-socket-activate",
  runs("jq", "--version") && runs("systemd-socket-activate", "--help"),
);

function runs(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args).status === 0;
}

/** Writes the example in one language to a file, and resolves to the path. */
async function writeExample(directory: string, title: string, name: string): Promise<string> {
  const whole = section("Whole services");
  const [, source] = /^```\w+\n([\s\S]*?)^```$/m.exec(whole.slice(whole.indexOf(`### ${title}`))) ?? [];
  assert.ok(source);
  const file = join(directory, name);
  await writeFile(file, source, { mode: 0o755 });
  return file;
}

const repository = fileURLToPath(new URL("../..", import.meta.url));

const examples: readonly (readonly [title: string, name: string, command: string, needed: object])[] = [
  ["In TypeScript", "parrot.ts", process.execPath, {}],
  ["In Python", "parrot.py", "python3", python],
  ["In a shell", "parrot.sh", "", shell],
];

for (const [title, name, command, needed] of examples) {
  // proves: contract.any-language
  test(`the example ${title} passes every check, its end included`, { timeout: 60_000, ...needed }, async (t) => {
    const directory = await makeDirectory(t);
    await mkdir(join(directory, "node_modules"));
    await symlink(repository, join(directory, "node_modules", "nexus"));
    const file = await writeExample(directory, title, name);
    const started = await startService({
      command: `${command} '${file}'`,
      environment: { PATH: process.env.PATH },
      signal: t.signal,
    });
    t.after(() => started.end());
    const results = await report({ baseUrl: started.baseUrl, process: started, signal: t.signal });
    assert.deepEqual(failuresOf(results), []);
    const passed = results.filter(({ status }) => status === "pass").map(({ id }) => id);
    const seen = [
      "chat.answers",
      "stream.cancel",
      "errors.context-length",
      "process.run-file",
      "drain.finishes",
      "drain.exit",
    ];
    assert.deepEqual(
      seen.filter((id) => !passed.includes(id)),
      [],
    );
  });
}

test("the example in Python registers, and takes its record away", { timeout: 60_000, ...python }, async (t) => {
  const control = await startControl(t);
  const file = await writeExample(control.directory, "In Python", "parrot.py");
  const child = spawn("python3", [file], {
    env: { PATH: process.env.PATH, NEXUS_CONTROL_URL: control.url, NEXUS_INSTANCE: "polly", NEXUS_HOST_ID: "box" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "close");
  const { instances } = await control.until((now) => now.instances.has("parrot/polly"));
  assert.equal(instances.get("parrot/polly")?.state, "ready");
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  assert.equal((await control.until((now) => now.instances.size === 0)).rejected.length, 0);
});

// proves: contract.any-language
test("a service of nothing but Python's library serves through the gateway", {
  timeout: 60_000,
  ...python,
}, async (t) => {
  const platform = await startPlatformFor(t);
  const file = await writeExample(await makeDirectory(t), "In Python", "parrot.py");
  const control = `unix:${join(platform.data, "control.sock")}`;
  const child = spawn("python3", [file], {
    env: { PATH: process.env.PATH, NEXUS_CONTROL_URL: control },
    stdio: "ignore",
  });
  t.after(() => child.kill("SIGKILL"));
  await waitForModel(platform, "parrot-1", 20_000);
  const chat = async (fields: object) =>
    await fetch(`${platform.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${platform.key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "parrot-1", messages: [{ role: "user", content: "Polly wants it" }], ...fields }),
    });
  const whole = await chat({});
  assert.equal(whole.status, 200);
  const { choices } = (await whole.json()) as { choices: { message: { content: string } }[] };
  assert.equal(choices[0]?.message.content, "Polly wants it");
  const stream = await (await chat({ stream: true })).text();
  assert.equal(stream.match(/"content": ?"[^"]+"/g)?.length, 3);
  assert.match(stream, /data: \[DONE\]\n\n$/);
  const tooLong = await chat({ messages: [{ role: "user", content: "word ".repeat(5_000) }] });
  assert.equal(tooLong.status, 400);
  assert.equal(((await tooLong.json()) as { error: { code: string } }).error.code, "context_length_exceeded");
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
});
