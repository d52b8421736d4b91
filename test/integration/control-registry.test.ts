import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { createServer as createNetServer, type Server as NetServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fastify, { type FastifyInstance } from "fastify";
import { systemClock } from "../../src/base/clock.ts";
import { toErrorBody } from "../../src/base/error-body.ts";
import { toNexusError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { registryRoutes } from "../../src/control/registry-routes.ts";
import { type ControlRegistryOptions, createControlRegistry } from "../../src/registry/control-registry.ts";
import { createEmbeddedRegistry } from "../../src/registry/embedded-registry.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { encodeSnapshot } from "../../src/registry/wire.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { makeSnapshot } from "../support/records.ts";
import {
  hasCode,
  limit,
  nextTurn,
  record,
  registryContract,
  snapshotWhen,
  temporaryDirectory,
  viewContract,
} from "./registry-contract.ts";

const ttl = 10_000;

/** A control process: the registry's routes on a Unix socket. `requests` lists what it was asked. */
async function serve(
  context: TestContext,
  registry: Registry,
  socketPath: string,
): Promise<{ app: FastifyInstance; requests: string[] }> {
  const app = fastify({ forceCloseConnections: true });
  const requests: string[] = [];
  app.addHook("onRequest", async ({ method, url }) => void requests.push(`${method} ${url}`));
  app.setErrorHandler((thrown, _request, reply) => {
    const error = toNexusError(thrown);
    return reply.status(error.status).send(toErrorBody(error));
  });
  await app.register(registryRoutes, { registry, clock: systemClock });
  await app.listen({ path: socketPath });
  context.after(() => app.close());
  return { app, requests };
}

function client(context: TestContext, options: Partial<ControlRegistryOptions> & { url: string }) {
  const registry = createControlRegistry({ clock: systemClock, log: silentLogger, random: () => 0, ...options });
  context.after(() => registry.close());
  return registry;
}

async function open(context: TestContext, options: Partial<ControlRegistryOptions> = {}) {
  const clock = new FakeClock();
  const holder = createEmbeddedRegistry({ clock, log: silentLogger });
  const socketPath = join(temporaryDirectory(), "control.sock");
  const { app, requests } = await serve(context, holder, socketPath);
  const registry = client(context, { url: `unix:${socketPath}`, ...options });
  return { registry, holder, clock, app, requests, socketPath };
}
// proves: registry.one-contract

registryContract("control registry", open);
viewContract("control registry", async (context) => {
  const { registry, holder } = await open(context);
  const leases = new Map<string, string>();
  return {
    view: registry,
    async write(records) {
      const wanted = new Set(records.map((one) => (one as { instance: string }).instance));
      for (const [instance, id] of leases) if (!wanted.has(instance)) await holder.deregister(id);
      for (const one of records) {
        const registered = holder.register(one as Parameters<Registry["register"]>[0], ttl);
        await registered.then(({ id }) => leases.set((one as { instance: string }).instance, id)).catch(() => {});
      }
    },
  };
});

test("control registry: who only registers opens no watch; who looks opens one", limit, async (context) => {
  const { registry, requests } = await open(context);
  const lease = await registry.register(record("a"), ttl);
  await registry.renew(lease.id);
  assert.deepEqual(
    requests.map((request) => request.split(" ")[0]),
    ["POST", "PUT"],
  );
  registry.current();
  await snapshotWhen(registry, (now) => now.instances.size === 1);
  assert.deepEqual(requests.slice(2), ["GET /v1/nexus/registry/watch?changes=true"]);
});

// proves: registry.outage
test(
  "control registry: serves the last view, flagged stale, while the control is away, and recovers",
  limit,
  async (context) => {
    const { registry, holder, app, socketPath } = await open(context);
    await holder.register(record("a"), ttl);
    await registry.ready();
    const before = await snapshotWhen(registry, (now) => now.instances.size === 1 && !now.stale);
    await app.close();
    const stale = await snapshotWhen(registry, (now) => now.stale);
    assert.deepEqual([...stale.instances], [...before.instances]);
    assert.ok(stale.revision > before.revision);
    assert.match(registry.problem() ?? "", /control\.sock|ended the watch|other side closed/);
    await assert.rejects(registry.register(record("b"), ttl), hasCode("registry_unavailable"));
    await holder.register(record("c"), ttl);
    await serve(context, holder, socketPath);
    const after = await snapshotWhen(registry, (now) => !now.stale && now.instances.size === 2);
    assert.ok(after.revision > stale.revision);
    assert.equal(after.instances.get("chat/a"), before.instances.get("chat/a"), "validated once in its life");
    assert.equal(registry.problem(), undefined);
  },
);

test(
  "control registry: a registry that lost its memory drops nothing that registers again within a term",
  limit,
  async (context) => {
    const clock = new FakeClock();
    const { registry, holder, app, socketPath } = await open(context, { clock });
    for (const instance of ["a", "b"]) await holder.register(record(instance), ttl);
    await snapshotWhen(registry, (now) => now.instances.size === 2);
    await app.close();
    await snapshotWhen(registry, (now) => now.stale);
    const empty = createEmbeddedRegistry({ clock, log: silentLogger });
    await serve(context, empty, socketPath);
    await clock.tick(2_000);
    const back = await snapshotWhen(registry, (now) => !now.stale);
    assert.deepEqual([...back.instances.keys()], ["chat/a", "chat/b"]);
    await empty.register(record("b", { state: "draining" }), ttl * 10);
    await snapshotWhen(registry, (now) => now.instances.get("chat/b")?.state === "draining");
    await clock.tick(10_000);
    const settled = await snapshotWhen(registry, (now) => now.instances.size === 1);
    assert.deepEqual([...settled.instances.keys()], ["chat/b"]);
  },
);

// proves: registry.outage
test("control registry: a restart without the control serves at once from its file", limit, async (context) => {
  const cachePath = join(temporaryDirectory(), "view.json");
  const { registry, holder, app, socketPath } = await open(context, { cachePath });
  for (const instance of ["a", "b"]) await holder.register(record(instance), ttl);
  const before = await snapshotWhen(registry, (now) => now.instances.size === 2);
  await registry.close();
  await app.close();
  const again = client(context, { url: `unix:${socketPath}`, cachePath });
  const served = again.current();
  assert.equal(served.stale, true);
  assert.deepEqual([...served.instances], [...before.instances]);
  await again.ready();
  await serve(context, holder, socketPath);
  await snapshotWhen(again, (now) => !now.stale);
});

test("control registry: a file that is broken is put aside; one bad record in it is listed", limit, async (context) => {
  const cachePath = join(temporaryDirectory(), "view.json");
  const records = Array.from({ length: 1_000 }, (_, at) => record(`i${at}`));
  const text = encodeSnapshot(makeSnapshot(records));
  writeFileSync(cachePath, text.replace('"instance":"i500"', '"instance":"I500"'));
  const url = `unix:${join(temporaryDirectory(), "nobody.sock")}`;
  const { instances, rejected } = client(context, { url, cachePath }).current();
  assert.equal(instances.size, 999);
  assert.equal(rejected.length, 1);
  writeFileSync(cachePath, text.slice(0, -10));
  assert.equal(client(context, { url, cachePath }).current().instances.size, 0);
  assert.throws(() => readFileSync(cachePath), /ENOENT/);
});

/** A server that accepts and then says nothing, as a stopped process does. */
async function frozenServer(
  context: TestContext,
): Promise<{ socketPath: string; server: NetServer; sockets: Set<Socket> }> {
  const socketPath = join(temporaryDirectory(), "control.sock");
  const sockets = new Set<Socket>();
  const server = createNetServer((socket) => {
    sockets.add(socket);
    socket
      .on("error", () => {})
      .on("close", () => sockets.delete(socket))
      .resume();
  });
  server.listen(socketPath);
  await once(server, "listening");
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { socketPath, server, sockets };
}

test("control registry: a frozen control costs each call its deadline and no more", limit, async (context) => {
  const { socketPath, server } = await frozenServer(context);
  const clock = new FakeClock();
  const registry = client(context, { url: `unix:${socketPath}`, clock });
  const calls = [registry.register(record("a"), ttl), registry.renew("x"), registry.deregister("x")];
  const failed = Promise.allSettled(calls);
  await once(server, "connection");
  await clock.tick(3_000);
  for (const result of await failed) {
    assert.equal(result.status, "rejected");
    assert.ok(hasCode("registry_unavailable")(result.reason));
    assert.match(result.reason.detail, /no answer within 3000 ms/);
  }
});

/** A clock that tells how often somebody began to wait for `delayMs`. */
class CountingClock extends FakeClock {
  readonly begun = new Map<number, number>();

  override after(delayMs: number, run: () => void): () => void {
    this.begun.set(delayMs, (this.begun.get(delayMs) ?? 0) + 1);
    return super.after(delayMs, run);
  }
}

/** A server of event streams that a test writes by hand. */
async function scriptedServer(context: TestContext) {
  const socketPath = join(temporaryDirectory(), "control.sock");
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    server.emit("watch", response);
  }).listen(socketPath);
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const nextWatch = async (): Promise<ServerResponse> => (await once(server, "watch"))[0];
  return { url: `unix:${socketPath}`, nextWatch };
}

