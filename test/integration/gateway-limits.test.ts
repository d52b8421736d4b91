import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Limits } from "../../src/keys/key-record.ts";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { postText, rawSocket } from "../support/raw-socket.ts";
import { waitFor } from "../support/wait-for.ts";

const messages = [{ role: "user", content: "one two three" }];
const question = { model: "tiny", messages, max_tokens: 4 };

interface ErrorAnswer {
  readonly error: { readonly code: string; readonly message: string; readonly type: string };
}

interface Counted {
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens?: number };
}

describe("gateway: what a key may use", () => {
  let gateway: TestGateway;
  let backend: FakeBackend;
  before(async () => {
    backend = await startFakeBackend("nexus", { models: [{ id: "tiny" }, { id: "vectors", kind: "embedding" }] });
    gateway = await startTestGateway({ aliases: { "gpt-4o": "tiny" } });
    gateway.view.set([recordOf(backend, { models: [{ id: "tiny" }, { id: "vectors", domains: ["embedding"] }] })]);
  });
  after(async () => {
    await gateway?.close();
    await backend?.close();
  });
  let keys = 0;
  /** Asks with a key of its own that has these limits. */
  const limited = async (limits: Limits) => {
    const { key, record } = await gateway.keys.create({ name: `limited-${keys++}`, role: "user", limits });
    const ask = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
      gateway.fetch(path, {
        ...(body === undefined ? {} : { body }),
        headers: { authorization: `Bearer ${key}`, ...headers },
      });
    return { ask, chat: (more: object = {}) => ask("/v1/chat/completions", { ...question, ...more }), id: record.id };
  };
  const codeOf = async (answer: Response) => ((await answer.json()) as ErrorAnswer).error.code;
  const reached = () => backend.requests.filter(({ generation }) => generation).length;

  // proves: keys.limits
  it("requests a minute: says how many are left, then when to come back, and the backend hears of none more", async () => {
    const { chat } = await limited({ requests_per_minute: 2 });
    const first = await chat();
    assert.equal(first.status, 200);
    assert.equal(first.headers.get("x-ratelimit-limit-requests"), "2");
    assert.equal(first.headers.get("x-ratelimit-remaining-requests"), "1");
    await first.text();
    assert.equal((await chat({ stream: true })).headers.get("x-ratelimit-remaining-requests"), "0");
    const before = reached();
    const third = await chat();
    assert.equal(third.status, 429);
    assert.match(third.headers.get("retry-after") ?? "", /^\d+$/);
    assert.equal(third.headers.get("x-ratelimit-remaining-requests"), "0");
    assert.match(third.headers.get("x-ratelimit-reset-requests") ?? "", /^\d+(?:ms|s)$|^1m[01]s$/);
    assert.equal(third.headers.get("x-should-retry"), null, "it may succeed later");
    assert.equal(await codeOf(third), "rate_limit_exceeded");
    assert.equal(reached(), before);
  });

  // proves: keys.limits
  it("tokens a minute: counts what the backend counted, not what was feared", async () => {
    const { chat } = await limited({ tokens_per_minute: 200 });
    const first = await chat();
    const { usage } = (await first.json()) as Counted;
    assert.equal(first.headers.get("x-ratelimit-limit-tokens"), "200");
    const used = usage.prompt_tokens + (usage.completion_tokens ?? 0);
    const second = await chat({ max_tokens: 100 });
    assert.equal(second.status, 200);
    const left = Number(second.headers.get("x-ratelimit-remaining-tokens"));
    assert.ok(left <= 200 - used - 100, `${left} are left`);
    await second.text();
    const tooMuch = await chat({ max_tokens: 250 });
    assert.equal(tooMuch.status, 429);
    assert.equal(await codeOf(tooMuch), "rate_limit_exceeded");
    assert.equal((await chat()).status, 200, "what was not used is given back");
  });

  // proves: keys.limits
  it("requests at once: a place is free again when its stream has ended, or its client has left", async () => {
    const { chat } = await limited({ concurrency: 1 });
    backend.set({ faults: { chunkDelayMs: 600_000 } });
    const open = await chat({ stream: true });
    assert.equal((await chat()).status, 429);
    backend.set({ faults: {} });
    const { aborted } = backend;
    await open.body?.cancel();
    await backend.until((now) => now.aborted === aborted + 1);
    assert.equal((await chat()).status, 200);
  });

  // proves: keys.budgets
  it("a budget that is spent is insufficient_quota, which no client should repeat", async () => {
    const { chat } = await limited({ budgets: [{ unit: "tokens", amount: 60, period: "day" }] });
    assert.equal((await chat()).status, 200);
    const second = await chat({ max_tokens: 60 });
    assert.equal(second.status, 429);
    assert.equal(second.headers.get("x-should-retry"), "false");
    assert.match(second.headers.get("retry-after") ?? "", /^\d+$/);
    assert.equal(await codeOf(second), "insufficient_quota");
  });

  // proves: keys.allow-lists
  it("models and operations that it may not use are refused before anybody hears of them", async () => {
    const { ask, chat } = await limited({ models: ["tiny", "vec*"], operations: ["chat.*"] });
    assert.equal((await chat()).status, 200);
    const before = reached();
    for (const refused of [
      await chat({ model: "gpt-4o" }),
      await ask("/v1/embeddings", { model: "vectors", input: "hi" }),
      await ask("/v1/messages", { ...question, max_tokens: 3 }),
      await ask("/api/chat", question),
    ]) {
      assert.equal(refused.status, 403);
      await refused.text();
    }
    assert.equal(reached(), before);
  });

  // proves: keys.allow-lists, gateway.models
  it("/v1/models, Ollama's list and close names show only what it may use", async () => {
    const { ask } = await limited({ models: ["vec*"] });
    const listed = (await (await ask("/v1/models")).json()) as { data: { id: string }[] };
    assert.deepEqual(
      listed.data.map(({ id }) => id),
      ["vectors"],
    );
    assert.equal((await ask("/v1/models/tiny")).status, 404);
    assert.doesNotMatch(await (await ask("/v1/models/tinny")).text(), /tiny/);
    assert.doesNotMatch(await (await ask("/v1/chat/completions", { ...question, model: "tinny" })).text(), /'tiny'/);
    assert.doesNotMatch(await (await ask("/api/tags")).text(), /tiny|gpt-4o/);
  });

  // proves: keys.allow-lists
  it("from an address that is not on its list it is refused", async () => {
    assert.equal((await (await limited({ addresses: ["10.0.0.0/8"] })).chat()).status, 403);
    assert.equal((await (await limited({ addresses: ["127.0.0.0/8", "::1"] })).chat()).status, 200);
  });

  it("is served in no higher class than it may ask for", async () => {
    const { ask } = await limited({ priority_max: "batch" });
    const headers = { "x-nexus-class": "interactive", "x-request-id": "lowered-1" };
    assert.equal((await ask("/v1/chat/completions", question, headers)).status, 200);
    const record = (await (await ask("/v1/nexus/requests/lowered-1")).json()) as { class: string };
    assert.equal(record.class, "batch");
  });

  // proves: keys.usage
  it("adds up to what the backend counted: chats, streams and embeddings", async () => {
    const { ask, chat, id } = await limited({});
    const counted = { prompt: 0, completion: 0 };
    const add = ({ usage }: Counted) => {
      counted.prompt += usage.prompt_tokens;
      counted.completion += usage.completion_tokens ?? 0;
    };
    for (let turn = 0; turn < 5; turn++) {
      add((await (await chat({ max_tokens: turn + 1 })).json()) as Counted);
      const events = await (await chat({ stream: true, stream_options: { include_usage: true } })).text();
      add(JSON.parse(events.split("data: ").at(-2) ?? "") as Counted);
      add((await (await ask("/v1/embeddings", { model: "vectors", input: ["one", "two words"] })).json()) as Counted);
    }
    await (await chat({ messages: 7 })).text();
    const day = new Date().toISOString().slice(0, 10);
    await gateway.desk.recorder.flush();
    const rows = await gateway.desk.usage.report({ by: ["operation"], from: day, to: day, key: id });
    const sum = (field: "requests" | "errors" | "prompt_tokens" | "completion_tokens") =>
      rows.reduce((total, row) => total + row[field], 0);
    assert.deepEqual(
      [sum("requests"), sum("errors"), sum("prompt_tokens"), sum("completion_tokens")],
      [16, 1, counted.prompt, counted.completion],
    );
  });
});

