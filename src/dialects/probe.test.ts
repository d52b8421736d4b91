import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import { createProbeClient, defaultProbeLimits, ProbeFailure } from "./probe.ts";

const limits = { ...defaultProbeLimits, bytesMax: 64 * 1024 };
const client = createProbeClient(limits);
/** For servers that are meant not to answer in time. */
const hasty = createProbeClient({ ...limits, answerMs: 300 });
const ends: (() => Promise<void>)[] = [() => client.close(), () => hasty.close()];
after(() => Promise.all(ends.map((end) => end())));

/** A server that does with a connection whatever `talk` does; counts what it could send. */
async function serve(talk: (socket: Socket) => void): Promise<{ url: string; sent: () => number }> {
  const sockets = new Set<Socket>();
  let sent = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      sent += socket.bytesWritten;
    });
    socket.once("data", () => talk(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ends.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent: () => sent };
}

const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

describe("a probe", () => {
  it("reads no more of an answer than it may, however large it is", async () => {
    const block = Buffer.alloc(64 * 1024, "x");
    const closed = Promise.withResolvers<void>();
    const { url, sent } = await serve((socket) => {
      socket.on("close", closed.resolve);
      socket.write(`${head}content-length: ${100 * 1024 * 1024}\r\n\r\n`);
      const pump = () => {
        while (socket.bytesWritten < 100 * 1024 * 1024 && socket.write(block)) {
          // As fast as the other side takes it.
        }
        socket.once("drain", pump);
      };
      pump();
    });
    const probe = client.open(url, undefined);
    const answer = await probe.get("/v1/models");
    assert.deepEqual([answer.status, answer.json, answer.text], [200, undefined, ""]);
    assert.deepEqual(probe.asked, ["GET /v1/models: 200, more than 64 KiB"]);
    await closed.promise;
    assert.ok(sent() < 50 * 1024 * 1024, `${sent()} bytes were sent`);
  });

  it("waits no longer than it may: for the first byte, between bytes and for drips", async () => {
    const silent = await serve(() => {});
    const stuck = await serve((socket) => void socket.write(`${head}content-length: 10\r\n\r\n{`));
    const dripping = await serve((socket) => {
      socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
      const drip = setInterval(() => socket.write("1\r\n \r\n"), 20);
      socket.on("close", () => clearInterval(drip));
    });
    for (const { url } of [silent, stuck, dripping]) {
      // The last one would drip for ever.
      await assert.rejects(hasty.open(url, undefined).get("/"), { name: "ProbeFailure", kind: "timeout" });
    }
  });

  it("says what is wrong with a connection, without addresses", async () => {
    const gone = await serve((socket) => socket.destroy());
    const garbage = await serve((socket) => void socket.write("\u0000\u0001 this is no HTTP \r\n\r\n"));
    for (const { url } of [gone, garbage]) {
      const failure: unknown = await client
        .open(url, undefined)
        .get("/")
        .catch((error: unknown) => error);
      assert.ok(failure instanceof ProbeFailure);
      assert.equal(failure.kind, "broken");
      assert.doesNotMatch(failure.message, /127\.0\.0\.1/);
    }
    await assert.rejects(client.open("http://127.0.0.1:1", undefined).get("/"), { kind: "refused" });
    await assert.rejects(client.open("http://localhost:1", undefined).get("/"), { kind: "refused" });
  });

  it("reads garbage as no JSON", async () => {
    const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
    const texts = ["", "{", "nul", "\ufffd", '{"a":1}x', "<html>", deep];
    for (const text of texts) {
      const { url } = await serve((socket) =>
        socket.end(`${head}content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`),
      );
      const answer = await client.open(url, undefined).get("/");
      assert.deepEqual([answer.status, answer.json], [200, undefined]);
    }
  });

  it("takes brackets in strings for letters", async () => {
    const text = JSON.stringify({ template: "{[".repeat(500), quoted: '\\"[[[{{{\\' });
    const { url } = await serve((socket) =>
      socket.end(`${head}content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`),
    );
    assert.deepEqual((await client.open(url, undefined).get("/")).json, JSON.parse(text));
  });

  it("asks the same thing once and gives up with its signal", async () => {
    let asked = 0;
    const { url } = await serve((socket) => {
      asked += 1;
      socket.end(`${head}content-length: 2\r\nconnection: close\r\n\r\n{}`);
    });
    const probe = client.open(url, undefined);
    await Promise.all([probe.get("/a"), probe.get("/a")]);
    await probe.get("/a");
    assert.equal(asked, 1);
    const stopped = AbortSignal.abort();
    await assert.rejects(client.open(url, undefined, stopped).get("/a"), ProbeFailure);
    assert.equal(asked, 1);
  });

  it("follows no redirect and takes its key to nobody else", async () => {
    let elsewhere = 0;
    const other = await serve((socket) => {
      elsewhere += 1;
      socket.end(`${head}content-length: 2\r\n\r\n{}`);
    });
    const { url } = await serve((socket) =>
      socket.end(`HTTP/1.1 307 Temporary Redirect\r\nlocation: ${other.url}/\r\ncontent-length: 0\r\n\r\n`),
    );
    assert.equal((await client.open(url, "sk-secret").get("/")).status, 307);
    assert.equal(elsewhere, 0);
  });
});
