import assert from "node:assert/strict";
import { test } from "node:test";
import { servicesConfigSchema, toProcessSpec } from "./config.ts";

const minimal = { name: "ollama", command: ["ollama", "serve"] };

test("services: a name and a command are enough", () => {
  const [service] = servicesConfigSchema.parse([minimal]);
  assert.ok(service !== undefined);
  assert.equal(service.enabled, true);
  assert.deepEqual(toProcessSpec(service, "/data"), {
    ...minimal,
    env: {},
    cwd: "/data",
    niceness: 0,
    graceMs: 60_000,
    stopGraceMs: 10_000,
  });
});

test("services: all that can be said arrives in the spec", () => {
  const url = "http://127.0.0.1:11434";
  const said = {
    url,
    healthPath: "/",
    readyPath: "/readyz",
    env: { A: "1" },
    cwd: "/opt",
    niceness: 7,
    graceMs: 0,
    stopGraceMs: 1,
  };
  const [service] = servicesConfigSchema.parse([{ ...minimal, ...said }]);
  assert.ok(service !== undefined);
  assert.deepEqual(toProcessSpec(service, "/data"), {
    ...minimal,
    env: { A: "1" },
    cwd: "/opt",
    url,
    health: { path: "/" },
    ready: { path: "/readyz" },
    niceness: 7,
    graceMs: 0,
    stopGraceMs: 1,
  });
});

test("services: what cannot be meant is refused", () => {
  const refused: readonly object[][] = [
    [{ ...minimal, name: "parent" }],
    [{ ...minimal, name: "Upper" }],
    [{ ...minimal, name: "../x" }],
    [{ ...minimal, command: [] }],
    [{ ...minimal, comand: ["typo"] }],
    [{ ...minimal, url: "unix:/x" }],
    [{ ...minimal, healthPath: "health" }],
    [{ ...minimal, env: { "A=B": "1" } }],
    [minimal, minimal],
  ];
  for (const services of refused) assert.equal(servicesConfigSchema.safeParse(services).success, false);
});
