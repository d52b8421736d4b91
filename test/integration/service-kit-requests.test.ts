import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { bytes, json } from "../../src/service-kit/index.ts";
import { goodService } from "../fakes/good-service.ts";
import { postText, rawSocket } from "../support/raw-socket.ts";
import { chat, recordingLogger, runInTest } from "../support/run-in-test.ts";

async function errorOf(response: Response) {
  const { error } = (await response.json()) as { error: { code: string; message: string; param: string | null } };
  return { status: response.status, code: error.code, param: error.param, message: error.message };
}

const chatPath = "/v1/chat/completions";
const headers = { "content-type": "application/json" };
const goodBody = JSON.stringify({ model: "fake-chat", messages: [{ role: "user", content: "Hi" }] });

const refusals: readonly (readonly [name: string, path: string, init: RequestInit, status: number, code: string])[] = [
  ["an unknown path", "/v1/nope", {}, 404, "unknown_url"],
  ["a path in capitals", "/HEALTH", {}, 404, "unknown_url"],
  ["a wrong method", chatPath, { method: "GET" }, 405, "method_not_allowed"],
  ["a wrong method on a probe", "/health", { method: "POST", body: "x" }, 405, "method_not_allowed"],
  ["no content type", chatPath, { method: "POST", body: Buffer.from(goodBody) }, 415, "unsupported_media_type"],
  ["a form", chatPath, { method: "POST", body: new URLSearchParams("a=b") }, 415, "unsupported_media_type"],
  [
    "a compressed body",
    chatPath,
    { method: "POST", body: goodBody, headers: { ...headers, "content-encoding": "gzip" } },
    415,
    "unsupported_media_type",
  ],
  ["an empty body", chatPath, { method: "POST", headers, body: "" }, 400, "invalid_json"],
  ["half a JSON", chatPath, { method: "POST", headers, body: '{"model":' }, 400, "invalid_json"],
  ["JSON that is no object", chatPath, { method: "POST", headers, body: "[1]" }, 400, "invalid_json"],
  [
    "bytes that are no UTF-8",
    chatPath,
    { method: "POST", headers, body: Buffer.from('{"model":"fake-chat","user":"\xff"}', "latin1") },
    400,
    "invalid_json",
  ],
  ["no model", chatPath, { method: "POST", headers, body: "{}" }, 400, "missing_model"],
  ["an empty model", chatPath, { method: "POST", headers, body: '{"model":""}' }, 400, "missing_model"],
  ["an unknown model", chatPath, { method: "POST", headers, body: '{"model":"fake-chta"}' }, 404, "model_not_found"],
  [
    "a model of another domain",
    chatPath,
    { method: "POST", headers, body: '{"model":"org/fake-embed"}' },
    400,
    "unsupported_feature",
  ],
  ["a model that is not there", "/v1/models/nope", {}, 404, "model_not_found"],
  ["a broken escape", "/v1/models/%E0%A4%A", {}, 404, "not_found"],
  ["too large a body", chatPath, { method: "POST", headers, body: "x".repeat(5_000) }, 413, "request_too_large"],
];

// proves: contract.error-shape
test("every refusal has its status and code, in OpenAI's shape, and reaches no handler", async (t) => {
  let handled = 0;
  const count = () => {
    handled++;
    return json({});
  };
  const { url } = await runInTest(
    t,
    goodService({ handlers: { "chat.completions.create": count }, limits: { bodyBytesMax: 4_096 } }),
  );
  for (const [name, path, init, status, code] of refusals) {
    await t.test(name, async () => {
      const response = await fetch(url + path, init);
      assert.match(response.headers.get("x-request-id") ?? "", /^req_/);
      const error = await errorOf(response);
      assert.deepEqual([error.status, error.code], [status, code]);
      if (status === 405) assert.match(response.headers.get("allow") ?? "", /^(GET|POST)$/);
    });
  }
  assert.equal(handled, 0);
});

test("an unknown model is answered with close names", async (t) => {
  const { url } = await runInTest(t, goodService());
  assert.match((await errorOf(await chat(url, { model: "fake-chta" }))).message, /Did you mean .*fake-chat\?/);
});

test("models are found by id with a slash, encoded or not, and by alias", async (t) => {
  const { url } = await runInTest(t, goodService());
  for (const name of ["org/fake-embed", "org%2Ffake-embed"]) {
    const entry = (await (await fetch(`${url}/v1/models/${name}`)).json()) as { id: string; object: string };
    assert.deepEqual([entry.id, entry.object], ["org/fake-embed", "model"]);
  }
  assert.equal((await chat(url, { model: "fake" })).status, 200);
});

