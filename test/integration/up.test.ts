import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { PlatformStatus } from "../../src/control/status.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { main, nexus } from "../support/command-line.ts";
import type { TestPlatform } from "../support/platform.ts";
import { makeData, startPlatformFor as start, statusOf } from "../support/started-platform.ts";
import { waitFor } from "../support/wait-for.ts";

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

// proves: cli.attach, cli.up-and-down, cli.chat, cli.status
test("attach a server, chat through the gateway, look at the status, detach, stop", { timeout: 120_000 }, async (t) => {
  const backend = await startFakeBackend("ollama");
  t.after(() => backend.close());
  const { data, url, parent } = await start(t);
  const attached = await nexus([
    "attach",
    backend.url,
    "--name",
    "desk",
    "--label",
    "zone=here",
    "--data",
    data,
    "--json",
  ]);
  assert.equal(attached.code, 0, attached.stdout);
  assert.equal((JSON.parse(attached.stdout) as { name: string }).name, "desk");

  const chat = await nexus(["chat", "--data", data, "Hello?"]);
  assert.equal(chat.code, 0, chat.stderr);
  assert.match(chat.stdout, /Zürich, 你好 🌍👩‍🚀/);
  const piped = await nexus(["chat", "--data", data, "--json", "--model", "llama3.2"], { stdin: "Hello?" });
  assert.match((JSON.parse(piped.stdout) as { content: string }).content, /Zürich/);
  const unknown = await nexus(["chat", "--data", data, "--model", "lama3.2", "Hello?"]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /llama3\.2/);

  const status = await statusOf(data);
  assert.equal(status.state, "ready");
  assert.equal(`http://${status.address?.host}:${status.address?.port}`, url);
  assert.deepEqual(
    status.attachments.map(({ name, state }) => [name, state]),
    [["desk", "ready"]],
  );
  assert.ok(status.models.some(({ id }) => id === "llama3.2:latest"));
  assert.equal((await nexus(["detach", "desk", "--data", data])).code, 0);
  assert.deepEqual((await statusOf(data)).instances, []);

  const ended = once(parent, "exit");
  assert.equal((await nexus(["down", "--data", data])).code, 0);
  assert.deepEqual(await ended, [0, null]);
  for (const { pid } of status.processes) assert.ok(pid !== null && !isAlive(pid), "no process is left");
});

// proves: gateway.keys
test("the first start prints a key that works, later starts don't", { timeout: 120_000 }, async (t) => {
  const first = await start(t);
  const key = /OPENAI_API_KEY=(nxs_\S+)/.exec(await untilPrinted(first, /Ctrl-C stops/))?.[1] ?? "";
  const models = (bearer: string) =>
    fetch(`${first.url}/v1/models`, { headers: { authorization: `Bearer ${bearer}` } });
  assert.equal((await models(key)).status, 200);
  assert.equal((await models("nxs_wrong")).status, 401);
  assert.doesNotMatch(first.output(), new RegExp(first.key), "the operator's own key is never shown");
  await first.stop();
  for (const name of ["nexus.db", "operator.key"]) {
    assert.equal(statSync(join(first.data, name)).mode & 0o777, 0o600);
  }
  assert.doesNotMatch(readFileSync(join(first.data, "logs", "control.log"), "utf8"), /nxs_/);
  const second = await start(t, { data: first.data });
  const printed = await untilPrinted(second, /Ctrl-C stops/);
  assert.doesNotMatch(printed, /nxs_/);
  assert.match(printed, /keys create NAME/);
  assert.equal(second.key, first.key, "the verbs go on with their key");
});

function untilPrinted(platform: TestPlatform, pattern: RegExp): Promise<string> {
  return waitFor(`${pattern} on the screen`, () => pattern.test(platform.output()) && platform.output());
}

