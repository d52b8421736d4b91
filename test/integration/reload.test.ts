import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ConfigStatus, ReloadAnswer } from "../../src/control/config-routes.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { main, nexus } from "../support/command-line.ts";
import { askControl, replaceFile } from "../support/config-file.ts";
import type { TestPlatform } from "../support/platform.ts";
import { makeData, startPlatformFor, statusOf } from "../support/started-platform.ts";
import { fakeChild } from "../support/supervised.ts";
import { waitFor } from "../support/wait-for.ts";

const reload = (data: string) => askControl<ReloadAnswer>(data, "POST", "/v1/nexus/config/reload");
const inForce = async (data: string) => (await askControl<ConfigStatus>(data, "GET", "/v1/nexus/config")).body;

/** A platform with two models of one server, and the file that it follows. */
async function startWithFile(t: TestContext, rest: Record<string, unknown> = {}) {
  const backend = await startFakeBackend("openai-compatible", { models: [{ id: "a" }, { id: "b" }] });
  t.after(() => backend.close());
  const data = await makeData(t);
  const file = join(dirname(data), "nexus.yaml");
  const base = { attach: [{ url: backend.url, name: "desk" }], ...rest };
  replaceFile(file, { ...base, aliases: { front: "a" } });
  const platform = await startPlatformFor(t, { data, args: ["--config", file] });
  await waitFor("the model", async () => (await names(platform)).includes("a"));
  return { backend, data, file, base, platform };
}

async function names({ url, key }: Pick<TestPlatform, "url" | "key">): Promise<string[]> {
  const response = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  return ((await response.json()) as { data: { id: string }[] }).data.map(({ id }) => id);
}

async function ask({ url, key }: Pick<TestPlatform, "url" | "key">, model: string) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello?" }] }),
  });
  return { status: response.status, text: await response.text() };
}

async function metric({ url, key }: TestPlatform, line: string): Promise<number> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
  const found = (await response.text()).split("\n").find((each) => each.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1));
}

const appliedReloads = 'nexus_config_reloads_total{outcome="applied"}';

// proves: reload.no-request-lost, reload.followed
test("aliases, routes and timeouts change fifty times under steady requests, and none is lost", {
  timeout: 90_000,
}, async (t) => {
  const { data, file, base, platform } = await startWithFile(t);
  const answers: { status: number; text: string }[] = [];
  let isOver = false;
  const clients = Array.from({ length: 3 }, async () => {
    while (!isOver) answers.push(await ask(platform, "front"));
  });
  for (let step = 1; step <= 50; step++) {
    const next = {
      ...base,
      aliases: { front: step % 2 === 0 ? "a" : "b", [`step-${step}`]: "a" },
      routes: [
        { model: step % 2 === 0 ? "a" : "b", where: `host.name != "h${step}"`, timeouts: { stallMs: 1_000 + step } },
      ],
      gateway: {
        timeouts: { firstTokenMs: 20_000 + step, connectMs: 2_000 + step },
        retry: { budgetMin: 3 + (step % 3) },
        probes: { intervalMs: 1_000 + step },
        admission: { queueMax: 500 + step },
      },
    };
    if (step % 2 === 0) replaceFile(file, next);
    else writeFileSync(file, JSON.stringify(next));
    if (step % 5 !== 0) {
      const { status, body } = await reload(data);
      assert.equal(status, 200, JSON.stringify(body));
      assert.deepEqual(body.waiting, []);
      assert.ok((await names(platform)).includes(`step-${step}`), "it holds once the call has answered");
    }
    // Every fifth is left to whoever follows the file.
    await waitFor(`step ${step}`, async () => (await names(platform)).includes(`step-${step}`));
  }
  isOver = true;
  await Promise.all(clients);
  assert.deepEqual(
    answers.filter(({ status }) => status !== 200),
    [],
  );
  assert.ok(answers.length > 100, `${answers.length} requests`);
  t.diagnostic(`${answers.length} requests during 50 reloads`);
  assert.ok((await inForce(data)).reloads.applied >= 50);
  const { applied } = (await inForce(data)).reloads;
  await waitFor("the count", async () => (await metric(platform, appliedReloads)) === applied);
});