function snapshotEvent(...instances: string[]): string {
  const text = encodeSnapshot(makeSnapshot(instances.map((instance) => record(instance))));
  return `event: snapshot\ndata: ${text.replaceAll("\n", "\ndata: ")}\n\n`;
}

test("control registry: comments keep a quiet watch; silence ends it within 10 s", limit, async (context) => {
  const { url, nextWatch } = await scriptedServer(context);
  const clock = new CountingClock();
  const registry = client(context, { url, clock });
  registry.current();
  const watch = await nextWatch();
  watch.write(snapshotEvent("a"));
  await snapshotWhen(registry, (now) => !now.stale);
  for (let comment = 0; comment < 4; comment++) {
    await clock.tick(5_000);
    const heard = clock.begun.get(8_000);
    watch.write(":\n\n");
    while (clock.begun.get(8_000) === heard) await nextTurn();
  }
  assert.equal(registry.current().stale, false);
  const reopened = nextWatch();
  await clock.tick(8_000);
  await snapshotWhen(registry, (now) => now.stale);
  assert.match(registry.problem() ?? "", /nothing heard for 8000 ms/);
  await clock.tick(100);
  (await reopened).write(snapshotEvent("a", "b"));
  await snapshotWhen(registry, (now) => !now.stale && now.instances.size === 2);
});

