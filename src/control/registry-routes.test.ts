import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { createParser } from "eventsource-parser";
import fastify from "fastify";
import { FakeClock } from "../../test/fakes/fake-clock.ts";
import { makeRecord } from "../../test/support/records.ts";
import { toErrorBody } from "../base/error-body.ts";
import { toNexusError } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { createEmbeddedRegistry } from "../registry/embedded-registry.ts";
import { SnapshotDecoder } from "../registry/wire.ts";
import { type RegistryRoutesOptions, registryRoutes } from "./registry-routes.ts";

const limit = { timeout: 60_000 };
const ttl = 10_000;
const record = (instance: string, note = "") =>
  makeRecord({ service: "chat", instance, labels: note === "" ? {} : { note } });

async function open(context: TestContext, options: Partial<RegistryRoutesOptions> = {}) {
  const clock = new FakeClock();
  const registry = createEmbeddedRegistry({ clock, log: silentLogger });
  const app = fastify({ forceCloseConnections: true });
  app.setErrorHandler((thrown, _request, reply) => {
    const error = toNexusError(thrown);
    return reply.status(error.status).send(toErrorBody(error));
  });
  await app.register(registryRoutes, { registry, clock, ...options });
  await app.listen({ host: "127.0.0.1", port: 0 });
  context.after(() => Promise.all([app.close(), registry.close()]));
  return { registry, app, clock, port: (app.server.address() as AddressInfo).port };
}

/** A watcher that reads only while it is told to. */
async function watch(context: TestContext, port: number, query = "") {
  const socket: Socket = connect(port, "127.0.0.1");
  context.after(() => socket.destroy());
  socket.on("error", () => {});
  socket.write(`GET /v1/nexus/registry/watch${query} HTTP/1.1\r\nhost: x\r\n\r\n`);
  await once(socket, "readable");
  const events: { event: string | undefined; data: string }[] = [];
  let comments = 0;
  const parser = createParser({
    onEvent: ({ event, data }) => events.push({ event, data }),
    onComment: () => comments++,
  });
  let text = "";
  let status = 0;
  const take = (chunk: Buffer): void => {
    text += chunk.toString("latin1");
    const end = status === 0 ? text.indexOf("\r\n\r\n") : 0;
    if (status === 0 && end >= 0) {
      status = Number(text.slice(9, 12));
      text = text.slice(end + 4);
    }
    if (status === 0) return;
    // Chunked framing: a length, a chunk, a line break.
    for (;;) {
      const line = text.indexOf("\r\n");
      const length = Number.parseInt(text.slice(0, line), 16);
      if (line < 0 || text.length < line + 2 + length + 2) return;
      parser.feed(text.slice(line + 2, line + 2 + length));
      text = text.slice(line + 2 + length + 2);
    }
  };
  return {
    socket,
    events,
    comments: () => comments,
    status: () => status,
    async readUntil(holds: () => boolean): Promise<void> {
      while (!holds()) {
        const chunk: Buffer | null = socket.read();
        if (chunk === null) await once(socket, "readable");
        else take(chunk);
      }
    },
  };
}

test("the registry is one JSON document", limit, async (context) => {
  const { registry, app } = await open(context);
  const lease = await registry.register(record("a"), ttl);
  const answer = await app.inject("/v1/nexus/registry");
  assert.match(String(answer.headers["content-type"]), /^application\/json/);
  assert.equal(answer.json().instances[0].instance, "a");
  assert.ok(!answer.body.includes(lease.id), "its id is the right to renew: nobody else sees it");
});

test("wrong bodies are refused by name", limit, async (context) => {
  const { app } = await open(context);
  const cases = [
    ["POST", "/v1/nexus/registry/instances", {}, 400, /record/],
    ["POST", "/v1/nexus/registry/instances", { record: {} }, 422, /schema_version/],
    ["POST", "/v1/nexus/registry/instances", { record: record("a"), ttl_ms: 5 }, 400, /ttl_ms/],
    ["PUT", "/v1/nexus/registry/leases/x", { record: 5 }, 400, /record/],
    ["PUT", "/v1/nexus/registry/leases/x", undefined, 410, /register again/],
    ["POST", "/v1/nexus/drains", { kind: "rack", name: "x" }, 400, /kind/],
    ["DELETE", "/v1/nexus/drains", {}, 400, /kind/],
    ["GET", "/v1/nexus/registry/watch?changes=maybe", undefined, 400, /changes/],
  ] as const;
  for (const [method, url, payload, status, message] of cases) {
    const answer = await app.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
    assert.equal(answer.statusCode, status, `${method} ${url}`);
    assert.match(answer.json().error.message, message);
  }
});