// proves: cli.survives-parent
test("the gateway outlives a killed parent; the next up adopts it", { timeout: 120_000 }, async (t) => {
  const backend = await startFakeBackend("openai-compatible");
  t.after(() => backend.close());
  const first = await start(t);
  assert.equal((await nexus(["attach", backend.url, "--data", first.data])).code, 0);
  const before = await statusOf(first.data);
  const pid = before.processes[0]?.pid ?? 0;
  const died = once(first.parent, "exit");
  first.parent.kill("SIGKILL");
  await died;
  assert.ok(isAlive(pid));
  assert.equal(await ask(first, before.models[0]?.id ?? ""), 200);
  const orphaned = await nexus(["status", "--data", first.data]);
  assert.equal(orphaned.code, 3);
  assert.match(orphaned.stderr, /still run \(gateway\)/);

  const second = await start(t, { data: first.data });
  const after = await statusOf(second.data);
  assert.equal(after.processes[0]?.pid, pid);
  assert.equal(after.processes[0]?.adopted, true);
  assert.equal(second.url, first.url);
  assert.equal(await ask(second, before.models[0]?.id ?? ""), 200);
});

// proves: cli.up-and-down
test("down stops what a killed parent left", { timeout: 120_000 }, async (t) => {
  const { data, parent } = await start(t);
  const [gateway] = (await statusOf(data)).processes;
  const died = once(parent, "exit");
  parent.kill("SIGKILL");
  await died;
  const down = await nexus(["down", "--data", data, "--json"]);
  assert.deepEqual(JSON.parse(down.stdout), { stopped: ["gateway"] });
  assert.ok(!isAlive(gateway?.pid ?? 0));
  assert.equal((await nexus(["down", "--data", data])).code, 3);
});

async function ask({ url, key }: TestPlatform, model: string): Promise<number> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello?" }] }),
  });
  await response.arrayBuffer();
  return response.status;
}

// proves: cli.side-by-side
test("two platforms run side by side; a third in the same place is refused", { timeout: 120_000 }, async (t) => {
  const [one, other] = [await start(t), await start(t)];
  assert.notEqual(one.url, other.url);
  const third = await nexus(["up", "--no-builtin", "--no-discovery", "--port", "0", "--data", one.data]);
  assert.equal(third.code, 1);
  assert.match(third.stderr, /already runs in/);
  await one.stop();
  assert.equal((await statusOf(other.data)).state, "ready");
});

test("a port that is taken is one clear line, and nothing is left behind", { timeout: 120_000 }, async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  t.after(() => taken.close());
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const data = await makeData(t);
  const { code, stdout, stderr } = await nexus(["up", "--no-builtin", "--port", String(port), "--data", data]);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(
    stderr,
    new RegExp(`^nexus: Port ${port} is taken by another program\\. Choose another with --port.*\\n$`),
  );
  assert.ok(!existsSync(join(data, "run", "parent.json")));
  assert.ok(!existsSync(join(data, "control.sock")));
});

// proves: cli.finds-platform, cli.exit-codes
test("up --detach returns when the gateway is ready, and down ends it", { timeout: 120_000 }, async (t) => {
  const data = await makeData(t);
  const flags = ["--no-builtin", "--no-discovery", "--port", "0", "--data", data];
  const up = await nexus(["up", "--detach", "--json", ...flags]);
  assert.equal(up.code, 0, up.stderr + up.stdout);
  const { status, first_key: key } = JSON.parse(up.stdout) as { status: PlatformStatus; first_key: string };
  assert.match(key, /^nxs_/);
  const env = { NEXUS_URL: `http://127.0.0.1:${status.address?.port}`, NEXUS_API_KEY: key };
  assert.equal((await nexus(["status"], { env })).code, 0, "over the gateway, with the key");
  assert.equal((await nexus(["status"], { env: { ...env, NEXUS_API_KEY: "nxs_wrong" } })).code, 4);
  const made = await nexus(["keys", "create", "guest", "--json"], { env });
  const guest = (JSON.parse(made.stdout) as { key: string }).key;
  assert.equal((await nexus(["status"], { env: { ...env, NEXUS_API_KEY: guest } })).code, 4, "a user's key may not");
  const again = await nexus(["up", "--detach", ...flags]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /already runs in/);
  assert.equal((await nexus(["down"], { env })).code, 0);
  // From afar only the gateway's end is seen; the parent goes after it.
  await waitFor("the parent's end", () => !existsSync(join(data, "run", "parent.json")));
});

