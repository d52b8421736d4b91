import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { AnswerControl } from "./answer-reader.ts";
import { type PoolRequest, UpstreamPool } from "./upstream-pool.ts";

/** A server that is asked with bytes and says what the test wants. */
async function startServer(t: TestContext, onRequest: (socket: Socket, text: string, nth: number) => void) {
  const sockets: Socket[] = [];
  let requests = 0;
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    let text = "";
    socket.on("data", (piece) => {
      text += piece.toString("latin1");
      const length = /content-length: (\d+)/.exec(text)?.[1] ?? "0";
      const end = text.indexOf("\r\n\r\n") + 4 + Number(length);
      if (!text.includes("\r\n\r\n") || text.length < end) return;
      const request = text;
      text = "";
      onRequest(socket, request, requests++);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url, server, connections: () => sockets.length };
}

function openPool(t: TestContext, url: URL, options: { connectionsMax?: number; idleMs?: number } = {}) {
  const pool = new UpstreamPool(url, { connectMs: 2_000, connectionsMax: 8, idleMs: 3_000, ...options });
  t.after(() => pool.destroy());
  return pool;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Sends a request and waits for all of its answer. `onStart` gets the control before anything is sent. */
function ask(pool: UpstreamPool, request: Partial<PoolRequest> = {}, onStart?: (control: AnswerControl) => void) {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  let status = 0;
  let body = "";
  pool.dispatch(
    { method: "GET", path: "/", headers: {}, body: null, ...request },
    {
      onRequestStart: (control) => onStart?.(control),
      onResponseStart: (_control, code) => {
        status = code;
      },
      onResponseData: (_control, piece) => {
        body += piece.toString("latin1");
      },
      onResponseEnd: () => resolve({ status, body }),
      onResponseError: (_control, error) => reject(error),
    },
  );
  return promise;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const ok = (body: string, ...lines: string[]) =>
  `HTTP/1.1 200 OK\r\n${lines.join("")}Content-Length: ${body.length}\r\n\r\n${body}`;

test("a request goes out as it is, and its connection serves the next one", async (t) => {
  const seen: string[] = [];
  const { url, connections } = await startServer(t, (socket, text) => {
    seen.push(text);
    socket.write(ok("yes"));
  });
  const pool = openPool(t, url);
  const body = Buffer.from("{}");
  assert.deepEqual(await ask(pool, { method: "POST", path: "/a?b", headers: { "x-a": "b" }, body }), {
    status: 200,
    body: "yes",
  });
  await ask(pool);
  assert.deepEqual(seen, [
    `POST /a?b HTTP/1.1\r\nhost: ${url.host}\r\nx-a: b\r\ncontent-length: 2\r\n\r\n{}`,
    `GET / HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`,
  ]);
  assert.equal(connections(), 1);
});

test("a large body arrives whole, behind its head", async (t) => {
  let bytes = 0;
  const { url } = await startServer(t, (socket, text) => {
    bytes = text.length - text.indexOf("\r\n\r\n") - 4;
    socket.write(ok(""));
  });
  await ask(openPool(t, url), { method: "POST", body: Buffer.alloc(1_000_000, "x") });
  assert.equal(bytes, 1_000_000);
});

for (const [title, answer] of [
  ["said more than it was asked", `${ok("one")}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`],
  ["wants no further request", ok("one", "Connection: close\r\n")],
] as const) {
  test(`a server that ${title} is asked the next thing over a fresh connection`, async (t) => {
    const { url, connections } = await startServer(
      t,
      (socket, _text, nth) => void socket.write(nth === 0 ? answer : ok("two")),
    );
    const pool = openPool(t, url);
    assert.equal((await ask(pool)).body, "one");
    assert.equal((await ask(pool)).body, "two");
    assert.equal(connections(), 2);
  });
}

test("what comes over an idle connection is no answer to the next request", async (t) => {
  const { promise: cut, resolve } = Promise.withResolvers<void>();
  let first: Socket | undefined;
  const { url, connections } = await startServer(t, (socket, _text, nth) => {
    first ??= socket;
    socket.once("close", () => resolve());
    socket.write(ok(`answer ${nth}`));
  });
  const pool = openPool(t, url);
  assert.equal((await ask(pool)).body, "answer 0");
  first?.write(ok("poison"));
  await cut;
  assert.equal((await ask(pool)).body, "answer 1");
  assert.equal(connections(), 2);
});

test("a small answer that had to wait leaves its connection fit for the next request", async (t) => {
  const { url, connections } = await startServer(t, (socket, _text, nth) => void socket.write(ok(`answer ${nth}`)));
  const pool = openPool(t, url);
  for (const body of ["answer 0", "answer 1"]) {
    const answer = ask(pool, {}, (control) => {
      control.pause();
      setTimeout(() => control.resume(), 30);
    });
    assert.equal((await answer).body, body);
  }
  assert.equal(connections(), 1);
});

test("an answer waits at its server while nobody wants it, and its connection is used again", async (t) => {
  const size = 20_000_000;
  let server: Socket | undefined;
  const { url, connections } = await startServer(t, (socket, _text, nth) => {
    server = socket;
    socket.write(nth === 0 ? ok("x".repeat(size)) : ok("next"));
  });
  const pool = openPool(t, url);
  let control: AnswerControl | undefined;
  const whole = ask(pool, {}, (given) => {
    control = given;
    given.pause();
  });
  while (server === undefined) await turn();
  for (let count = 0; count < 50; count++) await turn();
  assert.ok(server.writableLength > 0, "all of it was taken though nobody wanted it");
  control?.resume();
  assert.equal((await whole).body.length, size);
  assert.equal((await ask(pool)).body, "next");
  assert.equal(connections(), 1);
});

test("giving an answer up closes its connection, which tells the server", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const said = Promise.withResolvers<void>();
  const { url } = await startServer(t, (socket) => {
    socket.once("close", () => resolve());
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome", () => said.resolve());
  });
  let control: AnswerControl | undefined;
  const answer = ask(openPool(t, url), {}, (given) => {
    control = given;
  });
  await said.promise;
  control?.abort(new Error("enough"));
  await assert.rejects(answer, /enough/);
  await promise;
});

test("a request that is given up before it starts is not sent", async (t) => {
  let requests = 0;
  const { url } = await startServer(t, (socket) => {
    requests++;
    socket.write(ok(""));
  });
  const pool = openPool(t, url);
  await assert.rejects(
    ask(pool, {}, (control) => control.abort(new Error("too late"))),
    /too late/,
  );
  await ask(pool);
  assert.equal(requests, 1);
});

test("no more connections than allowed: the others wait their turn", async (t) => {
  const waiting: Socket[] = [];
  const { url, connections } = await startServer(t, (socket) => void waiting.push(socket));
  const pool = openPool(t, url, { connectionsMax: 2 });
  const answers = [0, 1, 2, 3].map(() => ask(pool));
  for (let served = 0; served < 4; served++) {
    while (waiting.length === 0) await turn();
    waiting.shift()?.write(ok("x"));
  }
  await Promise.all(answers);
  assert.equal(connections(), 2);
});

test("who gives up while it waits for a connection leaves at once, and the others keep theirs", async (t) => {
  const served: Socket[] = [];
  const { url, connections } = await startServer(t, (socket) => void served.push(socket));
  const pool = openPool(t, url, { connectionsMax: 1 });
  const first = ask(pool);
  let giveUp = (): void => {};
  const second = ask(pool, {}, (control) => {
    giveUp = () => control.abort(new Error("not needed any more"));
  });
  const third = ask(pool);
  giveUp();
  await assert.rejects(second, /not needed any more/);
  for (let count = 0; count < 2; count++) {
    while (served.length === 0) await turn();
    served.shift()?.write(ok("x"));
  }
  await Promise.all([first, third]);
  assert.equal(connections(), 1);
});

test("an idle connection is closed after its time, and the server's own time is believed", async (t) => {
  for (const hint of ["", "Keep-Alive: timeout=1\r\n"]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { url } = await startServer(t, (socket) => {
      socket.once("close", () => resolve());
      socket.write(ok("x", hint));
    });
    await ask(openPool(t, url, { idleMs: hint === "" ? 60 : 60_000 }));
    await promise;
  }
});

test("who takes no connections, or breaks them, is an error and nothing else", async (t) => {
  const { url, server } = await startServer(t, (socket) => void socket.destroy());
  const pool = openPool(t, url);
  await assert.rejects(ask(pool), /closed|ECONNRESET/);
  server.close();
  await once(server, "close");
  await assert.rejects(ask(pool), { code: "ECONNREFUSED" });
});

test("what would end a line is not sent", async (t) => {
  const { url, connections } = await startServer(t, () => {});
  const pool = openPool(t, url);
  for (const request of [
    { path: "/a\r\nb" },
    { path: "a" },
    { headers: { a: "b\r\nc: d" } },
    { headers: { "a b": "c" } },
  ]) {
    await assert.rejects(ask(pool, request), TypeError);
  }
  assert.equal(connections(), 0);
});