test("a secret is the operator's to write, when registering and when renewing", limit, async (context) => {
  const mayWriteSecrets: RegistryRoutesOptions["mayWriteSecrets"] = ({ headers }) => headers["x-operator"] === "yes";
  const { app, registry } = await open(context, { mayWriteSecrets });
  const secretive = { ...record("a"), secret: "env:KEY" };
  const post = (payload: object, headers = {}) =>
    app.inject({ method: "POST", url: "/v1/nexus/registry/instances", payload, headers });
  const refused = await post({ record: secretive });
  assert.equal(refused.statusCode, 403);
  assert.equal(refused.json().error.param, "record.secret");
  const { lease } = (await post({ record: record("a") })).json();
  const url = `/v1/nexus/registry/leases/${lease.id}`;
  assert.equal((await app.inject({ method: "PUT", url, payload: { record: secretive } })).statusCode, 403);
  assert.equal(registry.current().instances.get("chat/a")?.secret, null);
  assert.equal((await post({ record: secretive }, { "x-operator": "yes" })).statusCode, 201);
  assert.equal(registry.current().instances.get("chat/a")?.secret, "env:KEY");
});

test("a plain watcher gets a whole snapshot after each change, and comments between", limit, async (context) => {
  const { registry, clock, port } = await open(context);
  const watcher = await watch(context, port);
  await watcher.readUntil(() => watcher.events.length === 1);
  await registry.register(record("a"), ttl);
  await watcher.readUntil(() => watcher.events.length === 2);
  await registry.register(record("b"), ttl);
  await watcher.readUntil(() => watcher.events.length === 3);
  assert.deepEqual(
    watcher.events.map(({ event }) => event),
    ["snapshot", "snapshot", "snapshot"],
  );
  assert.equal(JSON.parse(watcher.events[2]?.data ?? "").instances.length, 2);
  await clock.tick(5_000);
  await watcher.readUntil(() => watcher.comments() === 1);
});

for (const query of ["", "?changes=true"]) {
  test(`a slow watcher ${query} takes little memory and ends at the newest state`, limit, async (context) => {
    const { registry, port } = await open(context);
    const watcher = await watch(context, port, query);
    await watcher.readUntil(() => watcher.events.length === 1);
    const note = "x".repeat(250);
    for (let at = 0; at < 1_000; at++) await registry.register(record(`i${at}`, note), ttl * 10);
    let changes = 0;
    const stop = registry.onChange(() => changes++);
    for (let at = 0; at < 300; at++) {
      await registry.register(record(`i${at}`, `${note}y`), ttl * 10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    stop();
    await registry.register(record("last"), ttl);
    const decoder = new SnapshotDecoder();
    let read = 0;
    const newest = () => {
      let snapshot = registry.current();
      for (; read < watcher.events.length; read++) {
        const { event, data } = watcher.events[read] ?? { event: "", data: "" };
        snapshot = event === "snapshot" ? decoder.snapshot(JSON.parse(data)) : decoder.change(JSON.parse(data));
        if (snapshot.revision === registry.current().revision) {
          assert.deepEqual([...snapshot.instances], [...registry.current().instances]);
          return true;
        }
      }
      return false;
    };
    await watcher.readUntil(newest);
    assert.ok(changes >= 300, "there were many states");
    assert.ok(query !== "" || watcher.events.length < 20, `${watcher.events.length} events`);
  });
}

test("a watcher that takes nothing for 30 s is dropped", limit, async (context) => {
  const { registry, clock, port } = await open(context);
  const watcher = await watch(context, port);
  await watcher.readUntil(() => watcher.events.length === 1);
  const note = "x".repeat(250);
  for (let at = 0; at < 10_000; at++) await registry.register(record(`i${at}`, note), 3_600_000);
  await new Promise((resolve) => setImmediate(resolve));
  for (let waited = 0; waited < 8; waited++) await clock.tick(5_000);
  watcher.socket.resume();
  await once(watcher.socket, "close");
});

test("watchers are bounded, and their places are given back", limit, async (context) => {
  const { port } = await open(context, { watchersMax: 2 });
  const [first] = [await watch(context, port), await watch(context, port)];
  const third = await watch(context, port);
  await third.readUntil(() => third.status() !== 0);
  assert.equal(third.status(), 429);
  first.socket.destroy();
  for (;;) {
    const again = await watch(context, port);
    await again.readUntil(() => again.status() !== 0);
    if (again.status() === 200) break;
  }
});

test("closing the server ends its watches at once", limit, async (context) => {
  const { app, port } = await open(context);
  const watcher = await watch(context, port);
  const closed = once(watcher.socket, "close");
  watcher.socket.resume();
  await app.close();
  await closed;
});
