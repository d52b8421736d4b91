import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { WebSocket } from "ws";
import { type Operation, operations } from "../../src/contract/operations.ts";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { waitFor } from "../support/wait-for.ts";

/** The goal: how soon the backend must hear of it. */
const cancelledMs = 1_000;
/** Longer than any test: what is not cancelled never ends. */
const forever = 600_000;

type Body = Readonly<Record<string, unknown>>;

interface Asking {
  /** As it is counted. */
  readonly operation: string;
  readonly path: string;
  readonly body: Body;
  readonly isForm?: boolean;
  /** What makes it a stream; absent where it is none. */
  readonly streamed?: Body;
}

const messages = [{ role: "user", content: "hi" }];
const file = new File(["RIFFsound"], "in.wav", { type: "audio/wav" });
const image = new File(["picture"], "in.png", { type: "image/png" });
const streamed = { stream: true };

/** What to ask an operation of the contract for. */
const askings: Readonly<Record<string, Omit<Asking, "operation" | "path">>> = {
  "chat.completions.create": { body: { messages }, streamed },
  "completions.create": { body: { prompt: "hi" }, streamed },
  "responses.create": { body: { input: "hi" }, streamed },
  "messages.create": { body: { messages, max_tokens: 9 }, streamed },
  "messages.count_tokens": { body: { messages } },
  "embeddings.create": { body: { input: "hi" } },
  "moderations.create": { body: { input: "hi" } },
  rerank: { body: { query: "hi", documents: ["hi"] } },
  ocr: { body: { document: { image_url: "data:," } } },
  "tools.call": { body: { arguments: { text: "hi" } } },
  "images.generate": { body: { prompt: "hi" }, streamed },
  "images.edit": { body: { prompt: "hi", image }, isForm: true, streamed },
  "images.create_variation": { body: { image }, isForm: true },
  "audio.speech.create": {
    body: { input: "one two", voice: "alloy", response_format: "pcm" },
    streamed: { stream_format: "audio" },
  },
  "audio.transcriptions.create": { body: { file }, isForm: true, streamed },
  "audio.translations.create": { body: { file }, isForm: true },
  "videos.create": { body: { prompt: "hi" } },
  "music.create": { body: { prompt: "hi" } },
};

const ollama: readonly Asking[] = [
  { operation: "ollama.chat", path: "/api/chat", body: { messages }, streamed },
  { operation: "ollama.generate", path: "/api/generate", body: { prompt: "hi" }, streamed },
  { operation: "ollama.embed", path: "/api/embed", body: { input: "hi" } },
].map((asking) => ({ ...asking, body: { stream: false, ...asking.body } }));

/**
 * Operations that make an instance work: looking at a job is over at once. What is made of a job takes the way of what
 * is made of nothing.
 */
const working = operations.filter(
  ({ owner, body, job }) => owner === "instance" && body !== "none" && job?.step !== "derive",
);

function askingOf({ id, path }: Operation): Asking {
  const asking = askings[id];
  assert.ok(asking, `say here what to ask ${id} for`);
  return { operation: id, path, ...asking };
}

const all: readonly Asking[] = [...working.map(askingOf), ...ollama];
const streams = all.flatMap((asking) =>
  asking.streamed === undefined ? [] : { ...asking, body: { ...asking.body, ...asking.streamed } },
);

/** A request that somebody may walk away from. */
interface Sent {
  readonly id: string;
  readonly answer: Promise<Response>;
  leave(): void;
}

let count = 0;

