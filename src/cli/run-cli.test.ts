import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { makeDirectory } from "../../test/support/command-line.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { NexusError } from "../base/errors.ts";
import type { PlatformStatus, ProcessInfo } from "../control/status.ts";
import { listenToInterrupts } from "./interrupts.ts";
import type { Roles, StartedPlatform } from "./roles.ts";
import { runCli } from "./run-cli.ts";
import { createTerminal } from "./terminal.ts";

/** A command line in this process, with roles of the test's own. */
function makeCli(startPlatform: Roles["startPlatform"]) {
  const written = { stdout: "", stderr: "" };
  const stream = (name: keyof typeof written) => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const signals = new EventEmitter();
  const unused = async () => assert.fail("not for this test");
  const run = (argv: readonly string[]) =>
    runCli(argv, {
      terminal: createTerminal({ stdout: stream("stdout"), stderr: stream("stderr"), stdin: {}, environment: {} }),
      environment: {},
      workingDirectory: "/",
      stdin: new PassThrough(),
      stdout: new PassThrough(),
      interrupts: listenToInterrupts(signals, () => assert.fail("nothing hangs here")),
      entry: "/main.ts",
      version: "1.2.3",
      roles: { startPlatform, runGateway: unused, stopOrphans: unused, findOrphans: unused },
    });
  return { run, written, signals };
}

const gateway: ProcessInfo = {
  name: "gateway",
  state: "running",
  ready: true,
  pid: 1,
  url: "http://127.0.0.1:8800",
  adopted: false,
  restarts: 0,
  uptime_seconds: 1,
  reason: null,
  log_file: null,
  readiness: null,
};

const ready: PlatformStatus = {
  version: "1.2.3",
  state: "ready",
  started_at: "2026-01-01T00:00:00Z",
  uptime_seconds: 1,
  data_directory: "/data",
  config_file: null,
  address: { host: "0.0.0.0", port: 8800 },
  auth: "keys",
  processes: [gateway],
  registry: { revision: 1, stale: false, rejected: [] },
  instances: [],
  attachments: [],
  models: [],
  drained: [],
  problems: [],
};

function makePlatform(status: PlatformStatus, firstKey?: string) {
  const stopped = Promise.withResolvers<void>();
  let kills = 0;
  const platform: StartedPlatform = {
    status: () => status,
    makeFirstKey: async () => firstKey,
    stop: async () => stopped.resolve(),
    reload: () => {},
    kill: () => {
      kills++;
    },
    stopped: stopped.promise,
  };
  return { platform, kills: () => kills };
}

test("up prints its document as soon as the gateway is ready, and ends when the platform does", async (t) => {
  const { platform } = makePlatform(ready, "nxs_first");
  const { run, written } = makeCli(async () => platform);
  const ending = run(["up", "--json", "--data", await makeDirectory(t)]);
  await waitFor("its document", () => written.stdout !== "");
  const printed = JSON.parse(written.stdout) as { first_key: string; status: PlatformStatus };
  assert.equal(printed.first_key, "nxs_first");
  await platform.stop();
  assert.equal(await ending, 0);
  assert.equal(JSON.parse(written.stdout).first_key, "nxs_first", "nothing else on stdout");
});

test("lines to paste: a model whose name means something to a shell, and no key where none is asked for", async (t) => {
  const model = {
    id: "it's $HOME",
    domains: ["chat" as const],
    context_window: null,
    state: "loaded" as const,
    instances: ["llm/local"],
  };
  const { platform } = makePlatform({ ...ready, auth: "none", models: [model] });
  const { run, written } = makeCli(async () => platform);
  const ending = run(["up", "--data", await makeDirectory(t)]);
  await waitFor("its last line", () => written.stdout.includes("stops"));
  assert.match(written.stdout, /OPENAI_BASE_URL=http:\/\/127\.0\.0\.1:8800\/v1\n/, "an address that a client can use");
  assert.match(written.stdout, /-d '\{"model":"it'\\''s \$HOME"/);
  assert.doesNotMatch(written.stdout, /Authorization/);
  await platform.stop();
  await ending;
});

test("a gateway that gives up ends up with its reason, and nothing is left running", async (t) => {
  const broken = { ...gateway, state: "failed" as const, ready: null, reason: "exited with code 1" };
  const { platform } = makePlatform({ ...ready, state: "starting", processes: [broken] });
  const { run, written } = makeCli(async () => platform);
  assert.equal(await run(["up", "--data", await makeDirectory(t)]), 1);
  await platform.stopped;
  assert.match(written.stderr, /The gateway does not start: exited with code 1\.\n.*nexus logs gateway/);
});

test("an interrupt before the platform has begun stops it as soon as it has", async (t) => {
  const started = Promise.withResolvers<StartedPlatform>();
  const { platform, kills } = makePlatform({ ...ready, state: "starting" });
  const asked = Promise.withResolvers<void>();
  const { run, signals } = makeCli(() => {
    asked.resolve();
    return started.promise;
  });
  const ending = run(["up", "--data", await makeDirectory(t)]);
  await asked.promise;
  signals.emit("SIGINT");
  started.resolve(platform);
  assert.equal(await ending, 0);
  assert.equal(kills(), 0);
});

test("what a role throws ends in its message, its code and its exit status", async (t) => {
  const data = await makeDirectory(t);
  const cases = [
    [new NexusError("conflict", "Taken."), 1, "conflict"],
    [new NexusError("permission_denied", "Not yours."), 4, "permission_denied"],
    [new NexusError("not_ready", "Wait."), 3, "not_ready"],
    [new NexusError("invalid_request", "No."), 2, "invalid_request"],
    [new Error("a defect"), 1, "internal_error"],
  ] as const;
  for (const [error, exitCode, code] of cases) {
    const { run, written } = makeCli(async () => Promise.reject(error));
    assert.equal(await run(["up", "--json", "--data", data]), exitCode);
    const document = JSON.parse(written.stdout) as { error: { message: string; code: string } };
    assert.deepEqual([document.error.message, document.error.code], [error.message, code]);
    assert.equal(written.stderr, "");
  }
});
