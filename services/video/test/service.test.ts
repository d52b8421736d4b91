import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { silentLogger } from "nexus/base";
import { runConformance } from "nexus/contract";
import { createJobService, readServiceEnvironment, runService } from "nexus/service-kit";
import { startFakeComfyUi } from "../../../test/fakes/fake-comfyui-jobs.ts";
import { type Heard, type Json, startFake } from "../../../test/fakes/fake-http-server.ts";
import { waitFor } from "../../../test/support/wait-for.ts";
import { openBackend } from "../src/open-backend.ts";
import { readVideoSettings } from "../src/settings.ts";

/** The service in this process until the test ends, with `NEXUS_VIDEO_*` of these settings. */
async function startVideo(t: TestContext, settings: Readonly<Record<string, string>>, jobsFile?: string) {
  const variables = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`NEXUS_VIDEO_${name}`, value]));
  const read = readVideoSettings(variables);
  const service = createJobService({
    kind: "video",
    backend: openBackend(read),
    version: "0.0.0",
    description: "",
    models: read.models,
    jobsFile,
    ui: { options: [] },
  });
  const running = await runService(service, readServiceEnvironment({ NEXUS_LOG_LEVEL: "silent" }), {
    ownsProcess: false,
    log: silentLogger,
  });
  t.after(() => running.close());
  const ask = async (method: string, path: string, body?: object) => {
    const isForm = body instanceof FormData;
    const response = await fetch(`${running.url}${path}`, {
      method,
      ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
      ...(body === undefined || isForm ? {} : { headers: { "content-type": "application/json" } }),
    });
    const type = response.headers.get("content-type") ?? "";
    const said: Json = type.startsWith("application/json") ? await response.json() : await response.text();
    return { status: response.status, type, body: said };
  };
  await waitFor("it knows its backend", async () => (await ask("GET", "/readyz")).body.state !== "starting");
  return { url: running.url, ask, close: () => running.close() };
}

async function failuresOf(t: TestContext, baseUrl: string): Promise<readonly string[]> {
  const failed: string[] = [];
  for await (const result of runConformance({ baseUrl, generate: true, signal: t.signal })) {
    if (result.status === "fail") failed.push(`${result.id}: ${result.reason}`);
  }
  return failed;
}

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-video-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A server of OpenAI's shape: a job is half done at its first look, done at its second. */
async function startFakeVideos(t: TestContext) {
  const looks = new Map<string, number>();
  const describe = (id: string): object => {
    const done = (looks.get(id) ?? 0) > 1;
    const status = done ? "completed" : "in_progress";
    return {
      id,
      object: "video",
      model: "wan2.2",
      status,
      progress: done ? 100 : 50,
      created_at: 1,
      seconds: "4",
      size: "64x64",
    };
  };
  const begin = () => {
    const id = `up_${looks.size + 1}`;
    looks.set(id, 0);
    return describe(id);
  };
  const answer = ({ route }: Heard) => {
    if (route === "GET /v1/models") return { object: "list", data: [{ id: "wan2.2", object: "model" }] };
    if (route === "POST /v1/videos") return begin();
    const [, method, id = "", rest] = /^(\w+) \/v1\/videos\/([^/]+)(\/\w+)?$/.exec(route) ?? [];
    if (!looks.has(id)) return 404;
    if (rest === "/remix") return begin();
    if (rest === "/content") return { type: "video/mp4", bytes: Buffer.from("\0\0\0\x18ftypmp42 film") };
    if (method === "DELETE") return looks.delete(id) ? { id, deleted: true } : 404;
    looks.set(id, (looks.get(id) ?? 0) + 1);
    return describe(id);
  };
  return { ...(await startFake(t, answer)), looks };
}

