import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestRecord } from "../../src/records/request-record.ts";
import { startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { waitFor } from "../support/wait-for.ts";

const question = { model: "tiny", messages: [{ role: "user", content: "hi" }], stream: true };

interface Chunk {
  readonly id: string;
  readonly choices: readonly { readonly delta: { readonly content?: string; readonly role?: string } }[];
}

async function ask(gateway: TestGateway, extra: object = {}) {
  const answer = await gateway.fetch("/v1/chat/completions", { body: { ...question, ...extra } });
  const text = await answer.text();
  const chunks = text
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => JSON.parse(event.slice("data: ".length)) as Chunk);
  return { id: answer.headers.get("x-request-id") ?? "", text, chunks };
}

async function notesOf(gateway: TestGateway, id: string): Promise<readonly string[]> {
  const { notes } = await waitFor("its record", async () => {
    const answer = await gateway.fetch(`/v1/nexus/requests/${id}`);
    const body = await answer.json();
    return answer.status === 200 && (body as RequestRecord);
  });
  return notes;
}

async function start(t: { after(run: () => Promise<void>): void }, continueStreams: boolean, settings = {}) {
  const dies = await startFakeBackend("vllm", {
    models: [{ id: "tiny" }],
    words: ["One", " two", " three", " four"],
    faults: { truncateAfterChunks: 3 },
  });
  const lives = await startFakeBackend("vllm", { models: [{ id: "tiny" }], words: [" five", " six", "."] });
  const gateway = await startTestGateway({
    settings,
    routes: [
      {
        model: "tiny",
        continueStreams,
        candidates: [{ service: "dies" }, { service: "lives", tier: 1 }],
        overflow: { afterMs: 0 },
      },
    ],
  });
  t.after(async () => {
    await gateway.close();
    await dies.close();
    await lives.close();
  });
  gateway.view.set([
    recordOf(dies, { service: "dies", dialect: "vllm", readiness_path: "/health" }),
    recordOf(lives, { service: "lives", dialect: "vllm", readiness_path: "/health" }),
  ]);
  return { gateway, lives };
}

// proves: gateway.continued-stream
test("where the route allows it, a cut stream goes on elsewhere, as one stream, and the record says so", async (t) => {
  const { gateway, lives } = await start(t, true);
  const { id, text, chunks } = await ask(gateway);
  assert.match(text, /\[DONE\]/);
  assert.doesNotMatch(text, /event: error/);
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1, "one id for the whole stream");
  const said = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
  assert.match(said, /^One two.* five six\.$/);
  const body = lives.requests.find(({ generation }) => generation)?.body as {
    messages: { role: string; content: string }[];
  };
  assert.equal(body.messages.at(-1)?.role, "assistant");
  assert.match(body.messages.at(-1)?.content ?? "", /^One two/);
  assert.ok((await notesOf(gateway, id)).some((note) => note.startsWith("continued: dies/")));
});

test("without the route's word a cut stream stays cut, and says so", async (t) => {
  const { gateway, lives } = await start(t, false);
  const { text } = await ask(gateway);
  assert.match(text, /event: error/);
  assert.doesNotMatch(text, /\[DONE\]/);
  assert.equal(lives.generations, 0);
});

test("what is fetched elsewhere counts as a repetition: where the budget has no room, the stream stays cut", async (t) => {
  const { gateway, lives } = await start(t, true, { retry: { budgetRatio: 0, budgetMin: 0 } });
  const { id, text } = await ask(gateway);
  assert.match(text, /event: error/);
  assert.equal(lives.generations, 0);
  assert.ok((await notesOf(gateway, id)).some((note) => note.startsWith("not continued: too many")));
});

test("an answer that must keep to a schema is not continued: nobody could go on in its middle", async (t) => {
  const { gateway, lives } = await start(t, true);
  const { id, text } = await ask(gateway, { response_format: { type: "json_object" } });
  assert.match(text, /event: error/);
  assert.equal(lives.generations, 0);
  assert.ok((await notesOf(gateway, id)).some((note) => note.startsWith("not continued: ")));
});

test("a stream that everybody cuts is asked for once of each", async (t) => {
  const faults = { truncateAfterChunks: 1 };
  const cutters = await Promise.all(
    ["a", "b"].map((service) =>
      startFakeBackend("vllm", { models: [{ id: "tiny" }], faults }).then((at) => ({ service, at })),
    ),
  );
  const gateway = await startTestGateway({
    routes: [{ model: "tiny", continueStreams: true, candidates: [{ service: "a" }, { service: "b" }] }],
  });
  t.after(async () => {
    await gateway.close();
    for (const { at } of cutters) await at.close();
  });
  gateway.view.set(
    cutters.map(({ service, at }) => recordOf(at, { service, dialect: "vllm", readiness_path: "/health" })),
  );
  const { text } = await ask(gateway);
  assert.match(text, /event: error/);
  assert.deepEqual(
    cutters.map(({ at }) => at.generations),
    [1, 1],
  );
});
