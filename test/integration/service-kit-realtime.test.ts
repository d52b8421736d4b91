import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { NexusError } from "../../src/base/errors.ts";
import type { LogFields } from "../../src/base/logger.ts";
import type { RealtimeHandler, ServiceDefinition } from "../../src/service-kit/index.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { goodRealtime } from "../fakes/good-realtime.ts";
import { goodService } from "../fakes/good-service.ts";
import { startTestGateway } from "../support/gateway.ts";
import { rawSocket } from "../support/raw-socket.ts";
import { makeRecord } from "../support/records.ts";
import { recordingLogger, runInTest } from "../support/run-in-test.ts";
import { waitFor } from "../support/wait-for.ts";

const options = { timeout: 60_000 };

function talker(handler: RealtimeHandler = goodRealtime(), overrides: Partial<ServiceDefinition> = {}) {
  return goodService({
    capabilities: { domains: ["chat"], max_concurrency: 1 },
    models: () => [
      { id: "talk", domains: ["chat"], features: { realtime: true } },
      { id: "mute", domains: ["chat"] },
    ],
    handlers: { "realtime.connect": handler },
    ...overrides,
  });
}

function connect(url: string, query = "?model=talk", init: object = {}): WebSocket {
  return new WebSocket(`${url.replace("http", "ws")}/v1/realtime${query}`, ["realtime"], init);
}

interface Said {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Opens a conversation; `next` resolves with its events in turn, `end` with the code of its end. */
async function converse(t: TestContext, url: string, init: object = {}) {
  const socket = connect(url, "?model=talk", init);
  t.after(() => socket.terminate());
  const events: Said[] = [];
  let wake = () => {};
  socket.on("message", (data) => {
    events.push(JSON.parse(String(data)) as Said);
    wake();
  });
  const end = once(socket, "close").then(([code]) => code as number);
  const next = async (): Promise<Said> => {
    while (events.length === 0) {
      await Promise.race([
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
        end.then((code) => assert.ok(events.length > 0, `closed with ${code}`)),
      ]);
    }
    return events.shift() as Said;
  };
  const say = (event: object) => socket.send(JSON.stringify(event));
  const until = async (type: string): Promise<Said> => {
    for (;;) {
      const event = await next();
      if (event.type === type) return event;
    }
  };
  assert.equal((await next()).type, "session.created");
  return { socket, next, until, say, end };
}

const isConversation = ({ operation }: LogFields) => operation === "realtime.connect";

async function slotsActive(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^nexus_service_slots_active (\d+)$/m.exec(text)?.[1]);
}

// proves: contract.realtime
test("a conversation: described, changed, answered, refused and closed", options, async (t) => {
  const { log, seen } = recordingLogger();
  const { url } = await runInTest(t, talker(), { log });
  const { socket, next, until, say, end } = await converse(t, url);
  assert.equal(socket.protocol, "realtime");
  assert.equal(await slotsActive(url), 1);
  say({ type: "session.update", session: { instructions: "Be brief." } });
  const updated = await next();
  assert.deepEqual([updated.type, (updated.session as Said).instructions], ["session.updated", "Be brief."]);
  say({ type: "nonsense", event_id: "mine" });
  const { error, event_id: id } = await next();
  const { code, param, event_id: about } = error as Record<string, unknown>;
  assert.deepEqual([code, param, about, typeof id], ["invalid_request", "type", "mine", "string"]);
  say({ type: "response.create" });
  const done = await until("response.done");
  assert.equal((done.response as Said).status, "completed");
  socket.close(1000);
  assert.equal(await end, 1000);
  const line = await seen(isConversation);
  assert.deepEqual([line.status, line.model, line.operation, line.level], [101, "talk", "realtime.connect", "info"]);
  assert.equal(line.code, undefined);
  assert.equal(await slotsActive(url), 0);
});

