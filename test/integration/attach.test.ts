import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { NexusError } from "../../src/base/errors.ts";
import { instanceRecordBytesMax } from "../../src/contract/instance-record.ts";
import { defaultProbeLimits } from "../../src/dialects/probe.ts";
import { fakeKinds } from "../fakes/fake-backend.ts";
import { attachHarness } from "../support/attach.ts";
import { makeRecord } from "../support/records.ts";

const steadyMs = 10_000;
const hurriedMs = 1_000;
/** For servers that do not answer. */
const hasty = { ...defaultProbeLimits, answerMs: 1_000 };

/** The refusal that a promise ends with. */
async function refusal(promise: Promise<unknown>): Promise<NexusError> {
  const error: unknown = await promise.then(
    () => assert.fail("it was not refused"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof NexusError, String(error));
  return error;
}

describe("attach", { timeout: 60_000 }, () => {
  for (const kind of fakeKinds) {
    // proves: attach.recognises, attach.never-loads
    it(`registers ${kind} as it describes itself, and loads nothing`, async (test) => {
      const { attacher, backend, registry, until } = attachHarness(test);
      const server = await backend(kind);
      const attached = await attacher.attach({ url: `${server.url}/v1/`, labels: { zone: "rack1" } });
      assert.equal(attached.dialect, kind);
      assert.equal(attached.name, `${kind}-${server.port}`);
      assert.equal(attached.url, server.url);
      assert.equal(attached.state, "ready");
      assert.ok(attached.models.length > 0);
      await until(() => registry.current().instances.size === 1);
      const [[key, record] = []] = [...registry.current().instances];
      assert.equal(key, attached.instance);
      assert.equal(record?.service, kind === "nexus" ? "fake" : kind);
      assert.equal(record?.instance, attached.name);
      assert.equal(record?.base_url, server.url);
      assert.equal(record?.dialect, kind);
      assert.equal(record?.state, "ready");
      assert.equal(record?.secret, null);
      assert.deepEqual(record?.labels, { zone: "rack1" });
      assert.deepEqual(
        record?.metadata.models.map(({ id }) => id),
        attached.models,
      );
      const chat = kind === "anthropic" ? "messages.create" : "chat.completions.create";
      assert.ok(record?.metadata.endpoints.some(({ operation_id }) => operation_id === chat));
      assert.deepEqual(registry.current().rejected, []);
      assert.deepEqual([server.generations, server.loads], [0, 0]);
    });
  }

  // proves: attach.secret-reference
  it("sends the key and keeps only where it lives", async (test) => {
    const { attacher, backend, environment, record, until, storePath } = attachHarness(test);
    const server = await backend("openai-compatible", { key: "sk-upstream" });
    const withoutKey = await refusal(attacher.attach({ url: server.url }));
    assert.equal(withoutKey.code, "backend_unrecognised");
    assert.match(withoutKey.message, /asks for a key: give it with --key-from/);
    assert.match(
      (await refusal(attacher.attach({ url: server.url, keyFrom: "env:KEY" }))).message,
      /env:KEY is not set/,
    );
    assert.equal((await refusal(attacher.attach({ url: server.url, keyFrom: "sk-upstream" }))).code, "invalid_request");
    environment.KEY = "sk-upstream";
    const { instance, key_from } = await attacher.attach({ url: server.url, keyFrom: "env:KEY", name: "paid" });
    assert.equal(key_from, "env:KEY");
    await until(() => record(instance ?? "") !== undefined);
    assert.equal(record("openai-compatible/paid")?.secret, "env:KEY");
    assert.doesNotMatch(readFileSync(storePath, "utf8"), /sk-upstream/);
  });

  it("refuses what it cannot use and says why", async (test) => {
    const { attacher, backend, registry } = attachHarness(test, { probeLimits: hasty });
    const stranger = await backend("openai-compatible", { overrides: { "GET /v1/models": { body: "<html>" } } });
    const unknown = await refusal(attacher.attach({ url: stranger.url }));
    assert.equal(unknown.code, "backend_unrecognised");
    for (const path of ["/v1/metadata", "/props", "/api/version", "/v1/models"])
      assert.ok(unknown.message.includes(path));
    const gateway = await backend("nexus", { flags: ["gateway"] });
    const loop = await refusal(attacher.attach({ url: gateway.url }));
    assert.equal(loop.code, "conflict");
    assert.match(loop.message, /gateway of Nexus/);
    const refused = await refusal(attacher.attach({ url: "http://127.0.0.1:1" }));
    assert.equal(refused.code, "backend_unreachable");
    assert.match(refused.message, /refuses the connection\. Is the server running/);
    const frozen = await backend("ollama", { frozen: true });
    assert.match((await refusal(attacher.attach({ url: frozen.url }))).message, /does not answer in time/);
    for (const url of ["http://169.254.169.254/", "http://a:b@127.0.0.1:1", "ftp://x", "http://0.0.0.0:1"]) {
      assert.equal((await refusal(attacher.attach({ url }))).code, "invalid_request", url);
    }
    assert.equal(
      (await refusal(attacher.attach({ url: "http://127.0.0.1:1", name: "No Name" }))).code,
      "invalid_request",
    );
    assert.deepEqual(attacher.list(), []);
    assert.equal(registry.current().instances.size, 0);
  });

  it("gives a name to one server only, and a server one name", async (test) => {
    const { attacher, backend, record, until } = attachHarness(test);
    const [one, two] = [await backend("vllm"), await backend("vllm")];
    await attacher.attach({ url: one.url, name: "gpu" });
    assert.match((await refusal(attacher.attach({ url: two.url, name: "gpu" }))).message, /name of another attachment/);
    const local = one.url.replace("127.0.0.1", "localhost");
    assert.match((await refusal(attacher.attach({ url: local, name: "other" }))).message, /attached as 'gpu'/);
    const again = await attacher.attach({ url: one.url, labels: { zone: "b" } });
    assert.equal(again.name, "gpu");
    await until(() => record("vllm/gpu")?.labels.zone === "b");
    assert.equal(attacher.list().length, 1);
  });

  it("leaves alone a service that has registered itself", async (test) => {
    const { attacher, backend, registry } = attachHarness(test);
    const server = await backend("nexus");
    await registry.register(makeRecord({ service: "fake", instance: "own", base_url: server.url }), 10_000);
    assert.match((await refusal(attacher.attach({ url: server.url }))).message, /registered itself, as fake\/own/);
    // What an attacher left behind when it was killed is no such service.
    const orphaned = await backend("ollama");
    const ghost = { service: "ollama", instance: "ghost", dialect: "ollama", base_url: orphaned.url };
    await registry.register(makeRecord(ghost), 10_000);
    assert.equal(attacher.isKnown(orphaned.url), false);
    assert.equal((await attacher.attach({ url: orphaned.url, name: "ghost" })).state, "ready");
  });

  it("keeps what fits of a server that lists far too much", async (test) => {
    const { attacher, backend, registry, until } = attachHarness(test);
    const aliases = (index: number) => Array.from({ length: 32 }, (_, n) => `${"a".repeat(240)}-${index}-${n}`);
    const data = Array.from({ length: 400 }, (_, index) => ({ id: `m${index}`, aliases: aliases(index) }));
    const server = await backend("openai-compatible", { overrides: { "GET /v1/models": { body: { data } } } });
    await attacher.attach({ url: server.url });
    await until(() => registry.current().instances.size === 1);
    const [record] = [...registry.current().instances.values()];
    assert.ok(Buffer.byteLength(JSON.stringify(record)) <= instanceRecordBytesMax);
    assert.ok((record?.metadata.models.length ?? 0) > 50);
  });
});

describe("an attached server", { timeout: 60_000 }, () => {
  // proves: attach.never-loads, attach.lease
  it("is looked at cheaply, and written again only when something changed", async (test) => {
    const { attacher, backend, clock, record, registry, until } = attachHarness(test);
    const server = await backend("ollama");
    await attacher.attach({ url: server.url, name: "box" });
    await until(() => record("ollama/box") !== undefined);
    const { revision } = registry.current();
    const before = server.requests.length;
    await clock.tick(steadyMs);
    await until(() => server.requests.length > before + 2);
    await clock.tick(steadyMs);
    const steady = server.requests.slice(before).map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual([...new Set(steady)].toSorted(), ["GET /api/ps", "GET /api/tags", "GET /api/version"]);
    assert.equal(registry.current().revision, revision);

    server.set({
      models: [
        { id: "llama3.2:latest", state: "available" },
        { id: "qwen3:8b", state: "loaded", contextLoaded: 16_384 },
        { id: "pulled:1b", state: "available" },
      ],
    });
    await clock.tick(steadyMs);
    await until(
      () =>
        record("ollama/box")?.metadata.models.length === 3 &&
        record("ollama/box")?.metadata.models[2]?.id === "pulled:1b",
    );
    const models = Object.fromEntries(record("ollama/box")?.metadata.models.map((model) => [model.id, model]) ?? []);
    assert.equal(models["llama3.2:latest"]?.state, "available");
    assert.equal(models["qwen3:8b"]?.context_window, 16_384);
    assert.deepEqual([server.generations, server.loads], [0, 0]);
  });

  // proves: attach.lease
  it("stays registered as failed while it is away, and comes back by itself", async (test) => {
    const { attacher, backend, clock, record, until } = attachHarness(test);
    let server = await backend("llama-cpp");
    await attacher.attach({ url: server.url, name: "box" });
    await until(() => record("llama-cpp/box")?.state === "ready");
    for (let flap = 0; flap < 5; flap++) {
      await server.close();
      await clock.tick(steadyMs);
      await until(() => record("llama-cpp/box")?.state === "failed");
      assert.equal(record("llama-cpp/box")?.state_reason, "refuses connections");
      assert.equal(record("llama-cpp/box")?.metadata.models.length, 1, "what it had is still known");
      server = await backend("llama-cpp", { port: server.port });
      await clock.tick(hurriedMs);
      await until(() => record("llama-cpp/box")?.state === "ready");
    }
  });

  it("is not called failed for one lost answer, but for three", async (test) => {
    const { attacher, backend, clock, record, until } = attachHarness(test, { probeLimits: hasty });
    const server = await backend("vllm");
    await attacher.attach({ url: server.url, name: "box" });
    await until(() => record("vllm/box")?.state === "ready");
    server.set({ frozen: true });
    for (const expected of ["ready", "ready", "failed"]) {
      const { aborted } = server;
      await clock.tick(steadyMs);
      await server.until((backend) => backend.aborted > aborted);
      await until(() => attacher.list()[0]?.state === expected);
    }
    await until(() => record("vllm/box")?.state_reason === "does not answer in time");
    server.set({ frozen: false });
    await clock.tick(hurriedMs * 1.2);
    await until(() => record("vllm/box")?.state === "ready");
  });

  it("is recognised anew when another server takes its place", async (test) => {
    const { attacher, backend, clock, record, registry, until } = attachHarness(test);
    const server = await backend("openai-compatible");
    await attacher.attach({ url: server.url, name: "box" });
    await until(() => record("openai-compatible/box") !== undefined);
    let port = server.port;
    let last = server;
    for (const kind of ["ollama", "vllm", "lm-studio", "llama-cpp", "nexus", "localai", "openai-compatible"] as const) {
      await last.close();
      last = await backend(kind, { port });
      port = last.port;
      await clock.tick(steadyMs);
      const service = kind === "nexus" ? "fake" : kind;
      await until(() => record(`${service}/box`)?.state === "ready" && registry.current().instances.size === 1);
      assert.equal(attacher.list()[0]?.dialect, kind);
    }
    await last.close();
    await backend("nexus", { port, flags: ["gateway"] });
    await clock.tick(steadyMs);
    await until(() => attacher.list()[0]?.state === "failed");
    assert.match(attacher.list()[0]?.state_reason ?? "", /gateway of Nexus/);
  });

  it("is starting while it loads its model", async (test) => {
    const { attacher, backend, clock, record, until } = attachHarness(test);
    const server = await backend("llama-cpp", { unready: true });
    const attached = await attacher.attach({ url: server.url, name: "box" });
    assert.deepEqual([attached.state, attached.models], ["starting", []]);
    await until(() => record("llama-cpp/box")?.state === "starting");
    assert.equal(record("llama-cpp/box")?.state_reason, "is loading its model");
    server.set({ unready: false });
    await clock.tick(hurriedMs);
    await until(() => record("llama-cpp/box")?.state === "ready");
    const [model] = record("llama-cpp/box")?.metadata.models ?? [];
    server.set({ unready: true });
    await clock.tick(steadyMs);
    await until(() => record("llama-cpp/box")?.state === "starting");
    assert.deepEqual(record("llama-cpp/box")?.metadata.models, [{ ...model, state: "loading" }]);
    assert.ok((record("llama-cpp/box")?.metadata.endpoints.length ?? 0) > 0);
  });

  it("gets its rotated key at the next look, and fails with a hint when the key is refused", async (test) => {
    const { attacher, backend, clock, environment, until } = attachHarness(test);
    const server = await backend("openai-compatible", { key: "sk-one" });
    environment.KEY = "sk-one";
    await attacher.attach({ url: server.url, keyFrom: "env:KEY" });
    server.set({ key: "sk-two" });
    await clock.tick(steadyMs);
    await until(() => attacher.list()[0]?.state === "failed");
    assert.match(attacher.list()[0]?.state_reason ?? "", /asks for a key/);
    environment.KEY = "sk-two";
    await clock.tick(hurriedMs);
    await until(() => attacher.list()[0]?.state === "ready");
  });

  it("leaves at once when it is detached", async (test) => {
    const { attacher, backend, clock, registry, until } = attachHarness(test);
    const server = await backend("vllm");
    await attacher.attach({ url: server.url, name: "box" });
    await until(() => registry.current().instances.size === 1);
    assert.equal((await attacher.detach("box")).name, "box");
    assert.equal(registry.current().instances.size, 0);
    const asked = server.requests.length;
    await clock.tick(60_000);
    assert.equal(server.requests.length, asked);
    assert.equal((await refusal(attacher.detach("box"))).code, "not_found");
  });
});

describe("attachments", { timeout: 60_000 }, () => {
  it("outlive the process, whether their servers are there or not", async (test) => {
    const first = attachHarness(test);
    const here = await first.backend("ollama");
    const away = await first.backend("vllm");
    await first.attacher.attach({ url: here.url, name: "here", labels: { zone: "a" } });
    await first.attacher.attach({ url: away.url, name: "away" });
    await away.close();
    const second = await first.restart();
    assert.equal(first.registry.current().instances.size, 0, "a stopped attacher takes its records away");
    await second.until(() => second.record("vllm/away")?.state === "failed");
    await second.clock.tick(0);
    await second.until(() => second.record("ollama/here")?.state === "ready");
    assert.deepEqual(second.record("ollama/here")?.labels, { zone: "a" });
    await second.backend("vllm", { port: away.port });
    await second.clock.tick(2 * hurriedMs);
    await second.until(() => second.record("vllm/away")?.state === "ready");
    await second.attacher.detach("here");
    const third = await second.restart();
    assert.deepEqual(
      third.attacher.list().map(({ name }) => name),
      ["away"],
    );
  });

  it("survive a broken file: it is put aside, and one bad entry hides no other", async (test) => {
    const first = attachHarness(test);
    const server = await first.backend("vllm");
    await first.attacher.attach({ url: server.url, name: "good" });
    const stored = JSON.parse(readFileSync(first.storePath, "utf8")) as { attachments: unknown[] };
    await first.attacher.stop();
    stored.attachments.unshift({ name: "Bad Name" }, null, {
      ...(stored.attachments[0] as object),
      name: "x",
      url: "file:///x",
    });
    writeFileSync(first.storePath, JSON.stringify(stored));
    const second = await first.restart();
    assert.deepEqual(
      second.attacher.list().map(({ name }) => name),
      ["good"],
    );
    await second.attacher.stop();
    writeFileSync(first.storePath, '{"version": 1, "attachm');
    const third = await second.restart();
    assert.deepEqual(third.attacher.list(), []);
    const aside = readdirSync(dirname(first.storePath)).filter((name) => name.includes(".corrupt-"));
    assert.equal(aside.length, 1);
  });

  it("of the configuration come by themselves, are not stored and not detached", async (test) => {
    const probe = attachHarness(test);
    const server = await probe.backend("lm-studio");
    await server.close();
    const declared = [{ url: `${server.url}/v1`, name: "studio", labels: { zone: "b" }, paid: true, tier: 1 }];
    const second = await probe.restart({ declared });
    await second.clock.tick(0);
    await second.until(() => second.attacher.list()[0]?.state_reason === "refuses connections");
    assert.deepEqual(second.attacher.list()[0]?.state, "connecting");
    assert.equal(second.registry.current().instances.size, 0, "nobody knows what it is");
    await second.backend("lm-studio", { port: server.port });
    await second.clock.tick(2 * hurriedMs);
    await second.until(() => second.record("lm-studio/studio")?.state === "ready");
    assert.deepEqual(second.record("lm-studio/studio")?.labels, {
      zone: "b",
      "nexus.paid": "true",
      "nexus.tier": "1",
    });
    assert.equal((await refusal(second.attacher.detach("studio"))).code, "conflict");
    assert.equal((await refusal(second.attacher.attach({ url: server.url }))).code, "conflict");
    assert.deepEqual((await second.restart()).attacher.list(), []);
  });
});
