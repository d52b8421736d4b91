import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { NexusError } from "../../base/errors.ts";
import type { JobBackend, JobOrder, JobState } from "./job-backend.ts";
import { openJobBook } from "./job-book.ts";
import { createJobDesk } from "./job-desk.ts";

const order: JobOrder = { model: "m", prompt: "p", seconds: 4, fields: { size: "64x64" }, files: [] };
const { signal } = new AbortController();
const query = new URLSearchParams();

/** A backend whose jobs stand as the test says. */
function fakeBackend() {
  const states = new Map<string, JobState | Error>();
  const removed: string[] = [];
  let made = 0;
  const begin = async () => {
    const ref = `ref-${++made}`;
    states.set(ref, { status: "queued", progress: 0 });
    return ref;
  };
  const backend: JobBackend = {
    title: "Box",
    vendor: "",
    hint: "",
    look: async () => ({ models: ["m"] }),
    create: begin,
    remix: begin,
    async state(ref) {
      const state = states.get(ref);
      if (state instanceof Error) throw state;
      return state;
    },
    content: async () => ({ contentType: "video/mp4", body: {} as IncomingMessage }),
    async remove(ref) {
      removed.push(ref);
      states.delete(ref);
    },
  };
  return { backend, states, removed };
}

function deskOf(path?: string, fake = fakeBackend()) {
  let ids = 0;
  const book = openJobBook(path);
  const newId = () => `video_${++ids}`;
  return { ...fake, desk: createJobDesk({ backend: fake.backend, book, clock: systemClock, newId }) };
}

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-jobs-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

describe("createJobDesk", () => {
  // proves: jobs.life
  it("follows a job to its end, and gives what was made only then", async () => {
    const { desk, states } = deskOf();
    const { id } = await desk.begin(order, signal);
    await assert.rejects(desk.content(id, query, signal), { code: "conflict" });
    states.set("ref-1", { status: "in_progress", progress: 41.6 });
    assert.equal((await desk.look(id, signal)).progress, 42);
    // Never backwards: whoever draws a bar of it would see it shrink.
    states.set("ref-1", { status: "in_progress", progress: 10 });
    assert.equal((await desk.look(id, signal)).progress, 42);
    states.set("ref-1", { status: "completed", progress: 100 });
    assert.equal((await desk.content(id, query, signal)).contentType, "video/mp4");
    const { status, completedAt, size } = await desk.look(id, signal);
    assert.deepEqual([status, typeof completedAt, size], ["completed", "number", "64x64"]);
  });

  // proves: jobs.cancel
  it("stops what is deleted, and what nobody waits for any more", async () => {
    const { desk, removed } = deskOf();
    const { id } = await desk.begin(order, signal);
    await desk.remove(id, signal);
    await assert.rejects(desk.look(id, signal), { code: "not_found" });
    await assert.rejects(desk.remove(id, signal), { code: "not_found" });
    const left = AbortSignal.abort(new NexusError("client_closed", "gone"));
    await assert.rejects(desk.begin(order, left), { code: "client_closed" });
    assert.deepEqual(removed, ["ref-1", "ref-2"]);
    assert.deepEqual(await desk.list(signal), []);
  });

  // proves: jobs.life
  it("keeps a job while its backend is away, and fails it when that has forgotten it", async () => {
    const { desk, states } = deskOf();
    const { id } = await desk.begin(order, signal);
    states.set("ref-1", new NexusError("backend_unreachable", "away"));
    assert.equal((await desk.look(id, signal)).status, "queued");
    states.delete("ref-1");
    const lost = await desk.look(id, signal);
    assert.deepEqual([lost.status, lost.problem], ["failed", "Box has forgotten this job."]);
  });

  // proves: jobs.life
  it("makes a film of a film that is ready", async () => {
    const { desk, states } = deskOf();
    const { id } = await desk.begin(order, signal);
    await assert.rejects(desk.remix(id, order, signal), { code: "conflict" });
    states.set("ref-1", { status: "completed", progress: 100 });
    const made = await desk.remix(id, { ...order, model: "" }, signal);
    assert.deepEqual([made.source, made.model, made.id === id], [id, "m", false]);
  });

  // proves: jobs.restart
  it("knows its jobs after a restart, without their prompts", async (t) => {
    const path = join(await directoryOf(t), "video", "jobs.json");
    const before = deskOf(path);
    const { id } = await before.desk.begin({ ...order, prompt: "a secret" }, signal);
    const after = deskOf(path, { ...fakeBackend(), backend: before.backend });
    before.states.set("ref-1", { status: "completed", progress: 100 });
    assert.equal((await after.desk.look(id, signal)).status, "completed");
    assert.doesNotMatch(await readFile(path, "utf8"), /secret/);
    await writeFile(path, "broken");
    assert.deepEqual(await deskOf(path).desk.list(signal), []);
  });
});
