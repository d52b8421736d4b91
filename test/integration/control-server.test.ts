import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { NexusError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { keyRoutes } from "../../src/control/key-routes.ts";
import { platformRoutes } from "../../src/control/platform-routes.ts";
import { type ControlRoutes, startControlServer } from "../../src/control/server.ts";
import type { PlatformStatus } from "../../src/control/status.ts";
import { createKeyStore } from "../../src/keys/key-store.ts";
import { openDatabase } from "../../src/store/open-database.ts";
import { makeDirectory } from "../support/command-line.ts";

async function startServer(t: TestContext, routes: readonly ControlRoutes[]) {
  const directory = join(await makeDirectory(t), "data");
  const socketPath = join(directory, "control.sock");
  const server = await startControlServer({ socketPath, routes, log: silentLogger });
  t.after(() => server.close());
  return { directory, socketPath, server };
}

interface Sent {
  readonly body?: string;
  readonly headers?: Record<string, string>;
}

async function send(socketPath: string, method: string, path: string, sent: Sent = {}) {
  const headers = { ...(sent.body === undefined ? {} : { "content-type": "application/json" }), ...sent.headers };
  const outgoing = request({ socketPath, method, path, headers, agent: false });
  // Without its body, a request of a stated length shows that the length alone decides.
  if (sent.headers?.["content-length"] === undefined) outgoing.end(sent.body);
  else outgoing.flushHeaders();
  const [answer] = (await once(outgoing, "response")) as [import("node:http").IncomingMessage];
  const body = await text(answer);
  return { status: answer.statusCode, headers: answer.headers, json: body === "" ? undefined : JSON.parse(body) };
}

test("the socket is its owner's alone", async (t) => {
  const { directory, socketPath } = await startServer(t, []);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
});

test("a socket that nobody answers on is replaced, one that somebody answers on is not", async (t) => {
  const { socketPath, server } = await startServer(t, []);
  await assert.rejects(startControlServer({ socketPath, routes: [], log: silentLogger }), { code: "conflict" });
  assert.equal((await send(socketPath, "GET", "/nothing")).status, 404, "the first one still answers");
  await server.close();
  assert.ok(!existsSync(socketPath), "closing takes the socket away");
  writeFileSync(socketPath, "what a crash left");
  const second = await startControlServer({ socketPath, routes: [], log: silentLogger });
  assert.equal((await send(socketPath, "GET", "/nothing")).status, 404);
  await second.close();
});

test("a silent process on the socket counts as somebody", async (t) => {
  const directory = await makeDirectory(t);
  const socketPath = join(directory, "control.sock");
  const silent = createServer(() => {}).listen(socketPath);
  t.after(() => silent.close());
  await once(silent, "listening");
  await assert.rejects(startControlServer({ socketPath, routes: [], log: silentLogger }), { code: "conflict" });
});

test("a directory that everybody may write to, or a link to one, is refused", async (t) => {
  const directory = await makeDirectory(t);
  const open = join(directory, "open");
  mkdirSync(open);
  chmodSync(open, 0o777);
  const link = join(directory, "link");
  symlinkSync(open, link);
  for (const place of [open, link]) {
    const socketPath = join(place, "control.sock");
    await assert.rejects(startControlServer({ socketPath, routes: [], log: silentLogger }), { code: "conflict" });
  }
});

test("errors have OpenAI's shape, a request id, and no inner detail", async (t) => {
  const { socketPath } = await startServer(t, [
    (app) => {
      app.get("/known", () => {
        throw new NexusError("not_ready", "Wait.", { retryAfterSeconds: 2, detail: "10.0.0.1" });
      });
      app.get("/defect", () => {
        throw new Error("secret at 10.0.0.1");
      });
      app.post("/json", async (incoming) => incoming.body);
    },
  ]);
  const known = await send(socketPath, "GET", "/known", { headers: { "x-request-id": "abc" } });
  assert.equal(known.status, 503);
  assert.equal(known.headers["retry-after"], "2");
  assert.equal(known.headers["x-request-id"], "abc");
  assert.deepEqual(known.json, { error: { message: "Wait.", type: "server_error", param: null, code: "not_ready" } });
  const defect = await send(socketPath, "GET", "/defect");
  assert.equal(defect.json.error.code, "internal_error");
  assert.doesNotMatch(JSON.stringify(defect.json), /10\.0\.0\.1/);
  assert.equal((await send(socketPath, "GET", "/nothing")).json.error.code, "unknown_url");
  assert.equal((await send(socketPath, "POST", "/json", { body: "{" })).json.error.code, "invalid_json");
  const form = await send(socketPath, "POST", "/json", { body: "a=b", headers: { "content-type": "text/csv" } });
  assert.equal(form.json.error.code, "unsupported_media_type");
  const large = { "content-type": "application/json", "content-length": "3000000" };
  assert.equal((await send(socketPath, "POST", "/json", { headers: large })).json.error.code, "request_too_large");
});

test("keys are made, listed without their hash, and revoked", async (t) => {
  const url = `sqlite:${join(await makeDirectory(t), "nexus.db")}`;
  const database = openDatabase({ url: async () => url, isDurable: false, log: silentLogger });
  t.after(() => database.close());
  const keys = createKeyStore({ database, clock: systemClock });
  const routes = (isTooWeak: boolean) => [keyRoutes({ keys, clock: systemClock, isTooWeak: () => isTooWeak })];
  const { socketPath } = await startServer(t, routes(false));
  const made = await send(socketPath, "POST", "/v1/nexus/keys", {
    body: JSON.stringify({ name: "me", role: "admin" }),
  });
  assert.equal(made.status, 201);
  assert.match(made.json.key, /^nxs_/);
  assert.equal(made.json.record.secrets, undefined);
  const open = await startServer(t, routes(true));
  const weak = { body: JSON.stringify({ name: "old", key: "sk-1234-home" }) };
  assert.equal((await send(open.socketPath, "POST", "/v1/nexus/keys", weak)).json.error.param, "key");
  const twice = await send(socketPath, "POST", "/v1/nexus/keys", { body: JSON.stringify({ name: "me" }) });
  assert.equal(twice.status, 409);
  const wrong = await send(socketPath, "POST", "/v1/nexus/keys", { body: JSON.stringify({ name: "", rolle: "x" }) });
  assert.equal(wrong.status, 400);
  const listed = await send(socketPath, "GET", "/v1/nexus/keys");
  assert.deepEqual(listed.json, { keys: [made.json.record] });
  const revoked = await send(socketPath, "DELETE", `/v1/nexus/keys/${made.json.record.id}`);
  assert.notEqual(revoked.json.record.revoked_at, null);
  assert.equal((await send(socketPath, "DELETE", "/v1/nexus/keys/nobody")).status, 404);
});

test("stop answers before it stops", async (t) => {
  const stopping = Promise.withResolvers<void>();
  const status = () => ({ state: "ready" }) as PlatformStatus;
  const { socketPath } = await startServer(t, [platformRoutes({ status, stop: stopping.resolve })]);
  assert.equal((await send(socketPath, "GET", "/v1/nexus/status")).json.state, "ready");
  const stop = await send(socketPath, "POST", "/v1/nexus/stop");
  assert.equal(stop.status, 202);
  await stopping.promise;
});
