import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { conformanceChecks, runConformance } from "../../src/contract/conformance/run-conformance.ts";
import { jsonSchemas } from "../../src/contract/generate-json-schemas.ts";
import { operations } from "../../src/contract/operations.ts";
import { registryRoutes } from "../../src/control/registry-routes.ts";
import { startControlServer } from "../../src/control/server.ts";
import { createEmbeddedRegistry } from "../../src/registry/embedded-registry.ts";
import type { RegistrySnapshot } from "../../src/registry/registry.ts";
import { readServiceEnvironment, runService } from "../../src/service-kit/index.ts";
import { goodService } from "../fakes/good-service.ts";

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

async function failures(t: TestContext, baseUrl: string) {
  const failed: { id: string; reason: string }[] = [];
  for await (const { id, status, reason } of runConformance({ baseUrl, signal: t.signal })) {
    if (status === "fail") failed.push({ id, reason });
  }
  return failed;
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

const python = spawnSync("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 9))"]).status === 0;

test("the example in Python passes every check, registers, and drains", {
  timeout: 60_000,
  skip: python ? false : "python3 (3.9 or newer) is not installed",
}, async (t) => {
  const control = await startControl(t);
  const [, source] = /^```python\n([\s\S]*?)^```$/m.exec(section("A whole service in Python")) ?? [];
  assert.ok(source);
  const file = join(control.directory, "parrot.py");
  await writeFile(file, source);
  const child = spawn("python3", [file], {
    env: { PATH: process.env.PATH, NEXUS_CONTROL_URL: control.url, NEXUS_INSTANCE: "polly", NEXUS_HOST_ID: "box" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "close");
  const { instances } = await control.until((now) => now.instances.has("parrot/polly"));
  const record = instances.get("parrot/polly");
  assert.equal(record?.state, "ready");
  assert.deepEqual(await failures(t, record.base_url), []);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  assert.equal((await control.until((now) => now.instances.size === 0)).rejected.length, 0);
});