test("what asks wrongly is refused in HTTP, in OpenAI's shape, and takes no slot", options, async (t) => {
  const { url } = await runInTest(t, talker());
  const plain = await fetch(`${url}/v1/realtime?model=talk`);
  assert.equal(plain.status, 426);
  assert.equal(plain.headers.get("upgrade"), "websocket");
  assert.equal(((await plain.json()) as { error: Said }).error.code, "upgrade_required");
  const refusals: readonly (readonly [query: string, init: object, status: number, code: string])[] = [
    ["", {}, 400, "missing_model"],
    ["?model=tlak", {}, 404, "model_not_found"],
    ["?model=mute", {}, 400, "unsupported_feature"],
    ["?model=talk", { origin: "https://page.example" }, 403, "permission_denied"],
    ["?model=talk", { protocolVersion: 8 }, 400, "invalid_header"],
  ];
  for (const [query, init, status, code] of refusals) {
    const socket = connect(url, query, init);
    socket.on("error", () => {});
    const [request, response] = await once(socket, "unexpected-response");
    let text = "";
    for await (const chunk of response) text += String(chunk);
    request.destroy();
    assert.deepEqual([response.statusCode, JSON.parse(text).error.code], [status, code]);
    assert.match(response.headers["x-request-id"], /^req_/);
  }
  assert.equal(await slotsActive(url), 0);
  const elsewhere = await rawSocket(t, url);
  await elsewhere.send("GET /health HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  await elsewhere.until(/^HTTP\/1\.1 200 /);
  const h2 = await rawSocket(t, url);
  await h2.send("GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
  await h2.until(/^HTTP\/1\.1 426 /);
});

test("the answer that opens it carries the request's id and trace", options, async (t) => {
  const { url } = await runInTest(t, talker());
  const socket = connect(url, "?model=talk", { headers: { "x-request-id": "mine-1" } });
  t.after(() => socket.terminate());
  const [response] = await once(socket, "upgrade");
  assert.equal(response.headers["x-request-id"], "mine-1");
  assert.match(response.headers.traceparent, /^00-/);
});

test("messages that are no events are refused, too large ones end it", options, async (t) => {
  const { url } = await runInTest(t, talker());
  const { socket, next, end } = await converse(t, url);
  for (const message of ["no json", "[1]", '{"kind":"x"}', "null", Buffer.from('{"type":"session.update"}')]) {
    socket.send(message);
    const { type, error } = await next();
    assert.deepEqual([type, (error as Said).code], ["error", "invalid_json"]);
  }
  socket.send(" ".repeat(17 * 1024 * 1024));
  assert.equal(await end, 1009);
});

for (const [how, leave, status] of [
  ["closes", (socket: WebSocket) => socket.close(1000), 101],
  ["vanishes", (socket: WebSocket) => socket.terminate(), 499],
] as const) {
  // proves: contract.realtime
  test(`a client that ${how} stops the answer that is made for it`, options, async (t) => {
    const reasons = Promise.withResolvers<unknown>();
    const held = goodRealtime(
      (index, signal) =>
        new Promise((resolve, reject) => {
          if (index === 0) return resolve();
          signal.addEventListener("abort", () => {
            reasons.resolve(signal.reason);
            reject(signal.reason);
          });
        }),
    );
    const { log, seen } = recordingLogger();
    const { url } = await runInTest(t, talker(held), { log });
    const { socket, until, say } = await converse(t, url);
    say({ type: "response.create" });
    await until("response.output_text.delta");
    leave(socket);
    assert.equal(((await reasons.promise) as NexusError).code, "client_closed");
    const line = await seen(isConversation);
    assert.equal(line.status, status);
    assert.equal(await slotsActive(url), 0);
  });
}

for (const [what, thrown, code] of [
  ["a refusal", new NexusError("context_length_exceeded", "Too long."), "context_length_exceeded"],
  ["a defect", new Error("at http://10.0.0.1:9"), "internal_error"],
] as const) {
  for (const beside of [false, true]) {
    test(
      `${what} ${beside ? "beside the reading" : "of the handler"} is told and ends it with 1011`,
      options,
      async (t) => {
        const { log, seen } = recordingLogger();
        const handler: RealtimeHandler = async ({ socket }) => {
          await socket.send({ type: "session.created" });
          if (!beside) throw thrown;
          socket.waitUntil(Promise.reject(thrown));
          for await (const _ of socket.events);
        };
        const { url } = await runInTest(t, talker(handler), { log });
        const { next, end } = await converse(t, url);
        const { type, error } = await next();
        assert.deepEqual([type, (error as Said).code], ["error", code]);
        assert.doesNotMatch(JSON.stringify(error), /10\.0\.0\.1/);
        assert.equal(await end, 1011);
        assert.equal((await seen(isConversation)).code, code);
      },
    );
  }
}

test(
  "a conversation holds a slot; the next one waits, and leaves the queue when its client does",
  options,
  async (t) => {
    const { log, seen } = recordingLogger();
    const { url } = await runInTest(t, talker(), { log });
    const queued = async (count: number) => {
      await waitFor(`${count} in the queue`, async () =>
        (await (await fetch(`${url}/metrics`, { signal: t.signal })).text()).includes(`queue_depth ${count}\n`),
      );
    };
    const first = await converse(t, url);
    const gone = connect(url);
    gone.on("error", () => {});
    await queued(1);
    gone.terminate();
    await seen(({ status, code }) => status === 499 && code === "client_closed");
    await queued(0);
    const second = converse(t, url);
    await queued(1);
    first.socket.close();
    await second;
  },
);

test("a handler that does not read slows its client down and loses nothing", options, async (t) => {
  const gate = Promise.withResolvers<void>();
  const handler: RealtimeHandler = async ({ socket }) => {
    await socket.send({ type: "session.created" });
    await gate.promise;
    let expected = 0;
    for await (const { index } of socket.events) {
      assert.equal(index, expected++);
      if (expected === 400) break;
    }
    await socket.send({ type: "all.heard" });
  };
  const { url } = await runInTest(t, talker(handler));
  const { socket, until, say, end } = await converse(t, url);
  const padding = "x".repeat(100_000);
  for (let index = 0; index < 400; index++) say({ type: "piece", index, padding });
  // 40 MB do not fit into what two kernels and the kit hold for a reader that does not read.
  let left = Number.POSITIVE_INFINITY;
  while (socket.bufferedAmount < left) {
    left = socket.bufferedAmount;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.ok(left > 1_000_000, `${left}`);
  gate.resolve();
  await until("all.heard");
  assert.equal(await end, 1000);
});

// proves: contract.realtime
test("a conversation goes through the gateway to a service of the kit", options, async (t) => {
  const { url } = await runInTest(t, talker());
  const gateway = await startTestGateway();
  t.after(() => gateway.close());
  gateway.view.set([makeRecord({ base_url: url, models: [{ id: "talk", features: { realtime: true } }] })]);
  const headers = { authorization: `Bearer ${gateway.key}` };
  const { socket, until, say, end } = await converse(t, gateway.url, { headers });
  say({ type: "response.create" });
  assert.equal(((await until("response.done")).response as Said).status, "completed");
  socket.close(1000);
  assert.equal(await end, 1000);
  await waitFor("its slot is free", async () => (await slotsActive(url)) === 0);
});

// proves: contract.realtime, contract.drain
test("draining: an idle conversation is closed with 1001, an answer is finished first", options, async (t) => {
  const gate = Promise.withResolvers<void>();
  const handler = goodRealtime((index) => (index === 0 ? Promise.resolve() : gate.promise));
  const running = await runInTest(t, talker(handler, { capabilities: { domains: ["chat"], max_concurrency: 2 } }));
  const [idle, busy] = [await converse(t, running.url), await converse(t, running.url)];
  busy.say({ type: "response.create" });
  await busy.until("response.output_text.delta");
  const closed = running.close();
  assert.equal(await idle.end, 1001);
  busy.say({ type: "nobody.hears" });
  gate.resolve();
  assert.equal(((await busy.until("response.done")).response as Said).status, "completed");
  assert.equal(await busy.end, 1001);
  await closed;
});

test(
  "at the drain deadline a conversation is cut off with 1001, also one whose handler obeys nothing",
  options,
  async (t) => {
    const handler: RealtimeHandler = async ({ socket }) => {
      await socket.send({ type: "session.created" });
      await new Promise(() => {});
    };
    const clock = new FakeClock();
    const running = await runInTest(t, talker(handler, { limits: { drainMs: 4_000 } }), { clock });
    const { end } = await converse(t, running.url);
    const closed = running.close();
    await clock.tick(4_000);
    assert.equal(await end, 1001);
    await clock.tick(1_000);
    await closed;
  },
);

test("a client that answers no ping is given up, one that does is not", options, async (t) => {
  const clock = new FakeClock();
  const { url } = await runInTest(t, talker(goodRealtime(), { limits: { heartbeatMs: 10_000 } }), { clock });
  const alive = await converse(t, url);
  for (let turn = 0; turn < 4; turn++) {
    const pinged = once(alive.socket, "ping");
    await clock.tick(10_000);
    await pinged;
    alive.say({ type: "session.update", session: {} });
    // Its pong came before this.
    await alive.until("session.updated");
  }
  alive.socket.close();
  await alive.end;
  const frozen = await converse(t, url);
  frozen.socket.pause();
  for (let turn = 0; turn < 3; turn++) await clock.tick(10_000);
  await waitFor("its slot is free", async () => (await slotsActive(url)) === 0);
});