test("HEAD is answered like GET, without a body", async (t) => {
  const { url } = await runInTest(t, goodService());
  const response = await fetch(`${url}/health`, { method: "HEAD" });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "");
});

// proves: contract.request-id
test("ids and traces of the client are continued and echoed, unsafe ones are replaced", async (t) => {
  const { url } = await runInTest(t, goodService());
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const sent = { "x-request-id": "mine.1", traceparent: `00-${traceId}-b7ad6b7169203331-00` };
  const kept = await fetch(`${url}/health`, { headers: sent });
  assert.equal(kept.headers.get("x-request-id"), "mine.1");
  const back = kept.headers.get("traceparent") ?? "";
  assert.match(back, new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  assert.ok(!back.includes("b7ad6b7169203331"));
  const replaced = await fetch(`${url}/health`, { headers: { "x-request-id": "x".repeat(200), traceparent: "junk" } });
  assert.match(replaced.headers.get("x-request-id") ?? "", /^req_[0-9a-f]{32}$/);
  assert.match(replaced.headers.get("traceparent") ?? "", /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});

test("a body that arrives byte by byte is one body", async (t) => {
  const { url } = await runInTest(t, goodService());
  const raw = await rawSocket(t, url);
  raw.socket.setNoDelay(true);
  for (const byte of Buffer.from(postText(chatPath, goodBody.replace("Hi", "Grüße ☃")))) {
    await raw.send(Buffer.from([byte]));
  }
  assert.match(await raw.until(/"usage":\{[^}]*\}\}/), /^HTTP\/1\.1 200 /);
});

test("two requests in one packet are answered in their order", async (t) => {
  const { url } = await runInTest(t, goodService());
  const raw = await rawSocket(t, url);
  const body = (tokens: number) =>
    JSON.stringify({ model: "fake-chat", messages: [{ role: "user", content: "Hi" }], max_tokens: tokens });
  await raw.send(postText(chatPath, body(1)) + postText(chatPath, body(2)));
  const text = await raw.until(/"completion_tokens":2/);
  assert.match(text, /"completion_tokens":1[\s\S]*HTTP\/1\.1 200[\s\S]*"completion_tokens":2/);
});

test("what is no HTTP gets an error in OpenAI's shape and a closed connection", async (t) => {
  const { url } = await runInTest(t, goodService());
  for (const junk of ["\x16\x03\x01 hello\r\n\r\n", "GET /health HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n"]) {
    const raw = await rawSocket(t, url);
    await raw.send(junk);
    const text = await raw.closed();
    assert.match(text, /^HTTP\/1\.1 400 /);
    assert.match(text, /"code":"invalid_header"/);
  }
  const huge = await rawSocket(t, url);
  await huge.send(`GET /health HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
  assert.match(await huge.closed(), /The headers are too large/);
});

test("a chunked body above the limit is cut off, and its sender still reads the answer", async (t) => {
  const { url } = await runInTest(t, goodService({ limits: { bodyBytesMax: 65_536 } }));
  const raw = await rawSocket(t, url);
  const head = `POST ${chatPath} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
  const chunk = `4000\r\n${" ".repeat(0x4000)}\r\n`;
  await raw.send(head + chunk.repeat(4));
  // Whole requests in between: what goes beyond the limit has been seen when they are answered.
  for (let part = 0; part < 3; part++) {
    await fetch(`${url}/health`);
    await raw.send(chunk);
  }
  await raw.send("0\r\n\r\n");
  const text = await raw.closed();
  assert.match(text, /^HTTP\/1\.1 413 [\s\S]*"code":"request_too_large"/);
  assert.equal(raw.error(), undefined, "the connection was reset under a client that was still sending");
});

test("a client that asks before it sends is told to go on, or at once that its body is too large", async (t) => {
  const { url } = await runInTest(t, goodService({ limits: { bodyBytesMax: 4_096 } }));
  const polite = await rawSocket(t, url);
  const [head, body] = postText(chatPath, goodBody, ["expect: 100-continue"]).split("\r\n\r\n", 2);
  await polite.send(`${head}\r\n\r\n`);
  await polite.until(/^HTTP\/1\.1 100 /);
  await polite.send(body ?? "");
  await polite.until(/HTTP\/1\.1 200 /);
  const greedy = await rawSocket(t, url);
  await greedy.send(
    `POST ${chatPath} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\nexpect: 100-continue\r\n\r\n`,
  );
  assert.match(await greedy.closed(), /^HTTP\/1\.1 413 /);
});

test("own endpoints get their bytes as they are, and answer with bytes", async (t) => {
  const sent = randomBytes(300_000);
  const { url } = await runInTest(
    t,
    goodService({
      endpoints: [
        {
          method: "POST",
          path: "/v1/echo",
          operation_id: "echo.create",
          accepts: ["application/octet-stream"],
          response_types: ["application/octet-stream"],
          handler: ({ raw, body, contentType }) => {
            assert.deepEqual(body, {});
            return bytes(raw, contentType, { headers: { "x-own": "yes" } });
          },
        },
        {
          method: "GET",
          path: "/v1/parts",
          operation_id: "parts.list",
          handler: () =>
            bytes(
              (async function* () {
                for (let at = 0; at < sent.length; at += 1_000) yield sent.subarray(at, at + 1_000);
              })(),
              "application/octet-stream",
            ),
        },
      ],
    }),
  );
  const echoed = await fetch(`${url}/v1/echo`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: sent,
  });
  assert.equal(echoed.headers.get("x-own"), "yes");
  const hash = (data: ArrayBuffer) => createHash("sha256").update(Buffer.from(data)).digest("hex");
  const expected = createHash("sha256").update(sent).digest("hex");
  assert.equal(hash(await echoed.arrayBuffer()), expected);
  assert.equal(hash(await (await fetch(`${url}/v1/parts`)).arrayBuffer()), expected);
  const descriptor = (await (await fetch(`${url}/v1/descriptor`)).json()) as { response_types: object };
  assert.deepEqual(descriptor.response_types, {
    "chat.completions.create": ["application/json", "text/event-stream"],
    "completions.create": ["application/json", "text/event-stream"],
    "embeddings.create": ["application/json"],
    "echo.create": ["application/octet-stream"],
    "parts.list": ["application/json"],
  });
});