// proves: reload.all-or-nothing, reload.refusal-visible
test("a file that can't hold changes nothing and says why, until it is corrected", { timeout: 90_000 }, async (t) => {
  const { data, file, base, platform } = await startWithFile(t);
  const before = await statusOf(data);
  const good = { ...base, aliases: { front: "a", fresh: "a" } };
  const bad: [content: unknown, reason: RegExp][] = [
    ["aliases: { front: a\nlisten: [", /nexus\.yaml:\d+ /],
    [{ ...good, gatewya: {} }, /nexus\.yaml:\d+ {2}gatewya: unknown key; did you mean 'gateway'\?/],
    [{ ...good, routes: [{ model: "a", where: "host.gpu.memory >=" }] }, /nexus\.yaml:\d+ {2}routes\[0\]\.where: /],
    [{ ...good, listen: { host: "127.0.0.2" } }, /nexus\.yaml:\d+ {2}listen\.host: takes a restart, because clients/],
    [{ ...good, prices: { file: "none.yaml" } }, /nexus\.yaml:\d+ {2}prices\.file: .*ENOENT/],
    [
      { ...good, attach: [...base.attach, { url: "ftp://nowhere" }] },
      /nexus\.yaml:\d+ {2}attach\[1\]\.url: the URL must start/,
    ],
    ["", /is empty; write `\{\}`/],
  ];
  for (const [content, reason] of bad) {
    replaceFile(file, content);
    const said = await nexus(["config", "reload", "--data", data]);
    assert.equal(said.code, 2, said.stdout);
    assert.match(said.stderr, reason);
    const { refused } = await inForce(data);
    assert.match(
      (refused?.problems ?? [])
        .map(({ where, path, message }) => `${where}  ${path}: ${message}`)
        .join("\n")
        .replace("  : ", "  "),
      reason,
    );
    assert.deepEqual(
      (await names(platform)).filter((name) => name === "fresh"),
      [],
    );
    assert.equal((await ask(platform, "front")).status, 200);
  }
  const refused = await statusOf(data);
  assert.match(
    refused.problems.find(({ subject }) => subject === "configuration")?.message ?? "",
    /refused at 20.*is empty/,
  );
  const isCounted = async () => (await metric(platform, 'nexus_config_reloads_total{outcome="refused"}')) >= bad.length;
  await waitFor("the count", isCounted);
  assert.ok((await metric(platform, "nexus_config_refused_seconds")) > 0);
  assert.match((await nexus(["logs", "control", "--data", data])).stdout, /configuration refused/);
  replaceFile(file, "nope: 1");
  const shown = await nexus(["config", "show", "--data", data]);
  assert.equal(shown.code, 2);
  assert.match(
    shown.stderr,
    /nexus\.yaml:1 {2}nope: unknown key[\s\S]*In force is still what .*nexus\.yaml said at 20/,
  );

  replaceFile(file, good);
  await waitFor("the corrected file", async () => (await names(platform)).includes("fresh"));
  const after = await statusOf(data);
  assert.deepEqual(after.problems, before.problems);
  assert.deepEqual(
    after.processes.map(({ pid }) => pid),
    before.processes.map(({ pid }) => pid),
  );
  assert.equal(
    await waitFor("no refusal", async () => (await metric(platform, "nexus_config_refused_seconds")) === 0),
    true,
  );
});

