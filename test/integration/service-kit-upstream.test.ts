import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { defineService, readUpstream, serveUpstream } from "../../src/service-kit/index.ts";
import { makeWorkshop } from "../support/new-service.ts";
import { runInTest } from "../support/run-in-test.ts";
import { waitFor } from "../support/wait-for.ts";

const options = { timeout: 60_000 };

/** What the server behind the service was asked. */
interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  readonly request: IncomingMessage;
}

type Serve = (asked: Asked, response: ServerResponse) => void | Promise<void>;

/** A service in front of a server that answers as the test says; `/well` is its health. */
async function wrap(t: TestContext, settings: object, serve: Serve, variables: Record<string, string> = {}) {
  const asked: Asked[] = [];
  const well = { is: true };
  const server = createServer(async (request, response) => {
    if (request.url === "/well") return void response.writeHead(well.is ? 200 : 500).end();
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const { url = "", method = "", headers } = request;
    const one = { url, method, headers, body: Buffer.concat(pieces).toString("latin1"), request };
    asked.push(one);
    await serve(one, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const file = join(await makeWorkshop(t), "upstream.yaml");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const health = { path: "/well", everySeconds: 0.1 };
  await writeFile(
    file,
    JSON.stringify({ title: "Parrot", url, health, models: [{ id: "ours", as: "theirs" }], ...settings }),
  );
  const upstream = await readUpstream(pathToFileURL(file), variables);
  const service = defineService({
    name: "wrapped",
    version: "1",
    backend: { name: "parrot" },
    ...serveUpstream(upstream),
  });
  const running = await runInTest(t, service);
  const isReady = async () => (await fetch(`${running.url}/readyz`)).ok;
  await waitFor("it is ready", isReady);
  const post = (path: string, fields: object, signal: AbortSignal = t.signal): Promise<Response> =>
    fetch(`${running.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "ours", ...fields }),
      signal,
    });
  return { url: running.url, asked, well, isReady, post };
}

const chats = { domains: ["chat"], operations: { "chat.completions.create": {} } };
const messages = [{ role: "user", content: "Hi" }];
const sendJson = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
};

// proves: kit.upstream
test("paths, models and fields are called as the server calls them, and back", options, async (t) => {
  const operation = {
    path: "/v2/generate",
    request: { rename: { max_tokens: "options.limit" }, drop: ["user"], set: { "options.fast": true } },
    response: { rename: { output: "choices" }, set: { object: "chat.completion" } },
  };
  const settings = { domains: ["chat"], operations: { "chat.completions.create": operation }, key: "env:PARROT_KEY" };
  const answer = { id: "1", model: "theirs", output: [{ index: 0 }] };
  const { asked, post } = await wrap(t, settings, (_, response) => sendJson(response, answer), { PARROT_KEY: "k" });
  const got = await post("/v1/chat/completions", { messages, max_tokens: 5, user: "me" });
  assert.deepEqual(await got.json(), { id: "1", model: "ours", choices: [{ index: 0 }], object: "chat.completion" });
  assert.equal(asked[0]?.url, "/v2/generate");
  assert.equal(asked[0]?.headers.authorization, "Bearer k");
  assert.deepEqual(JSON.parse(asked[0]?.body ?? ""), {
    model: "theirs",
    messages,
    options: { limit: 5, fast: true },
  });
});

// proves: kit.upstream, contract.request-id
test("the server is told the request's id and trace, and spared what is nested too deep", options, async (t) => {
  const { url, asked } = await wrap(t, chats, (_, response) => sendJson(response, { id: "1" }));
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const ask = (content: string): Promise<Response> =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-request-id": "one-id-for-every-hop",
        traceparent: `00-${trace}-b7ad6b7169203331-01`,
      },
      body: `{"model":"ours","messages":[{"role":"user","content":${content}}]}`,
    });
  assert.equal((await ask('"Hi"')).status, 200);
  const [{ headers } = { headers: {} as IncomingMessage["headers"] }] = asked;
  assert.equal(headers["x-request-id"], "one-id-for-every-hop");
  assert.match(String(headers.traceparent), new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
  const deep = await ask("[".repeat(90_000) + "]".repeat(90_000));
  assert.equal(deep.status, 400);
  assert.equal(((await deep.json()) as { error: { code: string } }).error.code, "invalid_json");
  assert.equal(asked.length, 1);
});

// proves: kit.upstream
test("a stream passes as it is made, under our model's name", options, async (t) => {
  let go = (): void => {};
  const released = new Promise<void>((resolve) => {
    go = resolve;
  });
  const { post } = await wrap(t, chats, async (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('data: {"model":"theirs","n":1}\n\nda');
    await released;
    response.end('ta: {"model":"theirs","n":2}\n\ndata: [DONE]\n\n');
  });
  const answer = await post("/v1/chat/completions", { messages, stream: true });
  assert.equal(answer.headers.get("content-type"), "text/event-stream");
  const reader = answer.body?.getReader();
  const first = Buffer.from((await reader?.read())?.value ?? []).toString();
  assert.equal(first, 'data: {"model":"ours","n":1}\n\n');
  go();
  let rest = "";
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
    rest += Buffer.from(next.value).toString();
  }
  assert.equal(rest, 'data: {"model":"ours","n":2}\n\ndata: [DONE]\n\n');
});

test("a refusal comes in the server's words, a failure in ours", options, async (t) => {
  const refusals: Record<string, [number, unknown]> = {
    wrong: [400, { error: { message: "Too hot.", type: "invalid_request_error", param: "temperature", code: null } }],
    bare: [422, { detail: "no idea" }],
    key: [401, { error: { message: "bad key sk-1" } }],
    busy: [503, {}],
    broken: [500, "trace at /srv"],
  };
  const { post } = await wrap(t, chats, ({ body }, response) => {
    const [status, value] = refusals[String((JSON.parse(body) as { user: string }).user)] ?? [500, {}];
    sendJson(response, value, status);
  });
  const ask = async (user: string) => {
    const answer = await post("/v1/chat/completions", { messages, user });
    const { error } = (await answer.json()) as {
      error: { message: string; code: string | null; param: string | null };
    };
    return { status: answer.status, ...error };
  };
  const wrong = await ask("wrong");
  assert.deepEqual([wrong.status, wrong.message, wrong.param], [400, "Too hot.", "temperature"]);
  assert.deepEqual([(await ask("bare")).status, (await ask("bare")).code], [422, "invalid_request"]);
  const key = await ask("key");
  assert.deepEqual([key.status, key.code], [502, "backend_error"]);
  assert.doesNotMatch(key.message, /sk-1/);
  assert.deepEqual([(await ask("busy")).status, (await ask("busy")).code], [503, "not_ready"]);
  const broken = await ask("broken");
  assert.equal(broken.status, 502);
  assert.doesNotMatch(broken.message, /srv/);
});

// proves: kit.upstream
test("a server that stops in its answer is cut off", options, async (t) => {
  const { post } = await wrap(t, { ...chats, stallSeconds: 0.2 }, (_, response) => {
    response.writeHead(200, { "content-type": "application/json" }).write('{"model":');
  });
  const answer = await post("/v1/chat/completions", { messages });
  const { error } = (await answer.json()) as { error: { code: string } };
  assert.deepEqual([answer.status, error.code], [504, "stall_timeout"]);
});

// proves: kit.upstream
test("a server with a language of its own is cut off as well", options, async (t) => {
  const settings = { domains: ["embedding"], work: { path: "/embed", request: {} }, stallSeconds: 0.2 };
  const { post } = await wrap(t, settings, (_, response) => {
    response.writeHead(200, { "content-type": "application/json" }).write("[");
  });
  const answer = await post("/v1/embeddings", { input: "a" });
  const { error } = (await answer.json()) as { error: { code: string } };
  assert.deepEqual([answer.status, error.code], [504, "stall_timeout"]);
});

// proves: kit.upstream
test("a page for people is no answer, and no event is endless", options, async (t) => {
  const page = await wrap(t, chats, (_, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<script>");
  });
  const refused = await page.post("/v1/chat/completions", { messages });
  assert.equal(refused.status, 502);
  assert.doesNotMatch(await refused.text(), /script/);
  const says = [" Good morning.", " <html>Log in"];
  const operations = { "audio.transcriptions.create": { path: "/inference" } };
  const heard = await wrap(t, { domains: ["transcription"], operations }, (_, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(says.shift());
  });
  const form = new FormData();
  form.append("model", "ours");
  form.append("file", new Blob(["RIFF"]), "in.wav");
  const ask = () => fetch(`${heard.url}/v1/audio/transcriptions`, { method: "POST", body: form });
  const written = await ask();
  assert.deepEqual([written.status, await written.text()], [200, " Good morning."]);
  assert.match(written.headers.get("content-type") ?? "", /^text\/plain/);
  assert.equal((await ask()).status, 502, "a page all the same");
  const endless = await wrap(t, { ...chats, answerBytesMax: 10_000 }, async (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("data: ");
    response.end("x".repeat(1_000_000));
  });
  const answer = await endless.post("/v1/chat/completions", { messages, stream: true });
  const { error } = (await answer.json()) as { error: { code: string } };
  assert.deepEqual([answer.status, error.code], [502, "backend_error"]);
});

// proves: kit.upstream
test("no id leads to another path of the server than the file names", options, async (t) => {
  const settings = { domains: ["video"], operations: { "videos.retrieve": { path: "/films/{id}?fast=1" } } };
  const { asked, url } = await wrap(t, settings, (_, response) => sendJson(response, { id: "a" }));
  const { port } = new URL(url);
  for (const id of ["%2e%2e", "..", ".%2E", "%2e"]) {
    // Not with `fetch`, which would resolve the dots itself.
    const asking = request({ port, path: `/v1/videos/${id}` }).end();
    const [answer] = (await once(asking, "response")) as [IncomingMessage];
    answer.resume();
    assert.equal(answer.statusCode, 404, id);
  }
  await fetch(`${url}/v1/videos/a%2F..?x=1`);
  assert.deepEqual(
    asked.map((one) => one.url),
    ["/films/a%2F..?fast=1&x=1"],
  );
});

// proves: kit.upstream
test("a client that leaves is left by the server too", options, async (t) => {
  const { asked, post } = await wrap(t, chats, () => {});
  const leaving = new AbortController();
  const answer = post("/v1/chat/completions", { messages }, leaving.signal).catch(() => undefined);
  const one = await waitFor("it is asked", () => asked[0]);
  const closed = once(one.request.socket, "close");
  leaving.abort();
  await answer;
  await closed;
});

test("the service is ready while its server is", options, async (t) => {
  const { isReady, well, url } = await wrap(t, chats, () => {});
  well.is = false;
  await waitFor("it is not ready", async () => !(await isReady()));
  assert.match(await (await fetch(`${url}/readyz`)).text(), /Parrot answers 500 to \/well/);
  well.is = true;
  await waitFor("it is ready again", isReady);
});

test("a form arrives with its files, and jobs are asked for under their ids", options, async (t) => {
  const settings = {
    domains: ["transcription", "video"],
    operations: { "audio.transcriptions.create": {}, "videos.retrieve": { path: "/films/{id}" } },
  };
  const { asked, url } = await wrap(t, settings, (_, response) => sendJson(response, { text: "hello", id: "a b" }));
  const form = new FormData();
  form.append("model", "ours");
  form.append("temperature", "0.5");
  form.append("file", new Blob(["RIFFsound"], { type: "audio/wav" }), "in.wav");
  const answer = await fetch(`${url}/v1/audio/transcriptions`, { method: "POST", body: form });
  assert.equal(((await answer.json()) as { text: string }).text, "hello");
  assert.match(
    asked[0]?.body ?? "",
    /name="model"\r\n\r\ntheirs\r\n[\s\S]*name="file"; filename="in.wav"[\s\S]*RIFFsound/,
  );
  await fetch(`${url}/v1/videos/a%20b?x=1`);
  assert.deepEqual([asked[1]?.method, asked[1]?.url], ["GET", "/films/a%20b?x=1"]);
});

test("a server with a language of its own is asked for the work, and its result found", options, async (t) => {
  const settings = {
    domains: ["embedding"],
    work: { path: "/embed", request: { inputs: "$texts", name: "$model", truncate: true }, result: "data.vectors" },
  };
  const { asked, post } = await wrap(t, settings, (_, response) => sendJson(response, { data: { vectors: [[1, 0]] } }));
  const answer = (await (await post("/v1/embeddings", { input: "a" })).json()) as { data: { embedding: number[] }[] };
  assert.deepEqual(answer.data[0]?.embedding, [1, 0]);
  assert.deepEqual(JSON.parse(asked[0]?.body ?? ""), { inputs: ["a"], name: "theirs", truncate: true });
});

test("a picture comes as bytes, or as base64 where the file says", options, async (t) => {
  const png = Buffer.from("\x89PNG\r\n\x1a\n0000", "latin1");
  const work = { path: "/draw", request: { text: "$prompt" }, result: "images.0" };
  const { post } = await wrap(t, { domains: ["image"], work }, ({ body }, response) => {
    if (body.includes("bytes")) response.writeHead(200, { "content-type": "image/png" }).end(png);
    else sendJson(response, { images: [png.toString("base64")] });
  });
  for (const prompt of ["as bytes", "as text"]) {
    const answer = (await (await post("/v1/images/generations", { prompt })).json()) as {
      data: { b64_json: string }[];
    };
    assert.equal(answer.data[0]?.b64_json, png.toString("base64"), prompt);
  }
});

test("a file that says too little or too much is refused by the name of its field", options, async (t) => {
  const file = join(await makeWorkshop(t), "upstream.yaml");
  const refused = async (settings: object, pattern: RegExp) => {
    const whole = { url: "http://127.0.0.1:1", models: [{ id: "a" }], ...chats, ...settings };
    await writeFile(file, JSON.stringify(whole));
    await assert.rejects(async () => serveUpstream(await readUpstream(pathToFileURL(file), {})), pattern);
  };
  await refused({ colour: "red" }, /upstream\.yaml: .*colour/);
  await refused({ url: "ftp://a" }, /url/);
  await refused({ key: "env:NOWHERE" }, /key: there is nothing at env:NOWHERE/);
  await refused({ operations: { "no.such": {} } }, /no\.such can't be passed on/);
  await refused({ work: { path: "/x" } }, /either `operations` or `work`/);
  const rename = { request: { rename: { a: "__proto__.b" } } };
  await refused({ operations: { "chat.completions.create": rename } }, /no name of a field/);
});