// proves: contract.request-id
test("one completion record a request, with its id and never with what was said", async (t) => {
  const { log, lines, seen } = recordingLogger();
  const { url } = await runInTest(t, goodService(), { log });
  const secret = "canary-7c1f";
  await (await chat(url, { messages: [{ role: "user", content: secret }], user: secret })).text();
  await (await chat(url, { stream: true, messages: [{ role: "user", content: secret }] })).text();
  await (await chat(url, { model: `no-${secret}` }, { headers: { ...headers, "x-request-id": "third" } })).text();
  await seen((line) => line.request_id === "third" && line.message === "request completed");
  const records = lines.filter((line) => line.message === "request completed");
  assert.deepEqual(
    records.map(({ status, model, operation, service, instance }) => ({ status, model, operation, service, instance })),
    [200, 200, 404].map((status) => ({
      status,
      model: status === 200 ? "fake-chat" : undefined,
      operation: "chat.completions.create",
      service: "good",
      instance: "one",
    })),
  );
  const said = JSON.stringify(lines.filter((line) => line.code !== "model_not_found"));
  assert.ok(!said.includes(secret), said);
});

// proves: contract.error-shape
test("a defect of a handler is 500 without its words, and its stack is in the log", async (t) => {
  const { log, seen } = recordingLogger();
  const boom = () => {
    throw new Error("password is hunter2");
  };
  const { url } = await runInTest(t, goodService({ handlers: { "chat.completions.create": boom } }), { log });
  const error = await errorOf(await chat(url));
  assert.deepEqual([error.status, error.code], [500, "internal_error"]);
  assert.ok(!error.message.includes("hunter2"));
  const line = await seen(({ message }) => message === "request completed");
  assert.equal(line.level, "error");
  assert.match((line.error as Error).stack ?? "", /hunter2/);
});

// proves: contract.metrics
test("requests are counted by operation and status", async (t) => {
  const { url } = await runInTest(t, goodService());
  await (await chat(url)).text();
  await (await chat(url, { model: "nope" })).text();
  await (await fetch(`${url}/v1/nope`)).text();
  const text = await (await fetch(`${url}/metrics`)).text();
  assert.match(text, /nexus_service_requests_total\{operation="chat\.completions\.create",status="200"\} 1/);
  assert.match(text, /nexus_service_requests_total\{operation="chat\.completions\.create",status="404"\} 1/);
  assert.match(text, /nexus_service_requests_total\{operation="unknown",status="404"\} 1/);
  assert.match(text, /nexus_service_ready 1/);
});
