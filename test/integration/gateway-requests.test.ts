import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { waitFor } from "../support/wait-for.ts";

interface ErrorAnswer {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

const messages = [{ role: "user", content: "hi" }];

/** Sends bytes as they are and reads until the server closes or `until` is seen. */
function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text));
    let answer = "";
    socket.setTimeout(5_000, () => socket.destroy(new Error("no answer")));
    socket.on("data", (chunk) => {
      answer += chunk.toString();
      if (answer.includes("\r\n\r\n") && /\}\s*$/.test(answer)) socket.end();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

describe("gateway: requests", () => {
  let gateway: TestGateway;
  let backend: FakeBackend;
  before(async () => {
    backend = await startFakeBackend("nexus", { models: [{ id: "tiny" }, { id: "vectors", kind: "embedding" }] });
    gateway = await startTestGateway({ settings: { bodyBytesMax: 2_000_000 }, aliases: { "gpt-4o": "tiny" } });
    gateway.view.set([
      recordOf(backend, {
        models: [
          { id: "tiny", aliases: ["little"] },
          { id: "vectors", domains: ["embedding"] },
        ],
      }),
    ]);
  });
  after(async () => {
    await gateway.close();
    await backend.close();
  });

  // proves: gateway.chat
  it("passes a whole answer on and says who served it", async () => {
    const response = await gateway.fetch("/v1/chat/completions", { body: { model: "tiny", messages } });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("x-nexus-instance"), "chat/one");
    assert.equal(response.headers.get("x-nexus-attempts"), "1");
    const answer = (await response.json()) as { choices: { message: { content: string } }[] };
    assert.equal(answer.choices[0]?.message.content, "Hello from Zürich, 你好 🌍👩‍🚀 done.");
  });

  // proves: gateway.pass-through
  it("passes every field on untouched, byte for byte", async () => {
    const body = `{ "model":"tiny",\n "messages":[{"role":"user","content":"\\u00fc\\ud83c\\udf0d"}], "seed": 1e2, "unknown_field":{"b":1,"a":[1.0]} ,"logprobs":true}`;
    await gateway.fetch("/v1/chat/completions", { body });
    assert.equal(backend.requests.at(-1)?.bytes.toString(), body);
  });

  // proves: gateway.aliases
  it("replaces an alias, the operator's or the service's, and nothing else", async () => {
    for (const model of ["gpt-4o", "little"]) {
      const response = await gateway.fetch("/v1/chat/completions", {
        body: `{"a":[ 1],"model" : "${model}", "messages":[]}`,
      });
      assert.equal(response.status, 200);
      assert.equal(backend.requests.at(-1)?.bytes.toString(), '{"a":[ 1],"model" : "tiny", "messages":[]}');
    }
  });

  // proves: gateway.completions, gateway.embeddings
  it("serves completions and embeddings on the same path", async () => {
    const text = await gateway.fetch("/v1/completions", { body: { model: "tiny", prompt: "once" } });
    assert.equal(((await text.json()) as { object: string }).object, "text_completion");
    const vectors = await gateway.fetch("/v1/embeddings", { body: { model: "vectors", input: ["a", "b"] } });
    assert.equal(((await vectors.json()) as { data: unknown[] }).data.length, 2);
  });

  // proves: contract.request-id
  it("keeps the client's request id and trace, and passes them on", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const headers = { "x-request-id": "my-id-1", traceparent };
    const response = await gateway.fetch("/v1/chat/completions", { body: { model: "tiny", messages }, headers });
    assert.equal(response.headers.get("x-request-id"), "my-id-1");
    const seen = backend.requests.at(-1)?.headers;
    assert.equal(seen?.["x-request-id"], "my-id-1");
    assert.match(
      String(seen?.traceparent),
      /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
    );
  });

  it("makes a request id for who sends none or one that is not fit for a log", async () => {
    for (const headers of [{}, { "x-request-id": "a b" }, { "x-request-id": "x".repeat(200) }]) {
      const response = await gateway.fetch("/v1/models", { headers });
      assert.match(response.headers.get("x-request-id") ?? "", /^req_[0-9a-f]{32}$/);
    }
  });

  it("never shows the client's key to a backend", async () => {
    await gateway.fetch("/v1/chat/completions", { body: { model: "tiny", messages } });
    assert.equal(backend.requests.at(-1)?.headers.authorization, undefined);
  });

  // proves: gateway.large-prompt
  it("asks for a body only after it has looked at its head", async () => {
    const head = (length: number, key: string) =>
      `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;
    assert.match(await raw(gateway.url, head(1e12, gateway.key)), /^HTTP\/1\.1 413 /);
    assert.match(await raw(gateway.url, head(10, "nxs_wrong")), /^HTTP\/1\.1 401 /);
    const body = '{"model":"tiny","messages":[]}';
    const answer = await raw(gateway.url, head(body.length, gateway.key) + body);
    assert.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
  });

  it("takes a prompt of a megabyte", async () => {
    const content = "ä".repeat(500_000);
    const response = await gateway.fetch("/v1/chat/completions", {
      body: { model: "tiny", messages: [{ role: "user", content }] },
    });
    assert.equal(response.status, 200);
    assert.ok((backend.requests.at(-1)?.bytes.length ?? 0) > 1_000_000);
  });

  const refused: readonly [title: string, body: string, status: number, code: string, param: string | null][] = [
    ["no JSON", "{", 400, "invalid_json", null],
    ["JSON with a hole", '{"model":"tiny","messages":[1 2]}', 400, "invalid_json", null],
    ["no model", '{"messages":[]}', 400, "missing_model", "model"],
    ["the model twice", '{"model":"tiny","model":"vectors","messages":[]}', 400, "invalid_request", "model"],
    ["an unknown model", '{"model":"tinny","messages":[]}', 404, "model_not_found", "model"],
    ["a model for something else", '{"model":"vectors","messages":[]}', 400, "unsupported_feature", "model"],
    ["too large a body", `{"model":"tiny","x":"${"x".repeat(2_000_001)}"}`, 413, "request_too_large", null],
  ];
  for (const [title, body, status, code, param] of refused) {
    // proves: gateway.bad-request, gateway.ambiguous-request
    it(`refuses ${title} in OpenAI's shape, and nothing reaches a backend`, async () => {
      const before = backend.requests.length;
      const response = await gateway.fetch("/v1/chat/completions", { body });
      assert.equal(response.status, status);
      assert.match(response.headers.get("x-request-id") ?? "", /^req_/);
      const { error } = (await response.json()) as ErrorAnswer;
      assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
      assert.equal(error.code, code);
      assert.equal(error.param, param);
      assert.equal(backend.requests.slice(before).filter(({ generation }) => generation).length, 0);
    });
  }

  // proves: gateway.unknown-model
  it("names models that are close to an unknown one", async () => {
    const response = await gateway.fetch("/v1/chat/completions", { body: { model: "tinny", messages } });
    assert.match(((await response.json()) as ErrorAnswer).error.message, /'tiny'/);
  });

  it("refuses other content types and encodings", async () => {
    for (const headers of [{ "content-type": "text/plain" }, { "content-encoding": "gzip" }] as Record<
      string,
      string
    >[]) {
      const response = await gateway.fetch("/v1/chat/completions", { body: { model: "tiny", messages }, headers });
      assert.equal(response.status, 415);
    }
  });

  // proves: gateway.keys
  it("refuses no key, a wrong key and a revoked key, before it reads the body", async () => {
    for (const [authorization, code] of [
      ["", "missing_api_key"],
      ["Bearer nxs_wrong", "invalid_api_key"],
      ["Basic abc", "invalid_api_key"],
    ] as const) {
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", ...(authorization === "" ? {} : { authorization }) },
        body: "{",
      });
      assert.equal(response.status, 401);
      assert.equal(((await response.json()) as ErrorAnswer).error.code, code);
    }
  });

  it("takes a new key at once and refuses it soon after it was revoked", async () => {
    const { key, record } = await gateway.keys.create({ name: "short-lived", role: "user" });
    const ask = () => gateway.fetch("/v1/models", { headers: { authorization: `Bearer ${key}` } });
    assert.equal((await ask()).status, 200);
    await gateway.keys.revoke(record.id);
    const refused = await waitFor("a refusal", async () => {
      const { status, body } = await ask();
      await body?.cancel();
      return status !== 200 && status;
    });
    assert.equal(refused, 401);
  });

  it("answers unknown paths and wrong methods in the same shape", async () => {
    const unknown = await gateway.fetch("/v1/nothing");
    assert.equal(unknown.status, 404);
    assert.equal(((await unknown.json()) as ErrorAnswer).error.code, "unknown_url");
    const wrong = await gateway.fetch("/v1/chat/completions");
    assert.equal(wrong.status, 405);
    assert.equal(wrong.headers.get("allow"), "POST");
  });

  it("keeps the platform's own pages for admins", async () => {
    assert.equal((await gateway.fetch("/v1/nexus/status")).status, 403);
  });

  const head = (extra: string) =>
    `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${extra}Content-Type: application/json\r\n`;
  const smuggled: readonly [string, string][] = [
    ["a second Host", `${head("Host: y\r\n")}Content-Length: 2\r\n\r\n{}`],
    ["no Host", "GET /health HTTP/1.1\r\n\r\n"],
    ["an absolute target", "GET http://evil/health HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["two lengths", `${head("")}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
    ["a length and chunks", `${head("")}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["two keys", `${head("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")}Content-Length: 2\r\n\r\n{}`],
    ["a folded header", "GET /health HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"],
    ["no HTTP at all", "\u0016\u0003\u0001\u0002\r\n\r\n"],
    ["headers without end", `GET /health HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(20_000)}\r\n\r\n`],
  ];
  for (const [title, text] of smuggled) {
    // proves: gateway.ambiguous-request
    it(`refuses ${title}`, async () => {
      const before = backend.requests.filter(({ generation }) => generation).length;
      const answer = await raw(gateway.url, text);
      assert.match(answer, /^HTTP\/1\.1 4(?:00|31) /);
      assert.match(answer, /"code":"invalid_header"/);
      assert.match(answer, /x-request-id: req_[0-9a-f]{32}/i);
      assert.equal(backend.requests.filter(({ generation }) => generation).length, before);
    });
  }

  // proves: gateway.models
  it("closes the connection of a sender that it could not read, even if the sender never does", async () => {
    const { hostname, port } = new URL(gateway.url);
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    const gone = new Promise((resolve) => socket.on("error", resolve));
    socket.write("no http\r\n\r\n");
    socket.resume();
    const timer = setInterval(() => socket.write("x"), 50);
    try {
      assert.match(String(await gone), /EPIPE|ECONNRESET/);
    } finally {
      clearInterval(timer);
      socket.destroy();
    }
  });

  it("lists models with what people miss elsewhere, aliases included", async () => {
    const { data } = (await (await gateway.fetch("/v1/models")).json()) as {
      data: { id: string; nexus: { alias_of?: string; ready_instances: number } }[];
    };
    assert.deepEqual(
      data.map(({ id }) => id),
      ["gpt-4o", "little", "tiny", "vectors"],
    );
    assert.equal(data[0]?.nexus.alias_of, "tiny");
    assert.equal(data[2]?.nexus.ready_instances, 1);
    const one = (await (await gateway.fetch("/v1/models/tiny")).json()) as { id: string; object: string };
    assert.equal(one.object, "model");
    assert.equal((await gateway.fetch("/v1/models/none")).status, 404);
    assert.equal((await gateway.fetch("/v1/models/%zz")).status, 400);
  });

  // proves: gateway.own-pages
  it("says that it is well without a key, and its metrics with one", async () => {
    for (const path of ["/health", "/readyz", "/openapi.json"])
      assert.equal((await fetch(gateway.url + path)).status, 200, path);
    for (const path of ["/v1/metadata", "/v1/descriptor"]) {
      assert.equal((await fetch(gateway.url + path)).status, 401, path);
      assert.equal((await gateway.fetch(path)).status, 200, path);
    }
    const text = await gateway.metrics();
    assert.match(text, /nexus_gateway_requests_total\{operation="chat.completions.create",status="200"\} [1-9]/);
    assert.match(text, /nexus_gateway_instances\{state="ready"\} 1/);
    assert.match(text, /nexus_gateway_tokens_total\{model="tiny",kind="completion"\} [1-9]/);
  });

  it("writes one record per request, without prompts and keys", async () => {
    const before = (await gateway.completions(0)).length;
    await (
      await gateway.fetch("/v1/chat/completions", {
        body: { model: "tiny", messages: [{ role: "user", content: "canary-7781" }] },
      })
    ).text();
    const record = (await gateway.completions(before + 1)).at(-1);
    assert.equal(record?.status, 200);
    assert.equal(record?.instance, "chat/one");
    assert.ok(Number(record?.completion_tokens) > 0);
    const log = JSON.stringify(gateway.lines);
    assert.ok(!log.includes("canary-7781"));
    assert.ok(!log.includes(gateway.key));
  });
});

describe("gateway: a backend's own key and errors", () => {
  // proves: contract.error-shape, attach.secret-reference
  it("sends the key that a reference stands for, and never lets a refusal of it become the client's 401", async () => {
    const backend = await startFakeBackend("openai-compatible", {
      models: [{ id: "tiny" }],
      key: "sk-upstream-secret",
    });
    const gateway = await startTestGateway({ secrets: { "env:GOOD": "sk-upstream-secret", "env:BAD": "sk-wrong" } });
    try {
      const ask = () => gateway.fetch("/v1/chat/completions", { body: { model: "tiny", messages } });
      gateway.view.set([recordOf(backend, { secret: "env:GOOD", readiness_path: "/v1/models" })]);
      assert.equal((await ask()).status, 200);
      gateway.view.set([recordOf(backend, { instance: "two", secret: "env:BAD", readiness_path: "/health" })]);
      assert.ok([502, 503].includes((await ask()).status));
      gateway.view.set([recordOf(backend, { instance: "three", secret: "env:MISSING" })]);
      const unreadable = await ask();
      assert.ok([502, 503].includes(unreadable.status));
      assert.doesNotMatch(await unreadable.text(), /env:MISSING|127\.0\.0\.1/);
      assert.ok(!JSON.stringify(gateway.lines).includes("sk-upstream-secret"));
    } finally {
      await gateway.close();
      await backend.close();
    }
  });

  // proves: contract.error-shape
  it("puts every server's way to refuse a request into OpenAI's shape, and keeps the server's own failures to itself", async () => {
    const backend = await startFakeBackend("nexus");
    const gateway = await startTestGateway();
    gateway.view.set([recordOf(backend)]);
    const cases: readonly [number, unknown, number, RegExp][] = [
      [
        400,
        { error: { message: "context too long", type: "invalid_request_error", code: "context_length_exceeded" } },
        400,
        /context_length_exceeded/,
      ],
      [400, { error: "does not support tools" }, 400, /does not support tools/],
      [422, { detail: [{ loc: ["body", "messages"], msg: "Field required" }] }, 422, /messages: Field required/],
      [400, "not json", 400, /refused the request with status 400/],
      [500, { error: { message: "CUDA error at /home/me/x.cu" } }, 502, /backend_error/],
    ];
    try {
      for (const [status, body, expected, pattern] of cases) {
        backend.set({ faults: { status: { status, body: body as object } } });
        const response = await gateway.fetch("/v1/chat/completions", { body: { model: "tiny", messages } });
        const text = await response.text();
        assert.equal(response.status, expected, text);
        assert.match(text, pattern);
        assert.doesNotMatch(text, /home\/me/);
      }
    } finally {
      await gateway.close();
      await backend.close();
    }
  });
});

describe("gateway: without keys", () => {
  // proves: gateway.keyless
  it("serves this machine's own pages, and no other page that a browser shows", async (t) => {
    const gateway = await startTestGateway({ auth: "none" });
    t.after(() => gateway.close());
    const from = async (origin: string, more = "") => {
      const head = `Host: 127.0.0.1\r\nOrigin: ${origin}\r\n${more}Connection: close\r\n`;
      return (await raw(gateway.url, `GET /v1/models HTTP/1.1\r\n${head}\r\n`)).slice(9, 12);
    };
    for (const origin of ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443", "tauri://localhost"])
      assert.equal(await from(origin), "200", origin);
    for (const origin of ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.nip.io"])
      assert.equal(await from(origin), "403", origin);
    const handshake =
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const head = `Host: 127.0.0.1\r\nOrigin: https://evil.example\r\nConnection: upgrade\r\n${handshake}`;
    assert.match(await raw(gateway.url, `GET /v1/realtime?model=x HTTP/1.1\r\n${head}\r\n`), /^HTTP\/1\.1 403 /);
    const form = "Content-Type: text/plain\r\nContent-Length: 2\r\n";
    const simple = `POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\n${form}\r\n{}`;
    assert.match(await raw(gateway.url, simple), /^HTTP\/1\.1 403 /);
  });

  // proves: gateway.keyless
  it("answers on this machine's names only", async () => {
    const gateway = await startTestGateway({ auth: "none" });
    try {
      assert.equal((await fetch(`${gateway.url}/v1/models`)).status, 200);
      const answer = await raw(gateway.url, "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n");
      assert.match(answer, /^HTTP\/1\.1 403 /);
    } finally {
      await gateway.close();
    }
  });
});
