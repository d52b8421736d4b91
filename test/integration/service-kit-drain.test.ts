import assert from "node:assert/strict";
import { test } from "node:test";
import { instanceRecordSchema } from "../../src/contract/instance-record.ts";
import { eventStream, type Handler, type ModelInput, type ServiceContext } from "../../src/service-kit/index.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { goodService } from "../fakes/good-service.ts";
import { RecordingRegistry } from "../fakes/recording-registry.ts";
import { chat, recordingLogger, runInTest } from "../support/run-in-test.ts";
import { waitFor } from "../support/wait-for.ts";

const options = { timeout: 60_000 };

/** A stream of one item, then whatever the test lets happen. */
function heldStream() {
  const gate = Promise.withResolvers<void>();
  const handler: Handler = ({ signal }) =>
    eventStream(
      (async function* () {
        yield { part: 1 };
        await Promise.race([
          gate.promise,
          new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
        ]);
        yield { part: 2 };
      })(),
    );
  return { handlers: { "chat.completions.create": handler }, release: gate.resolve };
}

// proves: contract.registers
test("the record follows the service: starting, ready, new models, gone", options, async (t) => {
  const registry = new RecordingRegistry();
  const loaded = Promise.withResolvers<void>();
  let context: ServiceContext | undefined;
  let models: ModelInput[] = [];
  const service = goodService({
    models: () => models,
    start: async (given) => {
      context = given;
      await loaded.promise;
    },
  });
  const running = await runInTest(t, service, { registry });
  const first = await registry.seen(({ name }) => name === "register");
  const record = instanceRecordSchema.parse(first.record);
  assert.equal(record.base_url, running.url);
  assert.deepEqual([record.service, record.instance, record.host], ["good", "one", "here"]);
  assert.deepEqual([record.state, record.state_reason], ["starting", "start: starting"]);
  loaded.resolve();
  await registry.seen(({ record: next }) => next?.state === "ready");
  models = [{ id: "new", domains: ["chat"] }];
  context?.changed();
  const renewed = await registry.seen(({ record: next }) => next?.metadata.models[0]?.id === "new");
  assert.notEqual(renewed.record?.metadata_digest, record.metadata_digest);
  context?.check("gpu", { status: "failed", reason: "fell off the bus" });
  const failed = await registry.seen(({ record: next }) => next?.state === "failed");
  assert.equal(failed.record?.state_reason, "gpu: fell off the bus");
  await running.close();
  assert.equal(registry.names().at(-1), "deregister");
});

// proves: contract.drain
test("draining: out of the registry first, then no new work, open work ends, then it stops", options, async (t) => {
  const registry = new RecordingRegistry();
  const left = Promise.withResolvers<void>();
  registry.behave = async ({ name }) => {
    if (name === "deregister") await left.promise;
  };
  const { handlers, release } = heldStream();
  const order: string[] = [];
  const service = goodService({ handlers, stop: () => void order.push("stop") });
  const { log, seen } = recordingLogger();
  const running = await runInTest(t, service, { registry, log });
  await registry.seen(({ name }) => name === "register");
  const open = await chat(running.url, { stream: true });
  const reader = open.body?.pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await reader?.read())?.value ?? "", /"part":1/);

  const closed = running.close().then(() => void order.push("closed"));
  await registry.seen(({ name }) => name === "deregister");
  const readiness = await fetch(`${running.url}/readyz`);
  assert.equal(readiness.status, 503);
  assert.equal(((await readiness.json()) as { state: string }).state, "draining");
  // The registry still lists it, so somebody may still come.
  const late = new AbortController();
  assert.equal((await chat(running.url, { stream: true }, { signal: late.signal })).status, 200);
  late.abort();
  left.resolve();
  await seen((line) => line.code === "client_closed");
  const refused = await waitFor("a refusal", async () => {
    const answer = await chat(running.url, {}, { signal: t.signal });
    return answer.status !== 200 && answer;
  });
  assert.equal(refused.status, 503);
  assert.equal(((await refused.json()) as { error: { code: string } }).error.code, "draining");
  assert.equal((await fetch(`${running.url}/health`)).status, 200);
  assert.deepEqual(order, []);

  release();
  let rest = "";
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) rest += next.value;
  assert.match(rest, /"part":2[\s\S]*\[DONE\]/);
  await closed;
  assert.deepEqual(order, ["stop", "closed"]);
  await assert.rejects(fetch(`${running.url}/health`));
});

test("at the deadline open streams end with an error event, without [DONE]", options, async (t) => {
  const clock = new FakeClock();
  const service = goodService({ handlers: heldStream().handlers, limits: { drainMs: 4_000 } });
  const running = await runInTest(t, service, { clock });
  const open = await chat(running.url, { stream: true });
  const closed = running.close();
  await clock.tick(3_999);
  assert.equal((await fetch(`${running.url}/health`)).status, 200);
  await clock.tick(1);
  const text = await open.text();
  assert.match(text, /"part":1[\s\S]*event: error\ndata: .*"code":"draining"/);
  assert.doesNotMatch(text, /DONE/);
  await closed;
});

test("a generator that just ends when it is told to has not ended its answer", options, async (t) => {
  const clock = new FakeClock();
  const quiet: Handler = ({ signal }) =>
    eventStream(
      (async function* () {
        yield { part: 1 };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      })(),
    );
  const service = goodService({ handlers: { "chat.completions.create": quiet }, limits: { drainMs: 4_000 } });
  const running = await runInTest(t, service, { clock });
  const open = await chat(running.url, { stream: true });
  const closed = running.close();
  await clock.tick(4_000);
  assert.match(await open.text(), /^data: \{"part":1\}\n\nevent: error\ndata: [^\n]*"draining"[^\n]*\n\n$/);
  await closed;
});

test("a handler that obeys nothing is given up a second after the deadline", options, async (t) => {
  const clock = new FakeClock();
  const entered = Promise.withResolvers<void>();
  const deaf: Handler = () => {
    entered.resolve();
    return new Promise(() => {});
  };
  const service = goodService({ handlers: { "chat.completions.create": deaf } });
  const running = await runInTest(t, service, { clock });
  const asked = chat(running.url).then(
    () => "answered",
    () => "cut off",
  );
  await entered.promise;
  const closed = running.close();
  await clock.tick(31_000);
  await closed;
  assert.equal(await asked, "cut off");
});

test("closing while it still starts gives `start` the signal and waits for it", options, async (t) => {
  const order: string[] = [];
  const service = goodService({
    start: async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      order.push("start ended");
      throw signal.reason;
    },
    stop: () => void order.push("stopped"),
  });
  const { log, lines } = recordingLogger();
  const running = await runInTest(t, service, { log });
  await Promise.all([running.close(), running.close()]);
  assert.deepEqual(order, ["start ended", "stopped"]);
  assert.ok(!lines.some(({ level }) => level === "error"));
});

test("a stop that throws or hangs does not keep the service from ending", options, async (t) => {
  for (const stop of [
    () => {
      throw new Error("broken");
    },
    () => new Promise<void>(() => {}),
  ]) {
    const clock = new FakeClock();
    const running = await runInTest(t, goodService({ stop }), { clock });
    await clock.tick(0);
    const closed = running.close();
    await clock.tick(5_000);
    await closed;
  }
});