function send(gateway: TestGateway, { path, body, isForm = false }: Asking): Sent {
  const id = `gone-${count++}`;
  const controller = new AbortController();
  const named = { model: "all", ...body };
  const answer = fetch(gateway.url + path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${gateway.key}`,
      "x-request-id": id,
      ...(isForm ? {} : { "content-type": "application/json" }),
    },
    body: isForm ? toForm(named) : JSON.stringify(named),
    signal: controller.signal,
  });
  answer.catch(() => {});
  return { id, answer, leave: () => controller.abort() };
}

function toForm(fields: Body): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value instanceof File ? value : String(value));
  return form;
}

/** That it was counted as what it is, in the log, in the metrics and in its record. */
async function assertCounted(gateway: TestGateway, operation: string, id: string): Promise<void> {
  const line = await waitFor("its line", () =>
    gateway.lines.find(({ message, fields }) => message === "request completed" && fields.request_id === id),
  );
  assert.equal(line.fields.status, 499);
  assert.equal(line.fields.code, "client_closed");
  const counted = `nexus_gateway_requests_total{operation="${operation}",status="499"} `;
  assert.ok((await gateway.metrics()).includes(counted), `${counted} in the metrics`);
  const record = await gateway.fetch(`/v1/nexus/requests/${id}`);
  assert.equal(record.status, 200);
  const { code, status } = (await record.json()) as { code: string; status: number };
  assert.deepEqual({ code, status }, { code: "client_closed", status: 499 });
}

async function untilOneWaits(gateway: TestGateway): Promise<void> {
  await waitFor("one that waits", async () => /^nexus_gateway_requests_waiting 1$/m.test(await gateway.metrics()));
}

const everyDomain = [
  ...["chat", "embedding", "image", "speech", "transcription"],
  ...["ocr", "video", "music", "rerank", "moderation", "tool"],
] as const;

function recordOfAll(backend: FakeBackend, maxConcurrency: number | null) {
  return recordOf(backend, {
    maxConcurrency,
    models: [{ id: "all", domains: everyDomain as never, features: { realtime: true } }],
  });
}

describe("R13: the client is gone", () => {
  let backend: FakeBackend;
  let gateway: TestGateway;
  /** The same fleet with room for one request at a time. */
  let narrow: TestGateway;
  before(async () => {
    backend = await startFakeBackend("nexus", { models: [{ id: "all" }] });
    gateway = await startTestGateway();
    gateway.view.set([recordOfAll(backend, null)]);
    narrow = await startTestGateway();
    narrow.view.set([recordOfAll(backend, 1)]);
  });
  after(async () => {
    await gateway?.close();
    await narrow?.close();
    await backend?.close();
  });

  for (const asking of all) {
    // proves: gateway.client-gone
    it(`${asking.operation}: the backend stops while it thinks`, async () => {
      backend.set({ faults: { delayFirstByteMs: forever } });
      const { aborted } = backend;
      const sent = send(gateway, asking);
      await backend.until(({ inFlight }) => inFlight === 1);
      sent.leave();
      await backend.until((now) => now.aborted === aborted + 1 && now.inFlight === 0, cancelledMs);
      await assertCounted(gateway, asking.operation, sent.id);
    });
  }

  for (const asking of streams) {
    // proves: gateway.client-gone
    it(`${asking.operation}: the backend stops in the middle of a stream`, async () => {
      backend.set({ faults: { chunkDelayMs: forever } });
      const { aborted } = backend;
      const sent = send(gateway, asking);
      const answer = await sent.answer;
      assert.equal(answer.status, 200);
      await backend.until(({ inFlight }) => inFlight === 1);
      sent.leave();
      await backend.until((now) => now.aborted === aborted + 1 && now.inFlight === 0, cancelledMs);
      await assertCounted(gateway, asking.operation, sent.id);
    });
  }

  for (const asking of all) {
    // proves: gateway.client-gone
    it(`${asking.operation}: the backend never hears of one that left the queue`, async () => {
      backend.set({ faults: { delayFirstByteMs: forever } });
      const occupant = send(narrow, asking);
      await backend.until(({ inFlight }) => inFlight === 1);
      const { generations } = backend;
      const waiting = send(narrow, asking);
      await untilOneWaits(narrow);
      waiting.leave();
      await assertCounted(narrow, asking.operation, waiting.id);
      occupant.leave();
      await backend.until(({ inFlight }) => inFlight === 0, cancelledMs);
      await assertCounted(narrow, asking.operation, occupant.id);
      assert.equal(backend.generations, generations);
    });
  }

  // proves: gateway.client-gone
  it("realtime.connect: the backend stops in the middle of an answer", async () => {
    backend.set({ faults: { chunkDelayMs: forever } });
    const { aborted } = backend;
    const { socket, id } = connect(gateway);
    await once(socket, "message");
    socket.send(JSON.stringify({ type: "response.create" }));
    await backend.until(({ inFlight }) => inFlight === 1);
    socket.terminate();
    await backend.until((now) => now.aborted === aborted + 1 && now.inFlight === 0, cancelledMs);
    await assertCounted(gateway, "realtime.connect", id);
  });

  // proves: gateway.client-gone
  it("realtime.connect: the backend never hears of one that left the queue", async () => {
    backend.set({ faults: {} });
    const occupant = connect(narrow);
    await once(occupant.socket, "message");
    const { length } = backend.requests.filter(({ operation }) => operation !== undefined);
    const waiting = connect(narrow);
    await untilOneWaits(narrow);
    waiting.socket.terminate();
    await assertCounted(narrow, "realtime.connect", waiting.id);
    occupant.socket.terminate();
    await assertCounted(narrow, "realtime.connect", occupant.id);
    assert.equal(backend.requests.filter(({ operation }) => operation !== undefined).length, length);
  });
});

function connect(gateway: TestGateway): { socket: WebSocket; id: string } {
  const id = `gone-${count++}`;
  const socket = new WebSocket(`${gateway.url.replace("http", "ws")}/v1/realtime?model=all`, ["realtime"], {
    headers: { authorization: `Bearer ${gateway.key}`, "x-request-id": id },
  });
  socket.on("error", () => {});
  return { socket, id };
}