// proves: cli.keys
test("drains, keys and logs by their verbs", { timeout: 120_000 }, async (t) => {
  const backend = await startFakeBackend("vllm");
  t.after(() => backend.close());
  const { data } = await start(t);
  const run = (...args: string[]) => nexus([...args, "--data", data]);
  await run("attach", backend.url, "--name", "gpu");
  const [instance] = (await statusOf(data)).instances;
  assert.equal((await run("drain", instance?.key ?? "", "--reason", "new card")).code, 0);
  assert.equal((await statusOf(data)).instances[0]?.drained, true);
  const refused = await run("chat", "Hello?");
  assert.notEqual(refused.code, 0);
  assert.deepEqual(await run("undrain", instance?.key ?? ""), {
    code: 0,
    stdout: `instance ${instance?.key} takes requests again.\n`,
    stderr: "",
  });
  const answered = await run("chat", "Hello?");
  assert.equal(answered.code, 0, answered.stderr);
  await run("keys", "create", "laptop");
  assert.match((await run("keys")).stdout, /laptop +user/);
  assert.equal((await run("keys", "revoke", "laptop")).code, 0);
  assert.match((await run("logs", "gateway")).stdout, /request completed/);
  const lines = JSON.parse((await run("logs", "--json", "-n", "2")).stdout) as { lines: unknown[] };
  assert.equal(lines.lines.length, 2);
  const missing = await run("logs", "gatway");
  assert.match(missing.stderr, /Did you mean gateway\?/);
});

// proves: attach.secret-reference
test("a server's key in the environment of up reaches the gateway, and nobody else", {
  timeout: 120_000,
}, async (t) => {
  const backend = await startFakeBackend("openai-compatible", { key: "sk-upstream-0123456789" });
  t.after(() => backend.close());
  const platform = await start(t, { env: { UPSTREAM_KEY: "sk-upstream-0123456789", OTHER_KEY: "hidden" } });
  const { data, url, key } = platform;
  const attached = await nexus(["attach", backend.url, "--key-from", "env:UPSTREAM_KEY", "--data", data]);
  assert.equal(attached.code, 0, attached.stderr);
  const chat = await nexus(["chat", "--data", data, "Hello?"]);
  assert.equal(chat.code, 0, chat.stderr);
  assert.doesNotMatch((await nexus(["status", "--json", "--data", data])).stdout, /sk-upstream/);

  const ask = (base: object, path: string, reference: string) =>
    new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
      const outgoing = request({ ...base, method: "POST", path, headers }, async (answer) =>
        resolve({ status: answer.statusCode, body: await text(answer) }),
      );
      outgoing.on("error", reject).end(JSON.stringify({ reference }));
    });
  const socket = { socketPath: join(data, "control.sock") };
  assert.equal((await ask(socket, "/internal/secrets/resolve", "env:UPSTREAM_KEY")).status, 200);
  assert.equal((await ask(socket, "/internal/secrets/resolve", "env:OTHER_KEY")).status, 404, "not in use");
  const { hostname, port } = new URL(url);
  for (const path of [
    "/internal",
    "/v1/nexus/internal",
    "/v1/nexus/../../internal",
    "/v1/nexus/%2e%2e/%2e%2e/internal",
  ]) {
    const answer = await ask({ hostname, port }, `${path}/secrets/resolve`, "env:UPSTREAM_KEY");
    assert.equal(answer.status, 404, `${path} over the gateway`);
    assert.doesNotMatch(answer.body, /sk-upstream/);
  }
});

test("a service of the configuration runs, is watched, and goes when its entry goes", {
  timeout: 120_000,
}, async (t) => {
  const data = await makeData(t);
  mkdirSync(data, { mode: 0o700 });
  const file = join(data, "nexus.yaml");
  const service = `
const server = require("node:http").createServer((_, answer) => answer.end("ok")).listen(0, "127.0.0.1", () =>
  require("node:fs").writeFileSync(process.env.NEXUS_RUN_FILE,
    JSON.stringify({ pid: process.pid, url: "http://127.0.0.1:" + server.address().port })));`;
  const entry = { name: "web", command: [process.execPath, "-e", service], healthPath: "/", readyPath: "/" };
  writeFileSync(file, JSON.stringify({ services: [entry] }));
  const first = await start(t, { data });
  await untilPrinted(first, /Ctrl-C stops/);
  const web = (await statusOf(data)).processes.find(({ name }) => name === "web");
  assert.equal(web?.ready, true);
  assert.equal(await (await fetch(web?.url ?? "")).text(), "ok");
  process.kill(web?.pid ?? 0, "SIGKILL");
  await waitFor("another web", async () =>
    (await statusOf(data)).processes.some(
      ({ name, ready, pid }) => name === "web" && ready === true && pid !== web?.pid,
    ),
  );
  const died = once(first.parent, "exit");
  first.parent.kill("SIGKILL");
  await died;
  writeFileSync(file, JSON.stringify({ services: [{ ...entry, enabled: false }] }));
  await start(t, { data });
  const left = (await statusOf(data)).processes.filter(({ state }) => state !== "stopping").map(({ name }) => name);
  assert.deepEqual(left, ["gateway"]);
});

