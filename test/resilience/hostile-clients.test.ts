import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway } from "../support/gateway.ts";
import { scenarioMs, sized } from "../support/size.ts";

const body = JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "hi" }] });
const length = Buffer.byteLength(body);

/** The lines of a request to chat, with what is odd about it in place of what would be right. */
function post(odd: { target?: string; version?: string; headers?: readonly string[]; body?: string }): string {
  const headers = odd.headers ?? ["Host: x", `Content-Length: ${length}`];
  const first = `POST ${odd.target ?? "/v1/chat/completions"} ${odd.version ?? "HTTP/1.1"}`;
  return `${[first, "Authorization: Bearer KEY", "Content-Type: application/json", ...headers].join("\r\n")}\r\n\r\n${odd.body ?? body}`;
}

/** What HTTP readers are known to disagree about (RFC 9112, sections 3.2, 5.1, 6.3, 11.2). */
const probes: Readonly<Record<string, string>> = {
  "two hosts": post({ headers: ["Host: x", "Host: y", `Content-Length: ${length}`] }),
  "no host": post({ headers: [`Content-Length: ${length}`] }),
  "absolute form": post({ target: "http://evil.test/v1/chat/completions" }),
  "authority form": post({ target: "evil.test:80" }),
  "asterisk form": post({ target: "*" }),
  "length and chunked": post({
    headers: ["Host: x", `Content-Length: ${length}`, "Transfer-Encoding: chunked"],
    body: `${length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  }),
  "chunked twice": post({
    headers: ["Host: x", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    body: "0\r\n\r\n",
  }),
  "chunked in disguise": post({ headers: ["Host: x", "Transfer-Encoding: xchunked"], body: "0\r\n\r\n" }),
  "chunked, then identity": post({ headers: ["Host: x", "Transfer-Encoding: chunked, identity"], body: "0\r\n\r\n" }),
  "two lengths that differ": post({ headers: ["Host: x", `Content-Length: ${length}`, "Content-Length: 1"] }),
  "two lengths in one": post({ headers: ["Host: x", `Content-Length: ${length}, ${length}`] }),
  "a signed length": post({ headers: ["Host: x", `Content-Length: +${length}`] }),
  "a negative length": post({ headers: ["Host: x", "Content-Length: -1"] }),
  "a hexadecimal length": post({ headers: ["Host: x", "Content-Length: 0x10"] }),
  "a length beyond 64 bits": post({ headers: ["Host: x", "Content-Length: 99999999999999999999999"] }),
  "space before the colon": post({ headers: ["Host: x", `Content-Length : ${length}`] }),
  "a folded header": post({ headers: ["Host: x", "X-A: b\r\n c", `Content-Length: ${length}`] }),
  "a bare line feed": `POST /v1/chat/completions HTTP/1.1\nHost: x\nContent-Length: ${length}\n\n${body}`,
  "a bare carriage return": post({ headers: ["Host: x", "X-A: b\rX-B: c", `Content-Length: ${length}`] }),
  "a zero byte in a header": post({ headers: ["Host: x", "X-A: b\0c", `Content-Length: ${length}`] }),
  "a header without a name": post({ headers: ["Host: x", ": b", `Content-Length: ${length}`] }),
  "a version of its own": post({ version: "HTTP/1.2" }),
  "HTTP/0.9": "GET /health\r\n\r\n",
  "two keys": post({ headers: ["Host: x", "Authorization: Bearer other", `Content-Length: ${length}`] }),
  "a chunk size that overflows": post({
    headers: ["Host: x", "Transfer-Encoding: chunked"],
    body: "fffffffffffffffff\r\nx\r\n0\r\n\r\n",
  }),
  "a chunk longer than it says": post({
    headers: ["Host: x", "Transfer-Encoding: chunked"],
    body: "2\r\n{}}}\r\n0\r\n\r\n",
  }),
  "headers without an end": `GET /health HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(40_000)}`,
};

/** Sends bytes and reads until the other end closes, or has answered and says no more. */
function exchange(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const { promise, resolve } = Promise.withResolvers<string>();
  let answer = "";
  socket.setTimeout(3_000, () => socket.destroy());
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
    if (/\r\n\r\n[\s\S]*\}\s*$/.test(answer)) socket.end();
  });
  socket.on("error", () => {});
  socket.on("close", () => resolve(answer));
  socket.write(text, "latin1");
  return promise;
}

// proves: resilience.hostile-clients
test("R16: what two readers of HTTP could read differently is refused and reaches no backend", {
  timeout: scenarioMs,
}, async (t) => {
  const backend = await startFakeBackend("nexus");
  t.after(() => backend.close());
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([recordOf(backend)]);
  for (const [title, text] of Object.entries(probes)) {
    const answer = await exchange(gateway.url, text.replace("Bearer KEY", `Bearer ${gateway.key}`));
    assert.match(answer, /^(?:HTTP\/1\.1 [45]\d\d |$)/, title);
    assert.equal(backend.generations, 0, `${title} reached a backend`);
  }
  const good = await exchange(gateway.url, post({}).replace("Bearer KEY", `Bearer ${gateway.key}`));
  assert.match(good, /^HTTP\/1\.1 200 /, "the same request without anything odd is served");
});

// proves: resilience.hostile-clients
test("R16: slow senders are dropped, and a good client is served all the while", { timeout: scenarioMs }, async (t) => {
  const slow = sized(200, 2_000);
  const backend = await startFakeBackend("nexus");
  t.after(() => backend.close());
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([recordOf(backend)]);
  const { hostname, port } = new URL(gateway.url);
  let dropped = 0;
  const sockets: Socket[] = Array.from({ length: slow }, () => {
    const socket = connect(Number(port), hostname, () =>
      socket.write("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-A: "),
    );
    socket.on("error", () => {});
    socket.on("close", () => dropped++);
    socket.resume();
    return socket;
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  // A byte now and then keeps each of them alive as far as TCP can tell.
  const drip = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write("a");
  }, 1_000);
  t.after(() => clearInterval(drip));
  let served = 0;
  while (dropped < slow) {
    const answer = await gateway.fetch("/v1/chat/completions", { body });
    assert.equal(answer.status, 200);
    await answer.text();
    served++;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(served > 0);
});
