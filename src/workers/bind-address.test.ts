import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { type BoundSocket, bindAddress } from "./bind-address.ts";

const host = "127.0.0.1";

/** A server on a port of its own. */
async function occupy(t: TestContext): Promise<{ readonly port: number; leave(): void }> {
  const server = createServer();
  server.listen(0, host);
  await once(server, "listening");
  const leave = () => void server.close();
  t.after(leave);
  return { port: (server.address() as AddressInfo).port, leave };
}

// proves: workers.one-port
test("a port that somebody listens on is refused with its code, and no other one is taken instead", {
  timeout: 60_000,
}, async (t) => {
  const { port } = await occupy(t);
  await assert.rejects(bindAddress({ host, port }), { code: "EADDRINUSE" });
});

// proves: workers.drain
test("a port that is being given up is waited for", { timeout: 60_000 }, async (t) => {
  const { port, leave } = await occupy(t);
  const binding = bindAddress({ host, port });
  setTimeout(leave, 200);
  const bound = await binding;
  assert.equal(bound.port, port);
  assert.deepEqual(await listenOn(t, bound), { address: host, family: "IPv4", port });
});

// proves: workers.one-port
test("the port that the system chose is told, and whoever has the descriptor listens there", {
  timeout: 60_000,
}, async (t) => {
  const bound = await bindAddress({ host, port: 0 });
  assert.ok(bound.port > 0);
  assert.deepEqual(await listenOn(t, bound), { address: host, family: "IPv4", port: bound.port });
});

/** Where somebody listens who has got the descriptor. */
async function listenOn(t: TestContext, bound: BoundSocket): Promise<ReturnType<Server["address"]>> {
  const server = createServer().listen({ fd: bound.descriptor });
  t.after(() => {
    server.close();
    bound.close();
  });
  await once(server, "listening");
  return server.address();
}