test("the first interrupt lets requests end, the second ends them", { timeout: 120_000 }, async (t) => {
  const backend = await startFakeBackend("openai-compatible", { faults: { stallAfterChunks: 2 } });
  t.after(() => backend.close());
  const { data, parent } = await start(t);
  await nexus(["attach", backend.url, "--data", data]);
  const status = await statusOf(data);
  const chat = nexus(["chat", "--data", data, "Hello?"]);
  await backend.until(({ inFlight }) => inFlight === 1, 20_000);
  const ended = once(parent, "exit");
  parent.kill("SIGINT");
  await waitFor("the first interrupt", async () => (await statusOf(data)).state === "stopping");
  parent.kill("SIGINT");
  assert.deepEqual(await ended, [0, null]);
  assert.notEqual((await chat).code, 0);
  for (const { pid } of status.processes) assert.ok(!isAlive(pid ?? 0));
});

// proves: cli.exit-codes
test("an interrupted verb ends with 130", { timeout: 120_000 }, async (t) => {
  const backend = await startFakeBackend("openai-compatible", { faults: { stallAfterChunks: 2 } });
  t.after(() => backend.close());
  const { data } = await start(t);
  await nexus(["attach", backend.url, "--data", data]);
  for (const [signal, flags] of [
    ["SIGINT", []],
    ["SIGTERM", ["--json"]],
  ] as const) {
    const before = backend.generations;
    const child = spawn(process.execPath, [main, "chat", "--data", data, "Hello?", ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = text(child.stdout);
    await backend.until(({ generations }) => generations > before, 20_000);
    const ended = once(child, "exit");
    child.kill(signal);
    assert.deepEqual(await ended, [130, null]);
    if (flags.length > 0)
      assert.equal((JSON.parse(await output) as { error: { code: string } }).error.code, "interrupted");
    await backend.until(({ inFlight }) => inFlight === 0, 5_000);
  }
});

test("up goes on when nobody reads what it says, and ends in order when it is told to", {
  timeout: 120_000,
}, async (t) => {
  const data = await makeData(t);
  const flags = ["--no-builtin", "--no-discovery", "--port", "0", "--data", data];
  const child = spawn(process.execPath, [main, "up", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  child.stdout.destroy();
  child.stderr.destroy();
  const { processes } = await waitFor("readiness", async () => {
    const { code, stdout } = await nexus(["status", "--json", "--data", data]);
    return code === 0 && (JSON.parse(stdout) as PlatformStatus);
  });
  // Long enough for the summary that nobody gets.
  await waitFor("a first key", async () => /"first"/.test((await nexus(["keys", "--json", "--data", data])).stdout));
  assert.equal(child.exitCode, null);
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  for (const { pid } of processes) assert.ok(!isAlive(pid ?? 0));
});

test("an interrupt at any moment of the start ends it", { timeout: 120_000 }, async (t) => {
  for (const afterMs of [150, 300, 450, 600, 750, 900, 1_200]) {
    const data = await makeData(t);
    const child = spawn(
      process.execPath,
      [main, "up", "--data", data, "--port", "0", "--no-builtin", "--no-discovery"],
      {
        stdio: "ignore",
      },
    );
    const ended = once(child, "exit");
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    child.kill("SIGINT");
    // A start that swallows it runs until the test's own time is over.
    await ended;
    assert.equal(existsSync(join(data, "run", "parent.json")), false, `after ${afterMs} ms`);
  }
});

test("a file that was put aside because it was damaged stands among the problems", { timeout: 60_000 }, async (t) => {
  const data = await makeData(t);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  writeFileSync(join(data, "attachments.json"), "{broken");
  await start(t, { data });
  const [problem] = (await statusOf(data)).problems;
  assert.equal(problem?.subject, "attachments.json");
  assert.match(problem?.message ?? "", /attachments\.json\.corrupt-/);
});
