import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { NexusError } from "../base/errors.ts";
import { createUpstream } from "./upstream.ts";

async function upstreamOf(t: TestContext, listener: RequestListener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return createUpstream({
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    title: "Box",
    key: "k",
  });
}

const { signal } = new AbortController();

/** Rejects with an error of the code, whose message says nothing of the server's own. */
async function rejectsWith(promise: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof NexusError);
    assert.equal(error.code, code);
    assert.doesNotMatch(error.message, /secret|127\.0\.0\.1/);
    return true;
  });
}

describe("createUpstream", { timeout: 60_000 }, () => {
  // proves: kit.upstream
  it("sends JSON and forms with the key, and reads JSON", async (t) => {
    const upstream = await upstreamOf(t, async (request, response) => {
      let text = "";
      for await (const chunk of request.setEncoding("utf8")) text += chunk;
      const { method, url, headers } = request;
      response.end(JSON.stringify({ method, url, type: headers["content-type"], key: headers.authorization, text }));
    });
    assert.deepEqual(await upstream.json("/a?b=1", { json: { c: 1 }, signal }), {
      method: "POST",
      url: "/a?b=1",
      type: "application/json",
      key: "Bearer k",
      text: '{"c":1}',
    });
    const form = new FormData();
    form.append("name", "value");
    const sent = (await upstream.json("/", { form, signal })) as { type: string; text: string };
    assert.match(sent.type, /^multipart\/form-data; boundary=/);
    assert.match(sent.text, /name="name"\r\n\r\nvalue\r\n/);
  });

  // proves: kit.upstream
  it("answers what a server says no with by an error of Nexus's own", async (t) => {
    const upstream = await upstreamOf(t, ({ url }, response) => {
      response.writeHead(Number(url?.slice(1))).end("secret words");
    });
    const codes = {
      400: "invalid_request",
      401: "backend_error",
      404: "not_found",
      503: "not_ready",
      500: "backend_error",
    };
    for (const [status, code] of Object.entries(codes))
      await rejectsWith(upstream.json(`/${status}`, { signal }), code);
    await rejectsWith(upstream.json("/200", { signal }), "backend_error");
  });

  // proves: kit.upstream
  it("bounds the wait and the size, and ends with its signal", async (t) => {
    const upstream = await upstreamOf(t, ({ url }, response) => {
      if (url === "/large") response.end("x".repeat(2_000));
      if (url === "/cut") response.writeHead(200, { "content-length": 10 }).write("x", () => response.destroy());
    });
    await rejectsWith(upstream.ask("/silent", { signal, timeoutMs: 50 }), "first_token_timeout");
    await rejectsWith(upstream.ask("/large", { signal, bytesMax: 1_000 }), "backend_error");
    await rejectsWith(upstream.ask("/cut", { signal }), "backend_disconnected");
    const gone = new AbortController();
    const waiting = upstream.ask("/silent", { signal: gone.signal });
    gone.abort(new NexusError("client_closed", "gone"));
    await rejectsWith(waiting, "client_closed");
    const nowhere = createUpstream({ baseUrl: "http://127.0.0.1:1", title: "Box" });
    await rejectsWith(nowhere.ask("/", { signal }), "backend_unreachable");
  });
});