// proves: reload.followed
test("SIGHUP reloads, and the verb says what changed", { timeout: 60_000 }, async (t) => {
  const { data, file, base, platform } = await startWithFile(t);
  const { unchanged } = (await inForce(data)).reloads;
  platform.parent.kill("SIGHUP");
  await waitFor("the reload", async () => (await inForce(data)).reloads.unchanged === unchanged + 1);
  assert.equal(platform.parent.exitCode, null);

  replaceFile(file, { ...base, aliases: { other: "a" }, logs: { level: "debug" } });
  // Whoever is first, the verb or the one who follows the file: what the verb says is what it found.
  const said = await nexus(["config", "reload", "--data", data, "--json"]);
  const answer = JSON.parse(said.stdout) as ReloadAnswer;
  const lines = ["aliases.other added", "logs.level changed", "aliases.front removed"];
  assert.deepEqual(
    answer.changes.map(({ key, kind }) => `${key} ${kind}`),
    answer.outcome === "applied" ? lines : [],
  );
  assert.ok((await names(platform)).includes("other"));
  assert.match((await nexus(["config", "show", "--data", data])).stdout, /in force: since 20/);
});

// proves: reload.only-what-changed
test("services and servers come and go with the file, and nothing else is restarted", {
  timeout: 90_000,
}, async (t) => {
  const child = (name: string, env = {}) => ({ name, command: [process.execPath, fakeChild, "serve"], env });
  const { data, file, base } = await startWithFile(t, { services: [child("stays"), child("changes"), child("goes")] });
  const other = await startFakeBackend("openai-compatible", { models: [{ id: "c" }] });
  t.after(() => other.close());
  const pids = async () =>
    new Map(
      (await statusOf(data)).processes.filter(({ state }) => state === "running").map(({ name, pid }) => [name, pid]),
    );
  await waitFor("all services", async () => (await pids()).size === 4);
  const before = await pids();
  const [desk] = (await statusOf(data)).attachments;
  replaceFile(file, {
    ...base,
    attach: [...base.attach, { url: other.url, name: "other" }],
    services: [child("stays"), child("changes", { LEVEL: "2" }), child("comes")],
  });
  const after = await waitFor("the new services", async () => {
    const now = await pids();
    return now.has("comes") && !now.has("goes") && now.get("changes") !== before.get("changes") && now;
  });
  for (const name of ["stays", "gateway"]) assert.equal(after.get(name), before.get(name), name);
  await waitFor("the new server", async () => (await statusOf(data)).models.some(({ id }) => id === "c"));
  assert.deepEqual(
    (await statusOf(data)).attachments.find(({ name }) => name === "desk"),
    desk,
    "left alone",
  );
  replaceFile(file, {
    ...base,
    attach: [{ url: other.url, name: "other", labels: { zone: "x" } }],
    services: [child("stays")],
  });
  const status = await waitFor("the server that is left", async () => {
    const now = await statusOf(data);
    return now.instances.length === 1 && now.instances[0]?.labels.zone === "x" && now;
  });
  assert.deepEqual(
    status.attachments.map(({ name }) => name),
    ["other"],
  );
  assert.deepEqual(
    [...(await pids())].filter(([name]) => name === "stays"),
    [["stays", before.get("stays")]],
  );
});

// proves: reload.survives
test("a gateway that is killed gets the newest, and a new parent finds it as it is", { timeout: 90_000 }, async (t) => {
  const { data, file, base, platform } = await startWithFile(t);
  replaceFile(file, { ...base, aliases: { second: "a" } });
  assert.equal((await reload(data)).status, 200);
  const gateway = async () => (await statusOf(data)).processes.find(({ name }) => name === "gateway");
  const first = (await gateway())?.pid ?? 0;
  process.kill(first, "SIGKILL");
  const { key } = platform;
  const url = await waitFor("the next gateway", async () => {
    const now = await gateway();
    return now?.ready === true && now.pid !== first && (now.url ?? undefined);
  });
  await waitFor("its models", async () => (await names({ url, key })).includes("second"));
  const second = (await gateway())?.pid;

  platform.parent.kill("SIGKILL");
  replaceFile(file, { ...base, aliases: { third: "a" } });
  await startPlatformFor(t, { data, args: ["--config", file] });
  await waitFor("what changed while nobody was there", async () => (await names({ url, key })).includes("third"));
  const adopted = await gateway();
  assert.equal(adopted?.pid, second, "it is adopted, not restarted");
  assert.equal(adopted?.adopted, true);
});