describe("a server of OpenAI's shape", { timeout: 60_000 }, () => {
  // proves: video.backends
  it("makes films of texts, pictures and films", async (t) => {
    const fake = await startFakeVideos(t);
    const video = await startVideo(t, { BACKEND: "openai", URL: fake.url });
    const order = { model: "wan2.2", prompt: "A lighthouse.", seconds: "4", size: "64x64" };
    const { body: made } = await video.ask("POST", "/v1/videos", order);
    assert.deepEqual([made.object, made.status, made.model, made.seconds], ["video", "queued", "wan2.2", "4"]);
    assert.deepEqual(fake.heard.find(({ route }) => route === "POST /v1/videos")?.json, order);
    const path = `/v1/videos/${made.id}`;
    assert.equal((await video.ask("GET", `${path}/content`)).status, 409);
    const { body: done } = await video.ask("GET", path);
    assert.deepEqual([done.status, done.progress], ["completed", 100]);
    const film = await video.ask("GET", `${path}/content`);
    assert.deepEqual([film.status, film.type], [200, "video/mp4"]);
    assert.match(film.body, /ftyp/);
    const { body: second } = await video.ask("POST", `${path}/remix`, { prompt: "At night." });
    assert.equal(second.remixed_from_video_id, made.id);

    const form = new FormData();
    for (const [name, value] of Object.entries(order)) form.append(name, value);
    form.append("input_reference", new Blob(["picture"], { type: "image/png" }), "a.png");
    assert.equal((await video.ask("POST", "/v1/videos", form)).status, 200);
    const sent = fake.heard.at(-1)?.form;
    const reference = sent?.get("input_reference");
    assert.deepEqual([sent?.get("seconds"), reference instanceof File && reference.name], ["4", "a.png"]);

    const page = (await video.ask("GET", "/v1/videos?limit=2")).body;
    assert.deepEqual([page.data.length, page.has_more, page.data[1].id], [2, true, second.id]);
    const rest = (await video.ask("GET", `/v1/videos?limit=2&after=${page.last_id}`)).body;
    assert.deepEqual([rest.data.map(({ id }: Json) => id), rest.has_more], [[made.id], false]);
    assert.equal((await video.ask("DELETE", path)).body.deleted, true);
    assert.ok(!fake.looks.has("up_1"));
  });

  // proves: service.conforms
  it("keeps the contract", async (t) => {
    const fake = await startFakeVideos(t);
    const video = await startVideo(t, { BACKEND: "openai", URL: fake.url });
    assert.deepEqual(await failuresOf(t, video.url), []);
  });

  // proves: jobs.restart
  it("still has its jobs when the service has been started anew", async (t) => {
    const fake = await startFakeVideos(t);
    const file = join(await directoryOf(t), "jobs.json");
    const settings = { BACKEND: "openai", URL: fake.url };
    const first = await startVideo(t, settings, file);
    const { body: made } = await first.ask("POST", "/v1/videos", { model: "wan2.2", prompt: "A lighthouse." });
    await first.close();
    const second = await startVideo(t, settings, file);
    await second.ask("GET", `/v1/videos/${made.id}`);
    assert.equal((await second.ask("GET", `/v1/videos/${made.id}/content`)).status, 200);
  });
});

describe("ComfyUI", { timeout: 60_000 }, () => {
  const begin = async (t: TestContext) => {
    const path = join(await directoryOf(t), "wan-t2v.json");
    const inputs = { text: "%prompt%", length: "%frames%", width: "%width%", seed: "%seed%" };
    await writeFile(path, JSON.stringify({ 9: { class_type: "Anything", inputs } }));
    const fake = await startFakeComfyUi(t, "wan_00001.mp4");
    return { fake, video: await startVideo(t, { URL: fake.url, WORKFLOWS: path }) };
  };
  const order = { model: "wan-t2v", prompt: "A lighthouse.", seconds: "4", size: "640x352", seed: 7 };

  // proves: video.backends
  it("runs the owner's workflow", async (t) => {
    const { fake, video } = await begin(t);
    const { body: made } = await video.ask("POST", "/v1/videos", order);
    assert.deepEqual(fake.queue[0]?.nodes[9].inputs, { text: "A lighthouse.", length: 65, width: 640, seed: 7 });
    const path = `/v1/videos/${made.id}`;
    assert.equal((await video.ask("GET", path)).body.status, "in_progress");
    fake.finish();
    assert.equal((await video.ask("GET", path)).body.status, "completed");
    const film = await video.ask("GET", `${path}/content`);
    assert.deepEqual([film.type, film.body], ["video/mp4", "the file wan_00001.mp4"]);
  });

  // proves: jobs.cancel
  it("stops what runs and what waits, and nothing else", async (t) => {
    const { fake, video } = await begin(t);
    const ids: string[] = [];
    for (let count = 0; count < 3; count++) ids.push((await video.ask("POST", "/v1/videos", order)).body.id);
    const left = fake.queue[2]?.id;
    await video.ask("DELETE", `/v1/videos/${ids[1]}`);
    assert.deepEqual([fake.queue.length, fake.interrupted()], [2, 0]);
    await video.ask("DELETE", `/v1/videos/${ids[0]}`);
    assert.deepEqual([fake.queue.map(({ id }) => id), fake.interrupted()], [[left], 1]);
  });

  // proves: service.conforms
  it("keeps the contract", async (t) => {
    const { video } = await begin(t);
    assert.deepEqual(await failuresOf(t, video.url), []);
  });
});
