import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRecord, makeSnapshot } from "../../test/support/records.ts";
import type { ProcessStatus } from "../supervisor/process-status.ts";
import { describePlatform, type PlatformFacts } from "./describe-platform.ts";

function makeProcess(fields: Partial<ProcessStatus> & { name: string }): ProcessStatus {
  return {
    state: "running",
    pid: 7,
    startedAt: 5_000,
    isAdopted: false,
    isReady: true,
    url: undefined,
    restarts: 0,
    reason: undefined,
    retryInMs: undefined,
    logFile: undefined,
    ...fields,
  };
}

function describe(facts: Partial<PlatformFacts> = {}) {
  return describePlatform({
    version: "1.2.3",
    startedAt: 1_000,
    now: 61_000,
    dataDirectory: "/data",
    configFile: undefined,
    auth: "keys",
    isStopping: false,
    snapshot: makeSnapshot([]),
    processes: [makeProcess({ name: "gateway", url: "http://127.0.0.1:8800" })],
    readiness: new Map(),
    attachments: [],
    problems: [],
    ...facts,
  });
}

test("the platform is ready when its gateway is, and its address is the gateway's", () => {
  const status = describe();
  assert.equal(status.state, "ready");
  assert.deepEqual(status.address, { host: "127.0.0.1", port: 8800 });
  assert.equal(status.uptime_seconds, 60);
  assert.equal(status.processes[0]?.uptime_seconds, 56);
  assert.equal(describe({ processes: [makeProcess({ name: "gateway", isReady: false })] }).state, "starting");
  assert.equal(describe({ isStopping: true }).state, "stopping");
  const six = describe({ processes: [makeProcess({ name: "gateway", url: "http://[::1]:80" })] });
  assert.deepEqual(six.address, { host: "::1", port: 80 });
});

test("a model is one entry with all its instances; drained ones are marked", () => {
  const records = [
    makeRecord({ instance: "a", models: [{ id: "m", aliases: ["n"], state: "available", context_window: 100 }] }),
    makeRecord({
      instance: "b",
      models: [
        { id: "m", state: "loaded", context_window: 200 },
        { id: "k", state: "available" },
      ],
    }),
  ];
  const drained = [{ kind: "instance" as const, name: "chat/a", reason: "", since: "2026-01-01T00:00:00Z" }];
  const snapshot = { ...makeSnapshot(records), policy: { drained } };
  const { models, instances } = describe({ snapshot });
  assert.deepEqual(
    models.map(({ id, state, context_window, instances: keys }) => [id, state, context_window, keys]),
    [
      ["k", "available", null, ["chat/b"]],
      ["m", "loaded", 200, ["chat/a", "chat/b"]],
    ],
  );
  assert.deepEqual(
    instances.map(({ key, drained: isDrained }) => [key, isDrained]),
    [
      ["chat/a", true],
      ["chat/b", false],
    ],
  );
});

test("whatever is wrong is listed with what to do about it", () => {
  const { problems } = describe({
    processes: [
      makeProcess({ name: "gateway" }),
      makeProcess({ name: "web", state: "failed", reason: "exited with code 1" }),
      makeProcess({ name: "api", state: "backoff", reason: "killed" }),
      makeProcess({ name: "llm", isReady: false }),
    ],
    readiness: new Map([
      [
        "llm",
        {
          ready: false,
          state: "failed" as const,
          checks: { model: { status: "failed" as const, reason: "no source" } },
        },
      ],
      // Ready by now: its last complaint is old.
      ["gateway", { ready: false, state: "failed" as const, checks: { x: { status: "failed" as const } } }],
    ]),
    snapshot: { ...makeSnapshot([]), rejected: [{ key: "chat/x", reason: "bad" }] },
    attachments: [
      {
        name: "desk",
        url: "http://10.0.0.1:11434",
        source: "operator",
        dialect: "ollama",
        instance: "ollama/desk",
        state: "failed",
        state_reason: "refused",
        models: [],
        labels: {},
        key_from: null,
        attached_at: "2026-01-01T00:00:00Z",
      },
    ],
    problems: [{ subject: "registry", message: "disk full", fix: "Make room." }],
  });
  assert.deepEqual(
    problems.map(({ subject }) => subject),
    ["registry", "web", "api", "llm", "desk", "chat/x"],
  );
  for (const { message, fix } of problems) assert.ok(message !== "" && fix !== "");
  assert.match(problems[3]?.message ?? "", /no source/);
});
