import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type TestContext, test } from "node:test";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";

const chat = { model: "tiny", messages: [{ role: "user", content: "hi" }] };
const good = '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}';

/** A gateway in front of a server that is ready and answers requests in its own way. */
async function start(t: TestContext, answer: RequestListener): Promise<TestGateway> {
  const server = createServer((request, response) => {
    if (request.method === "GET") response.end("{}");
    else request.resume().once("end", () => answer(request, response));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const gateway = await startTestGateway();
  t.after(async () => {
    await gateway.close();
    server.closeAllConnections();
    server.close();
  });
  gateway.view.set([recordOf({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })]);
  return gateway;
}

/** Sends bytes over a connection of their own and answers with what came back until `enough`. */
async function converse(gateway: TestGateway, text: string, enough: RegExp): Promise<string> {
  const { hostname, port } = new URL(gateway.url);
  const socket = connect(Number(port), hostname);
  let said = "";
  try {
    socket.write(text);
    for await (const bytes of socket) {
      said += String(bytes);
      if (enough.test(said)) break;
    }
  } finally {
    socket.destroy();
  }
  return said;
}

function post(gateway: TestGateway, extra = ""): string {
  const body = JSON.stringify(chat);
  const lines = [
    "POST /v1/chat/completions HTTP/1.1",
    "host: localhost",
    `authorization: Bearer ${gateway.key}`,
    "content-type: application/json",
    `content-length: ${body.length}`,
  ];
  return `${lines.join("\r\n")}\r\n${extra}\r\n${body}`;
}

const bound = { timeout: 60_000 };

test(
  "a server's redirection or 304 is its failure, and the next answer begins where its own ends",
  bound,
  async (t) => {
    for (const status of [304, 302]) {
      const gateway = await start(t, (_, response) => response.writeHead(status, { location: "http://a.test/" }).end());
      const said = await converse(gateway, post(gateway).repeat(2), /HTTP\/1.1[\s\S]*HTTP\/1.1[\s\S]*}$/);
      assert.deepEqual(said.match(/HTTP\/1.1 \d+/g), ["HTTP/1.1 502", "HTTP/1.1 502"]);
      assert.doesNotMatch(said, /location|a\.test/);
    }
  },
);

test("an answer without a body says nothing of its length", bound, async (t) => {
  const gateway = await start(t, (_, response) => response.writeHead(204).end());
  const said = await converse(gateway, post(gateway), /\r\n\r\n$/);
  assert.match(said, /^HTTP\/1.1 204/);
  assert.doesNotMatch(said, /content-length|transfer-encoding/);
});

test("an offer of HTTP/2 that is not taken up is an ordinary request, body and all", bound, async (t) => {
  const gateway = await start(t, (_, response) => response.setHeader("content-type", "application/json").end(good));
  const offer = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\n";
  const said = await converse(gateway, post(gateway, offer), /}}$/);
  assert.match(said, /^HTTP\/1.1 200[\s\S]*"prompt_tokens":3/);
});

test("counts an answer that is too large to be held", bound, async (t) => {
  const gateway = await start(t, (_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(`{"data":"${"a".repeat(9_000_000)}","usage":{"prompt_tokens":33,"total_tokens":33}}`);
  });
  await (await gateway.fetch("/v1/embeddings", { body: { model: "tiny", input: "x" } })).arrayBuffer();
  const [done] = await gateway.completions(1);
  assert.deepEqual([done?.status, done?.prompt_tokens], [200, 33]);
});

test("counts what a client has used that leaves in the middle of a stream", bound, async (t) => {
  const gateway = await start(t, (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n'.repeat(100));
  });
  const leaves = new AbortController();
  const answer = await gateway.fetch("/v1/chat/completions", {
    body: { ...chat, stream: true },
    signal: leaves.signal,
  });
  await answer.body?.getReader().read();
  leaves.abort();
  const [done] = await gateway.completions(1);
  assert.equal(done?.status, 499);
  assert.ok(Number(done?.completion_tokens) >= 90 && Number(done?.prompt_tokens) > 0, JSON.stringify(done));
});

test(
  "a request on its way over an idle connection when the gateway is told to end is its last, not lost",
  bound,
  async () => {
    const gateway = await startTestGateway();
    const { hostname, port } = new URL(gateway.url);
    const socket = connect(Number(port), hostname);
    const ask = `GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${gateway.key}\r\n\r\n`;
    socket.write(ask);
    await once(socket, "data");
    const closed = gateway.close();
    socket.write(ask);
    const said = String(Buffer.concat(await socket.toArray()));
    await closed;
    assert.match(said, /^HTTP\/1.1 200[\s\S]*connection: close/);
  },
);
