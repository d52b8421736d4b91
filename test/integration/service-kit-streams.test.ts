import assert from "node:assert/strict";
import { test } from "node:test";
import { NexusError } from "../../src/base/errors.ts";
import { bytes, eventStream, type Handler, type Service } from "../../src/service-kit/index.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { goodService } from "../fakes/good-service.ts";
import { postText, rawSocket } from "../support/raw-socket.ts";
import { chat, recordingLogger, runInTest } from "../support/run-in-test.ts";
import { waitFor } from "../support/wait-for.ts";

const options = { timeout: 60_000 };

function streaming(make: (signal: AbortSignal) => AsyncIterable<object | string>): Service {
  const handler: Handler = ({ signal }) => eventStream(make(signal));
  return goodService({ handlers: { "chat.completions.create": handler } });
}

async function* of(...items: (object | string)[]) {
  yield* items;
}

test("objects become JSON events, texts go as they are, several lines as several data lines", options, async (t) => {
  const { url } = await runInTest(
    t,
    streaming(() => of({ a: "ü" }, '{"b":2}', "one\ntwo\r\nthree")),
  );
  const response = await chat(url, { stream: true });
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.equal(
    await response.text(),
    'data: {"a":"ü"}\n\ndata: {"b":2}\n\ndata: one\ndata: two\ndata: three\n\ndata: [DONE]\n\n',
  );
});

test("a stream without an item is still a stream", options, async (t) => {
  const { url } = await runInTest(
    t,
    streaming(() => of()),
  );
  assert.equal(await (await chat(url, { stream: true })).text(), "data: [DONE]\n\n");
});

test("an error before the first item has its own status", options, async (t) => {
  const { url } = await runInTest(
    t,
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say
    streaming(async function* () {
      throw new NexusError("context_length_exceeded", "The prompt is too long.", { param: "messages" });
    }),
  );
  const response = await chat(url, { stream: true });
  assert.equal(response.status, 400);
  assert.equal(((await response.json()) as { error: { code: string } }).error.code, "context_length_exceeded");
});

test("an error in the middle is an error event, without [DONE], and the record says so", options, async (t) => {
  const { log, seen } = recordingLogger();
  const { url } = await runInTest(
    t,
    streaming(async function* () {
      yield { a: 1 };
      throw new Error("GPU fell off: secret detail");
    }),
    { log },
  );
  const text = await (await chat(url, { stream: true })).text();
  assert.match(text, /^data: \{"a":1\}\n\nevent: error\ndata: \{"error":\{[^\n]*"code":"internal_error"\}\}\n\n$/);
  assert.doesNotMatch(text, /DONE|secret detail/);
  const line = await seen(({ message }) => message === "request completed");
  assert.deepEqual([line.status, line.code, line.level], [200, "internal_error", "error"]);
});

test("while the source is silent, a comment is sent every 15 s; then errors are events", options, async (t) => {
  const clock = new FakeClock();
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const { url } = await runInTest(
    t,
    streaming(async function* () {
      entered.resolve();
      await gate.promise;
      yield { a: 1 };
      throw new NexusError("backend_disconnected", "The backend broke off.");
    }),
    { clock },
  );
  const asked = chat(url, { stream: true });
  await entered.promise;
  await clock.tick(14_999);
  assert.equal(clock.pending, 1);
  await clock.tick(1);
  const response = await asked;
  assert.equal(response.status, 200);
  await clock.tick(15_000);
  gate.resolve();
  assert.equal(
    await response.text(),
    ': waiting\n\n: waiting\n\ndata: {"a":1}\n\nevent: error\ndata: {"error":{"message":"The backend broke off.","type":"server_error","param":null,"code":"backend_disconnected"}}\n\n',
  );
});

test("a client that does not read holds the source back, and is given up after a minute", options, async (t) => {
  const clock = new FakeClock();
  const ended = Promise.withResolvers<void>();
  const item = { text: "x".repeat(64 * 1024) };
  let made = 0;
  const { log, seen } = recordingLogger();
  const { url } = await runInTest(
    t,
    streaming(async function* () {
      try {
        // An end of its own, for the day when nothing else holds it back.
        while (made < 2_000) {
          made++;
          yield item;
        }
      } finally {
        ended.resolve();
      }
    }),
    { clock, log },
  );
  const raw = await rawSocket(t, url);
  raw.socket.pause();
  await raw.send(postText("/v1/chat/completions", JSON.stringify({ model: "fake-chat", messages: [], stream: true })));
  // The stall timer is armed once the buffers of both sockets are full.
  await waitFor("a source that is held back", () => made === 2_000 || (made > 1 && clock.pending > 0));
  let isOver = false;
  void ended.promise.then(() => (isOver = true));
  // The kernel makes room for more in its own time, and each time the minute begins anew.
  await waitFor("its end", async () => {
    await clock.tick(60_000);
    return isOver;
  });
  assert.ok(made < 1_000, `${made} items of 64 KiB were made for nobody`);
  assert.equal((await seen((line) => line.message === "request completed")).code, "client_closed");
});

test("a slow reader gets everything", options, async (t) => {
  const count = 400;
  const { url } = await runInTest(
    t,
    streaming(async function* () {
      for (let index = 0; index < count; index++) yield { index, text: "y".repeat(10_000) };
    }),
  );
  const response = await chat(url, { stream: true });
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString("latin1");
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(text.split("\n\n").length, count + 2);
  assert.match(text, /\[DONE\]\n\n$/);
});

test("bytes that break off break the connection: a client must not take a part for the whole", options, async (t) => {
  const handler: Handler = () =>
    bytes(
      (async function* () {
        yield Buffer.from("part");
        throw new Error("disk");
      })(),
      "audio/wav",
    );
  const { url } = await runInTest(t, goodService({ handlers: { "chat.completions.create": handler } }));
  await assert.rejects(async () => await (await chat(url)).arrayBuffer());
});