// proves: reload.followed, reload.all-or-nothing
test("a gateway alone follows its file, and SIGHUP", { timeout: 60_000 }, async (t) => {
  const backend = await startFakeBackend("openai-compatible", { models: [{ id: "a" }] });
  t.after(() => backend.close());
  const data = await makeData(t);
  const file = join(dirname(data), "nexus.yaml");
  const runFile = join(dirname(data), "gateway.json");
  const base = { listen: { port: 0 }, auth: { mode: "none" }, registry: { staticFile: "fleet.yaml" } };
  const models = [{ id: "a" }];
  replaceFile(join(dirname(data), "fleet.yaml"), [
    { name: "desk", url: backend.url, dialect: "openai-compatible", models },
  ]);
  replaceFile(file, base);
  const gateway = spawn(process.execPath, [main, "gateway", "--data", data, "--config", file], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env.PATH, NEXUS_RUN_FILE: runFile },
  });
  t.after(() => gateway.kill("SIGKILL"));
  let log = "";
  gateway.stdout.on("data", (chunk) => (log += String(chunk)));
  const url = await waitFor("the gateway", () => /"url":"(http:[^"]*)"/.exec(log)?.[1]);
  const at = { url, key: "" };

  replaceFile(file, { ...base, aliases: { front: "a" } });
  await waitFor("the alias", async () => (await names(at)).includes("front"));
  replaceFile(file, { ...base, aliases: { back: "a" }, listen: { port: 1 } });
  await waitFor("the refusal", () => /configuration refused.*/.exec(log)?.[0]);
  assert.match(log, /nexus\.yaml:\d+ {2}listen\.port: takes a restart/);
  assert.deepEqual(await names(at), ["a", "front"]);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /nexus_config_reloads_total\{outcome="applied"\} 1\n/);
  assert.match(metrics, /nexus_config_reloads_total\{outcome="refused"\} 1\n/);
  gateway.kill("SIGHUP");
  await waitFor("the second refusal", () => log.split("configuration refused").length === 3);
  replaceFile(file, { ...base, aliases: { back: "a" } });
  await waitFor("the next alias", async () => (await names(at)).includes("back"));
  gateway.kill("SIGTERM");
  assert.deepEqual(await once(gateway, "exit"), [0, null]);
});

// proves: reload.all-or-nothing
test("every worker has it once the call has answered, and one that is replaced has it too", {
  timeout: 90_000,
}, async (t) => {
  const { data, file, base, platform } = await startWithFile(t, { gateway: { workers: 2 } });
  const seen = async () => {
    // New connections, so that both are asked.
    const lists = Array.from({ length: 12 }, async () => {
      const headers = { authorization: `Bearer ${platform.key}`, connection: "close" };
      return (await fetch(`${platform.url}/v1/models`, { headers })).text();
    });
    return (await Promise.all(lists)).map((text) => /"(second|third)"/.exec(text)?.[1] ?? "none");
  };
  for (const name of ["second", "third"]) {
    replaceFile(file, { ...base, aliases: { [name]: "a" } });
    const { body } = await reload(data);
    assert.deepEqual(body.waiting, []);
    assert.deepEqual(new Set(await seen()), new Set([name]));
  }
  const gateway = (await statusOf(data)).processes.find(({ name }) => name === "gateway")?.pid ?? 0;
  const workers = readFileSync(`/proc/${gateway}/task/${gateway}/children`, "utf8").trim().split(" ");
  assert.equal(workers.length, 2);
  process.kill(Number(workers[0]), "SIGKILL");
  await waitFor("the worker's replacement", () => {
    const now = readFileSync(`/proc/${gateway}/task/${gateway}/children`, "utf8").trim().split(" ");
    return now.length === 2 && !now.includes(workers[0] ?? "");
  });
  await waitFor("its readiness", async () => (await seen().catch(() => [])).length === 12);
  for (let turn = 0; turn < 5; turn++) assert.deepEqual(new Set(await seen()), new Set(["third"]));
  const { applied } = (await inForce(data)).reloads;
  await waitFor("the count", async () => (await metric(platform, appliedReloads)) === applied);
});
