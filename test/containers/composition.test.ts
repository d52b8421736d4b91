import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { type Composition, composed, imageOf, openComposition } from "../support/composition.ts";
import { hasBaseParts } from "../support/container-base.ts";
import { canStartDocker } from "../support/docker-engine.ts";
import { needs } from "../support/needs.ts";
import { waitFor } from "../support/wait-for.ts";

/** Building three images takes a minute on two idle cores, and they are seldom idle here. */
const openMs = 400_000;
/** Its models load and processes start anew in most tests. */
const testMs = 150_000;
const services = Object.keys(composed);
/** What an image may add to its base, in bytes: some more than it does today. */
const addedBytesMax: Readonly<Record<string, number>> = { gateway: 70e6, llm: 180e6, embeddings: 180e6 };

const part = "Docker Engine with Compose that can be started as root, and an npm in one folder";

describe("the composition of deploy/compose", {
  ...needs(part, canStartDocker && hasBaseParts),
  timeout: openMs,
}, () => {
  let up: Composition;
  let key = "";
  before(
    async () => {
      up = await openComposition();
    },
    { timeout: openMs },
  );
  after(() => up?.close(), { timeout: 60_000 });

  const ask = (path: string, body: object, signal?: AbortSignal) =>
    fetch(`${up.url}/v1/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: signal ?? AbortSignal.timeout(30_000),
    });
  const chat = { model: "tiny", messages: [{ role: "user", content: "Say hello." }], max_tokens: 8 };
  /** Asks until it is answered: after a restart the gateway finds out within seconds. */
  const asked = async (path: string, body: object) => {
    const look = async () => {
      const answer = await ask(path, body).catch(() => undefined);
      if (answer?.status === 200) return answer;
      await answer?.body?.cancel();
      return false;
    };
    return await (await waitFor("an answer", look, 60_000)).json();
  };

  // proves: containers.composition
  it("comes up healthy and answers chats and vectors on 127.0.0.1, for those who have a key", {
    timeout: testMs,
  }, async () => {
    for (const service of services) await up.healthy(service);
    const gateway = up.container("gateway");
    const made = await up.engine.docker("exec", gateway, "nexus", "keys", "create", "test", "--json");
    const refused = await ask("chat/completions", chat);
    assert.equal(refused.status, 401);
    key = (JSON.parse(made) as { key: string }).key;
    const answer = (await asked("chat/completions", chat)) as { choices: { message: { content: string } }[] };
    assert.notEqual(answer.choices[0]?.message.content ?? "", "");
    const vectors = (await asked("embeddings", { model: "vectors", input: "hello" })) as {
      data: { embedding: number[] }[];
    };
    assert.equal(vectors.data[0]?.embedding.length, 384);
  });

  // proves: containers.hardened
  it("runs as another user than root, without rights, on file systems that cannot be written", {
    timeout: testMs,
  }, async () => {
    for (const service of services) {
      const { Id, State, Config, HostConfig } = await up.inspect(service);
      assert.match(Config.User, /^1000/);
      assert.equal(HostConfig.ReadonlyRootfs, true);
      assert.deepEqual(HostConfig.CapDrop, ["ALL"]);
      // What the kernel says counts more than what was asked for.
      const status = readFileSync(`/proc/${State.Pid}/status`, "utf8");
      assert.match(status, /^Uid:\s+1000\s+1000\s+1000\s+1000$/m);
      assert.match(status, /^CapEff:\s+0+$/m);
      assert.match(status, /^CapBnd:\s+0+$/m);
      assert.match(status, /^NoNewPrivs:\s+1$/m);
      for (const path of ["/x", "/app/x", "/app/src/x"]) {
        await assert.rejects(up.engine.docker("exec", Id, "sh", "-c", `echo > ${path}`), /Read-only file system/);
      }
      await up.engine.docker("exec", Id, "sh", "-c", "echo > /tmp/x && echo > /data/x && rm /tmp/x /data/x");
    }
  });

  it("opens one port, on loopback", { timeout: testMs }, async () => {
    const opened = [];
    for (const service of services) {
      const { NetworkSettings } = await up.inspect(service);
      for (const places of Object.values(NetworkSettings.Ports)) opened.push(...(places ?? []));
    }
    assert.deepEqual(opened, [{ HostIp: "127.0.0.1", HostPort: new URL(up.url).port }]);
  });

  // proves: containers.life
  it("lets a stream end when a container on its way is stopped, which then stops in order", {
    timeout: testMs,
  }, async () => {
    const long = { ...chat, max_tokens: 1_900, stream: true };
    for (const [service, told] of Object.entries({ llm: "shutting down", gateway: "stopping" })) {
      const answer = await ask("chat/completions", long, AbortSignal.timeout(60_000));
      assert.equal(answer.status, 200);
      // The first bytes are there: it is at work.
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = (await reader?.read())?.value ?? "";
      const container = up.container(service);
      const stopping = up.engine.docker("stop", "--time", "40", container);
      for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) text += read.value;
      const endedAt = Date.now();
      await stopping;
      assert.match(text, /data: \[DONE\]\s*$/);
      assert.doesNotMatch(text, /"error"/);
      assert.equal((await up.inspect(service)).State.ExitCode, 0);
      const line = (await up.engine.docker("logs", container))
        .split("\n")
        .findLast((each) => each.includes(`"${told}"`));
      const { time } = JSON.parse(line ?? "{}") as { time: string };
      assert.ok(Date.parse(time) < endedAt, "it was not idle when it was told");
      await up.engine.docker("start", container);
      await asked("chat/completions", chat);
    }
  });

  // proves: containers.life
  it("comes back when a process is killed, with the keys that it had", { timeout: testMs }, async () => {
    for (const service of ["llm", "gateway"]) {
      const before = await up.inspect(service);
      process.kill(before.State.Pid, "SIGKILL");
      await waitFor("its next start", async () => {
        const { RestartCount, State } = await up.inspect(service);
        return RestartCount > before.RestartCount && State.Running;
      });
      await asked("chat/completions", chat);
      await up.healthy(service);
    }
  });

  // proves: containers.logs
  it("logs JSON lines without keys", { timeout: testMs }, async () => {
    for (const service of services) {
      const log = await up.engine.docker("logs", up.container(service));
      assert.doesNotMatch(log, /nxs_\w{20}/, service);
      const lines = log.split("\n").filter((line) => line !== "");
      assert.ok(lines.length > 0, `${service} logs nothing`);
      for (const line of lines) assert.equal(typeof (JSON.parse(line) as { message: unknown }).message, "string");
    }
    const gateway = await up.engine.docker("logs", up.container("gateway"));
    assert.match(gateway, /"process":"gateway".*"message":"request completed"/);
  });

  it("has images that add little to their base", { timeout: testMs }, async (t) => {
    const sizeOf = async (tag: string) =>
      Number(await up.engine.docker("image", "inspect", "--format", "{{.Size}}", tag));
    const base = await sizeOf(up.baseTag);
    for (const service of services) {
      const added = (await sizeOf(imageOf(service))) - base;
      t.diagnostic(`${imageOf(service)}: ${Math.round(added / 1e6)} MB on a base of ${Math.round(base / 1e6)} MB`);
      assert.ok(added < (addedBytesMax[service] ?? 0), `${service} adds ${added} bytes`);
    }
  });

  it("runs the platform on its own, as a user whom nobody has named", { timeout: testMs }, async () => {
    const { engine } = up;
    const memory = ["/tmp", "/data:uid=4321,mode=0700"].flatMap((place) => ["--tmpfs", place]);
    const hardened = ["--read-only", "--cap-drop", "ALL", "--user", "4321:4321", "--network", "none", ...memory];
    const id = (await engine.docker("run", "--detach", ...hardened, imageOf("gateway"))).trim();
    const isReady = async () => {
      const text = await engine.docker("exec", id, "nexus", "status", "--json").catch(() => "{}");
      return (JSON.parse(text) as { state?: string }).state === "ready";
    };
    await waitFor("it is ready", isReady, 60_000);
    await engine.docker("stop", "--time", "40", id);
    assert.equal((await engine.docker("inspect", "--format", "{{.State.ExitCode}}", id)).trim(), "0");
  });
});
