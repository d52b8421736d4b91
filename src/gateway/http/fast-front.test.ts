import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { FakeClock } from "../../../test/fakes/fake-clock.ts";
import { rawSocket } from "../../../test/support/raw-socket.ts";
import type { ClientReply, ClientRequest } from "../client-io.ts";
import { putFastFront } from "./fast-front.ts";

type Serve = (request: ClientRequest, reply: ClientReply) => void;

/** Answers with what it was asked, and says who read it. */
const echo: Serve = (request, reply) => {
  const pieces: Buffer[] = [];
  request.receiveBody({
    data: (piece) => pieces.push(piece) > 0,
    end: () => reply.end(`fast ${request.method} ${request.target} ${Buffer.concat(pieces)}\n`),
    fail() {},
  });
};

async function startFront(t: TestContext, serve: Serve = echo) {
  const clock = new FakeClock();
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => response.end(`node ${request.method} ${request.url} ${Buffer.concat(pieces)}\n`));
  });
  let handedOver = 0;
  const front = putFastFront(server, {
    clock,
    serve: async (request, reply) => serve(request, reply),
    onHandOver: () => void handedOver++,
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(() => {
    front.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { url, clock, front, server, handedOver: () => handedOver };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const get = (path: string, ...lines: string[]) => `GET ${path} HTTP/1.1\r\nHost: x\r\n${lines.join("")}\r\n`;
const post = (path: string, body: string, ...lines: string[]) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\n${lines.join("")}Content-Length: ${body.length}\r\n\r\n${body}`;

test("requests on one connection are answered one after the other, sent ahead or not", async (t) => {
  const { url, handedOver } = await startFront(t);
  const client = await rawSocket(t, url);
  await client.send(get("/1") + post("/2", "ab") + get("/3"));
  const text = await client.until(/\/3 \n/);
  assert.deepEqual(text.match(/fast .*/g), ["fast GET /1 ", "fast POST /2 ab", "fast GET /3 "]);
  await client.send(post("/4", "late"));
  await client.until(/\/4 late\n/);
  assert.equal(handedOver(), 0);
});

test("a body is read in any pieces, and what follows it is the next request", async (t) => {
  const { url } = await startFront(t);
  const client = await rawSocket(t, url);
  const text = post("/1", "0123456789") + get("/2");
  const head = text.indexOf("0123");
  for (const [from, to] of [
    [0, head + 1],
    [head + 1, head + 4],
    [head + 4, head + 13],
  ]) {
    await client.send(text.slice(from, to));
    await turn();
  }
  await client.until(/\/1 0123456789\n/);
  // Its head is not whole: Node reads on from there.
  await client.send(text.slice(head + 13));
  await client.until(/node GET \/2 \n/);
});

test("what the fast path does not read goes to Node with every byte, in the middle of a connection too", async (t) => {
  const { url, handedOver } = await startFront(t);
  const client = await rawSocket(t, url);
  const chunked = "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
  await client.send(get("/1") + chunked + get("/3"));
  const text = await client.until(/\/3 \n/);
  assert.deepEqual(text.match(/(?:fast|node) .*/g), ["fast GET /1 ", "node POST /2 ab", "node GET /3 "]);
  await client.send(chunked);
  await client.until(/\/3 \n[\s\S]*node POST \/2 ab\n/);
  assert.equal(handedOver(), 1);
});

test("a head that comes in pieces is Node's to wait for", async (t) => {
  const { url, handedOver } = await startFront(t);
  const client = await rawSocket(t, url);
  await client.send("GET /slow HTTP/1.1\r\nHo");
  while (handedOver() === 0) await turn();
  await client.send("st: x\r\n\r\n");
  await client.until(/node GET \/slow \n/);
});

test("head and body leave in one piece, and a stream in chunks", async (t) => {
  const { url } = await startFront(t, (_request, reply) => {
    reply.setHeader("X-Id", "a");
    reply.writeHead(200, { "content-type": "text/plain" });
    reply.write("one");
    reply.write("two");
    setImmediate(() => {
      reply.write("three");
      reply.end();
    });
  });
  const client = await rawSocket(t, url);
  await client.send(get("/"));
  const text = await client.until(/\r\n0\r\n\r\n$/);
  assert.match(
    text,
    /^HTTP\/1\.1 200 OK\r\nx-id: a\r\ncontent-type: text\/plain\r\ntransfer-encoding: chunked\r\ndate: /,
  );
  assert.match(text, /\r\n\r\n6\r\nonetwo\r\n5\r\nthree\r\n0\r\n\r\n$/);
});

test("an answer that comes before the body ends the connection, after the body", async (t) => {
  const { url } = await startFront(t, (_request, reply) => reply.end("no"));
  const client = await rawSocket(t, url);
  const text = post("/", "x".repeat(100));
  await client.send(text.slice(0, -50));
  assert.match(await client.until(/no$/), /connection: close/);
  await client.send(text.slice(-50));
  await client.closed();
  assert.equal(client.error(), undefined);
});

test("a client that asks for the end gets it, after its answer", async (t) => {
  const { url } = await startFront(t);
  const client = await rawSocket(t, url);
  await client.send(get("/", "Connection: close\r\n") + get("/never"));
  const text = await client.closed();
  assert.match(text, /connection: close/);
  assert.doesNotMatch(text, /never/);
});

test("a client that leaves is noticed at once, before its answer and in the middle of it", async (t) => {
  for (const isOpen of [false, true]) {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const { url } = await startFront(t, (_request, reply) => {
      reply.onClose(resolve);
      if (isOpen) reply.writeHead(200);
    });
    const client = await rawSocket(t, url);
    await client.send(get("/"));
    if (isOpen) await client.until(/200 OK/);
    client.socket.end();
    assert.equal(await promise, false);
  }
});

test("a promise of a length is kept, or the connection is cut", async (t) => {
  const { url } = await startFront(t, (_request, reply) => {
    reply.writeHead(200, { "content-length": 10 });
    reply.end("short");
  });
  const client = await rawSocket(t, url);
  await client.send(get("/"));
  assert.doesNotMatch(await client.closed(), /short/);
});

test("no value of a header can end its line", async (t) => {
  let thrown: unknown;
  const { url } = await startFront(t, (_request, reply) => {
    reply.setHeader("x-instance", "a\r\nset-cookie: b");
    try {
      reply.end("x");
    } catch (error) {
      thrown = error;
      reply.destroy();
    }
  });
  const client = await rawSocket(t, url);
  await client.send(get("/"));
  assert.equal(await client.closed(), "");
  assert.ok(thrown instanceof TypeError);
});

test("a client that reads slowly is told of, and gets everything once it reads", async (t) => {
  const megabyte = Buffer.alloc(1024 * 1024, "x");
  let pauses = 0;
  const { url } = await startFront(t, (_request, reply) => {
    reply.writeHead(200, { "content-length": 20 * megabyte.length });
    let sent = 0;
    const more = (): void => {
      while (sent < 20) {
        sent++;
        if (reply.write(megabyte)) continue;
        pauses++;
        reply.onDrain(more);
        return;
      }
      reply.end();
    };
    more();
  });
  const client = await rawSocket(t, url);
  let bytes = 0;
  client.socket.on("data", (piece) => {
    bytes += piece.length;
  });
  await client.send(get("/", "Connection: close\r\n"));
  await client.closed();
  assert.ok(bytes > 20 * megabyte.length, `only ${bytes} bytes came`);
  assert.ok(pauses > 0);
});

test("who does not read an answer that is ready is left after a time", async (t) => {
  const { url, clock } = await startFront(t, (_request, reply) => reply.end(Buffer.alloc(20 * 1024 * 1024)));
  const client = await rawSocket(t, url);
  client.socket.pause();
  await client.send(get("/"));
  for (let count = 0; count < 50; count++) await turn();
  await clock.tick(310_000);
  client.socket.resume();
  await client.closed();
  assert.ok(client.socket.bytesRead < 20 * 1024 * 1024, "the rest went nowhere");
});

test("a body waits at its sender while nobody takes it, and goes on piece by piece", async (t) => {
  const body = "x".repeat(30 * 1024 * 1024);
  const { promise, resolve } = Promise.withResolvers<readonly [ClientRequest, ClientReply]>();
  const { url } = await startFront(t, (request, reply) => resolve([request, reply]));
  const client = await rawSocket(t, url);
  client.socket.write(post("/", body));
  const [request, reply] = await promise;
  for (let count = 0; count < 50; count++) await turn();
  assert.ok(client.socket.writableLength > 0, "all of it was taken though nobody wanted it");
  let bytes = 0;
  request.receiveBody({
    data(piece) {
      bytes += piece.length;
      setImmediate(() => request.resumeBody());
      return false;
    },
    end: () => reply.end(`all of ${bytes}`),
    fail() {},
  });
  await client.until(new RegExp(`all of ${body.length}$`));
});

test("who says nothing, or nothing more, is left after its time", async (t) => {
  const { url, clock } = await startFront(t);
  const silent = await rawSocket(t, url);
  const idle = await rawSocket(t, url);
  await idle.send(get("/"));
  await idle.until(/fast/);
  await clock.tick(14_000);
  await silent.closed();
  await idle.send(get("/again"));
  await idle.until(/again/);
  await clock.tick(70_000);
  await idle.closed();
});

test("closing ends idle connections now and busy ones after their answer", async (t) => {
  const replies: ClientReply[] = [];
  const { url, front, server } = await startFront(t, (request, reply) => {
    if (request.target === "/held") replies.push(reply);
    else reply.end("x");
  });
  const idle = await rawSocket(t, url);
  const busy = await rawSocket(t, url);
  await idle.send(get("/"));
  await idle.until(/x$/);
  await busy.send(get("/held"));
  while (replies.length === 0) await turn();
  const closed = once(server, "close");
  server.close();
  front.closeWhenIdle();
  await idle.closed();
  assert.equal(busy.text(), "");
  replies[0]?.end("bye");
  assert.match(await busy.closed(), /connection: close[\s\S]*bye$/);
  await closed;
});
