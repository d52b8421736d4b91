import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { startTestGateway, type TestGateway } from "../support/gateway.ts";
import { rawSocket } from "../support/raw-socket.ts";
import { makeRecord } from "../support/records.ts";
import { waitFor } from "../support/wait-for.ts";

/** A service that speaks enough of the realtime API, and what became of its conversations. */
async function startTalker(t: TestContext) {
  const http = createServer((_request, response) => response.end());
  const server = new WebSocketServer({ server: http });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    http.close();
  });
  const seen = { urls: [] as string[], protocols: [] as string[], closed: 0 };
  server.on("connection", (socket, request) => {
    seen.urls.push(request.url ?? "");
    seen.protocols.push(request.headers["sec-websocket-protocol"] ?? "");
    socket.send(JSON.stringify({ type: "session.created" }));
    socket.on("close", () => seen.closed++);
    socket.on("message", (data, isBinary) => {
      if (isBinary) return socket.send(data, { binary: true });
      if (!String(data).includes("response.create")) return;
      socket.send(JSON.stringify({ type: "response.output_text.delta", delta: "Grüße" }));
      const usage = { input_tokens: 3, output_tokens: 2, total_tokens: 5 };
      socket.send(JSON.stringify({ type: "response.done", response: { status: "completed", usage } }));
    });
  });
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const record = (instance: string, maxConcurrency: number | null = null) =>
    makeRecord({
      instance,
      maxConcurrency,
      base_url: url,
      models: [{ id: "talk", features: { realtime: true } }],
      readiness_path: "/",
    });
  return { seen, record, server, url };
}

function connect(gateway: TestGateway, model: string, headers: Record<string, string> = {}): WebSocket {
  return new WebSocket(`${gateway.url.replace("http", "ws")}/v1/realtime?model=${model}`, ["realtime"], {
    headers: { authorization: `Bearer ${gateway.key}`, ...headers },
  });
}

/** Messages as they come, in order. */
function listen(socket: WebSocket) {
  const messages: unknown[] = [];
  const waiting: (() => void)[] = [];
  socket.on("message", (data, isBinary) => {
    messages.push(isBinary ? data : JSON.parse(String(data)));
    for (const wake of waiting.splice(0)) wake();
  });
  return async () => {
    while (messages.length === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    return messages.shift() as { type: string };
  };
}

async function start(t: TestContext) {
  const talker = await startTalker(t);
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([talker.record("one")]);
  return { talker, gateway };
}

// proves: operations.realtime
test("a conversation goes both ways, text and bytes, and its record has its tokens", async (t) => {
  const { talker, gateway } = await start(t);
  const socket = connect(gateway, "talk");
  const next = listen(socket);
  assert.equal((await next()).type, "session.created");
  assert.equal(socket.protocol, "realtime");
  socket.send(JSON.stringify({ type: "response.create" }));
  assert.equal((await next()).type, "response.output_text.delta");
  assert.equal((await next()).type, "response.done");
  socket.send(Buffer.from([0, 255, 1]));
  assert.deepEqual(await next(), Buffer.from([0, 255, 1]));
  socket.close(1000);
  await once(socket, "close");
  assert.match(talker.seen.urls[0] ?? "", /model=talk$/);
  const line = await recordLine(gateway);
  assert.equal(line.status, 101);
  assert.equal(line.prompt_tokens, 3);
  assert.equal(line.completion_tokens, 2);
  assert.equal(line.code, undefined);
});

test("a client that vanishes ends the conversation with its service", async (t) => {
  const { talker, gateway } = await start(t);
  const socket = connect(gateway, "talk");
  await listen(socket)();
  socket.terminate();
  await waitFor("its end at the service", () => talker.seen.closed > 0);
  assert.equal(talker.seen.closed, 1);
});

test("a service that is lost is told of, and then the conversation is closed", async (t) => {
  const { talker, gateway } = await start(t);
  const socket = connect(gateway, "talk");
  const next = listen(socket);
  await next();
  const closed = once(socket, "close");
  for (const client of talker.server.clients) client.terminate();
  assert.equal((await next()).type, "error");
  assert.equal((await closed)[0], 1011);
});

test("what cannot be served is refused before the connection leaves HTTP, in OpenAI's shape", async (t) => {
  const { gateway } = await start(t);
  const refusal = async (socket: WebSocket) => {
    const [request, response] = await once(socket, "unexpected-response");
    let text = "";
    for await (const chunk of response) text += String(chunk);
    request.destroy();
    socket.on("error", () => {});
    return { status: response.statusCode as number, code: JSON.parse(text).error.code as string };
  };
  assert.deepEqual(await refusal(connect(gateway, "nope")), { status: 404, code: "model_not_found" });
  assert.deepEqual(await refusal(connect(gateway, "talk", { authorization: "Bearer wrong" })), {
    status: 401,
    code: "invalid_api_key",
  });
  const plain = await gateway.fetch("/v1/realtime?model=talk");
  assert.equal(plain.status, 400);
  await plain.text();
});

// proves: operations.realtime
test("a page's client, which cannot set headers, gives its key as a protocol; nobody else sees it", async (t) => {
  const { talker, gateway } = await start(t);
  const protocols = ["realtime", `openai-insecure-api-key.${gateway.key}`, "openai-beta.realtime-v1"];
  const url = `${gateway.url.replace("http", "ws")}/v1/realtime?model=talk`;
  const socket = new WebSocket(url, protocols);
  assert.equal((await listen(socket)()).type, "session.created");
  assert.equal(socket.protocol, "realtime");
  assert.deepEqual(talker.seen.protocols, ["realtime"]);
  socket.close(1000);
  await once(socket, "close");
  await recordLine(gateway);
  assert.ok(!JSON.stringify(gateway.lines).includes(gateway.key));
  const wrong = new WebSocket(url, ["realtime", "openai-insecure-api-key.nxs_wrong"]);
  wrong.on("error", () => {});
  const [request, response] = await once(wrong, "unexpected-response");
  assert.equal(response.statusCode, 401);
  request.destroy();
  // It is a key on the way to a WebSocket only.
  const headers = { "sec-websocket-protocol": `openai-insecure-api-key.${gateway.key}` };
  assert.equal((await fetch(`${gateway.url}/v1/models`, { headers })).status, 401);
});

test("a handshake that is none takes no slot away", async (t) => {
  const talker = await startTalker(t);
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([talker.record("one", 1)]);
  for (const [line, status] of [
    ["Sec-WebSocket-Protocol: ,,", 400],
    ["Sec-WebSocket-Key: short", 400],
  ] as const) {
    const raw = await rawSocket(t, gateway.url);
    const head = ["GET /v1/realtime?model=talk HTTP/1.1", "Host: x", `Authorization: Bearer ${gateway.key}`];
    const rest = ["Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", line];
    const key = line.includes("Key") ? [] : ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    await raw.send(`${[...head, ...rest, ...key].join("\r\n")}\r\n\r\n`);
    assert.match(await raw.closed(), new RegExp(`^HTTP/1.1 ${status} `));
  }
  const socket = connect(gateway, "talk");
  assert.equal((await listen(socket)()).type, "session.created");
  socket.close(1000);
  await once(socket, "close");
});

async function recordLine(gateway: TestGateway) {
  const { fields } = await waitFor("the conversation's record", () =>
    gateway.lines.find((line) => line.fields.operation === "realtime.connect" && line.fields.status === 101),
  );
  return fields;
}