for (const [what, event] of [
  [
    "a change of another revision",
    'event: change\ndata: {"version":1,"revision":9,"since":8,"changed":[],"removed":[]}\n\n',
  ],
  ["no JSON", "event: change\ndata: {\n\n"],
  ["no snapshot", 'event: snapshot\ndata: {"hello":1}\n\n'],
] as const) {
  test(`control registry: a watch that says ${what} is opened anew`, limit, async (context) => {
    const { url, nextWatch } = await scriptedServer(context);
    const registry = client(context, { url });
    registry.current();
    const watch = await nextWatch();
    watch.write(snapshotEvent("a"));
    const before = await snapshotWhen(registry, (now) => !now.stale);
    const reopened = nextWatch();
    watch.write(event);
    const stale = await snapshotWhen(registry, (now) => now.stale);
    assert.deepEqual([...stale.instances], [...before.instances]);
    (await reopened).write(snapshotEvent("b"));
    await snapshotWhen(registry, (now) => !now.stale && now.instances.has("chat/b"));
  });
}

test("control registry: an address where something else answers is not a registry", limit, async (context) => {
  const server = createServer((request, response) => {
    assert.equal(request.headers.authorization, "Bearer nxs_key");
    response.writeHead(request.url === "/v1/nexus/registry/instances" ? 200 : 404, { "content-type": "text/html" });
    response.end("<h1>It works!</h1>");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const registry = client(context, { url: `http://127.0.0.1:${address.port}/`, key: "nxs_key" });
  await assert.rejects(registry.register(record("a"), ttl), hasCode("registry_unavailable"));
  await assert.rejects(registry.renew("x"), hasCode("registry_unavailable"));
  assert.equal(registry.current().stale, true);
  while (registry.problem() === undefined) await nextTurn();
  assert.match(registry.problem() ?? "", /status 404/);
});

test("control registry: closing ends what waits", limit, async (context) => {
  const { socketPath } = await frozenServer(context);
  const registry = client(context, { url: `unix:${socketPath}` });
  const ready = assert.rejects(registry.ready(), hasCode("draining"));
  const call = assert.rejects(registry.renew("x"), hasCode("registry_unavailable"));
  await registry.close();
  await registry.close();
  await Promise.all([ready, call]);
});

test("control registry: an address of no known kind is refused at once", () => {
  for (const url of ["", "unix:relative", "ftp://host", "/path/control.sock"]) {
    const options = { url, clock: systemClock, log: silentLogger };
    assert.throws(() => createControlRegistry(options), hasCode("invalid_request"), url);
  }
});