describe("gateway: what its answers say of themselves", () => {
  const start = async (count: number) => {
    const backends = await Promise.all(
      Array.from({ length: count }, () => startFakeBackend("nexus", { models: [{ id: "tiny" }] })),
    );
    const gateway = await startTestGateway();
    const records = backends.map((backend, at) => recordOf(backend, { instance: `i${at}`, maxConcurrency: 1 }));
    gateway.view.set(records);
    const close = async () => {
      await gateway.close();
      for (const backend of backends) await backend.close();
    };
    return {
      gateway,
      backends,
      close,
      chat: (more: object = {}) => gateway.fetch("/v1/chat/completions", { body: { ...question, ...more } }),
    };
  };

  // proves: gateway.answer-headers
  it("who served it, in how many attempts, after how long a wait", async (t) => {
    const { backends, gateway, chat, close } = await start(2);
    t.after(close);
    for (const stream of [false, true]) {
      const calm = await chat({ stream });
      await calm.text();
      assert.match(calm.headers.get("x-nexus-instance") ?? "", /^chat\/i[01]$/);
      assert.equal(calm.headers.get("x-nexus-attempts"), "1");
      assert.equal(calm.headers.get("x-nexus-queue-ms"), "0");
    }
    const letGo = Promise.withResolvers<void>();
    for (const backend of backends) backend.set({ faults: { heldUntil: letGo.promise } });
    const asked = Promise.all([chat(), chat(), chat()]);
    await waitFor("a third that waits", async () =>
      /^nexus_gateway_requests_waiting 1$/m.test(await gateway.metrics()),
    );
    await new Promise((resolve) => setTimeout(resolve, 150));
    letGo.resolve();
    const answers = await asked;
    const waits = answers.map(({ headers }) => Number(headers.get("x-nexus-queue-ms"))).sort((a, b) => a - b);
    assert.deepEqual(waits.slice(0, 2), [0, 0]);
    assert.ok((waits[2] ?? 0) >= 100, `the third waited for ${waits[2]} ms`);
    backends[0]?.set({ faults: { status: { status: 503 } } });
    backends[1]?.set({ faults: {} });
    const tried = await Promise.all([chat(), chat()]);
    assert.ok(tried.some(({ headers }) => headers.get("x-nexus-attempts") === "2"));
    for (const { status, headers } of tried) {
      assert.equal(status, 200);
      assert.equal(headers.get("x-nexus-instance"), "chat/i1");
    }
  });

  // proves: gateway.exhausted
  it("x-should-retry: false when everybody was tried, and nothing of it when waiting helps", async (t) => {
    const { backends, chat, close } = await start(2);
    t.after(close);
    for (const backend of backends) backend.set({ faults: { resetBeforeHeaders: true } });
    const answer = await chat();
    assert.ok([502, 503].includes(answer.status));
    // Both, and the last one again: its connection may only have been closed at the moment it was used.
    assert.equal(answer.headers.get("x-nexus-attempts"), "3");
    assert.equal(answer.headers.get("x-should-retry"), "false");
  });

  // proves: gateway.none-left
  it("nothing works: a clear 503 that waits for nothing", async (t) => {
    const { backends, gateway, close } = await start(1);
    t.after(close);
    await backends[0]?.close();
    const socket = await rawSocket(t, gateway.url);
    let answers = 0;
    /** Turns of the event loop, which the gateway and its client share here, until the answer to a request is there. */
    const turnsFor = async (path: string, status: number) => {
      let turns = 0;
      let isOver = false;
      const count = () => {
        turns++;
        if (!isOver) setImmediate(count);
      };
      answers++;
      const body = path === "/v1/chat/completions" ? JSON.stringify(question) : "{}";
      const headers = [`authorization: Bearer ${gateway.key}`, `x-request-id: turn-${answers}`];
      const sent = socket.send(postText(path, body, headers));
      setImmediate(count);
      await socket.until(new RegExp(`x-request-id: turn-${answers}\\r\\n[^]*\\}\\}$`));
      isOver = true;
      await sent;
      assert.equal([...socket.text().matchAll(/HTTP\/1\.1 (\d+)/g)].at(-1)?.[1], String(status));
      return turns;
    };
    await waitFor("somebody to notice", () => isAway(gateway));
    const least = { refused: Number.POSITIVE_INFINITY, away: Number.POSITIVE_INFINITY };
    for (let turn = 0; turn < 10; turn++) {
      least.refused = Math.min(least.refused, await turnsFor("/v1/embeddings", 400));
      least.away = Math.min(least.away, await turnsFor("/v1/chat/completions", 503));
    }
    assert.ok(least.away <= least.refused + 1, `${least.away} turns, where a bad request takes ${least.refused}`);
    assert.match(socket.text(), /"type":"server_error","param":null,"code":"no_instance_available"\}\}$/);
    assert.match(socket.text(), /retry-after: [1-9]/i);
  });
});

/** Whether the gateway has found out that its only instance is dead. */
async function isAway(gateway: TestGateway): Promise<boolean> {
  const answer = await gateway.fetch("/v1/chat/completions", { body: question });
  await answer.text();
  return answer.status === 503;
}
