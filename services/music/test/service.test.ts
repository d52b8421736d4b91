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
import { readMusicSettings } from "../src/settings.ts";

/** The service in this process until the test ends, with `NEXUS_MUSIC_*` of these settings. */
async function startMusic(t: TestContext, settings: Readonly<Record<string, string>>, jobsFile?: string) {
  const variables = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`NEXUS_MUSIC_${name}`, value]));
  const read = readMusicSettings(variables);
  const service = createJobService({
    kind: "music",
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
  const directory = await mkdtemp(join(tmpdir(), "nexus-music-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** ACE-Step 1.5's API server, after its document "API Client Documentation". A task is done at its second look. */
async function startFakeAceStep(t: TestContext) {
  const looks = new Map<string, number>();
  const enveloped = (data: unknown) => ({ data, code: 200, error: null, timestamp: 1_700_000_000_000, extra: null });
  const resultOf = (id: string): object => {
    const isDone = (looks.get(id) ?? 0) > 1;
    const made = { file: `/v1/audio?path=%2Ftmp%2Fapi_audio%2F${id}.flac`, wave: "", status: 1, prompt: "..." };
    return { task_id: id, status: isDone ? 1 : 0, result: JSON.stringify(isDone ? [made] : []) };
  };
  const answer = ({ route, url, json }: Heard) => {
    switch (route) {
      case "GET /v1/models": {
        const models = [
          { name: "acestep-v15-base", is_default: false },
          { name: "acestep-v15-turbo", is_default: true },
        ];
        return enveloped({ models, default_model: "acestep-v15-turbo" });
      }
      case "POST /release_task": {
        const id = `task-${looks.size + 1}`;
        looks.set(id, 0);
        return enveloped({ task_id: id, status: "queued", queue_position: 1 });
      }
      case "POST /query_result": {
        const known = json.task_id_list.filter((id: string) => looks.has(id));
        for (const id of known) looks.set(id, (looks.get(id) ?? 0) + 1);
        return enveloped(known.map(resultOf));
      }
      case "GET /v1/audio":
        return { type: "audio/flac", bytes: Buffer.from(`fLaC of ${url.searchParams.get("path")}`) };
    }
    return undefined;
  };
  return { ...(await startFake(t, answer)), looks };
}

describe("ACE-Step", { timeout: 60_000 }, () => {
  // proves: music.backends
  it("makes music of a text and lyrics", async (t) => {
    const fake = await startFakeAceStep(t);
    const music = await startMusic(t, { URL: fake.url });
    const { body: models } = await music.ask("GET", "/v1/models");
    assert.deepEqual(
      models.data.map(({ id }: Json) => id),
      ["acestep-v15-turbo", "acestep-v15-base"],
    );
    const fields = { prompt: "Slow jazz.", lyrics: "La la", seconds: "30", seed: 7, response_format: "flac" };
    const { body: made } = await music.ask("POST", "/v1/music", { model: "acestep-v15-turbo", ...fields });
    assert.deepEqual([made.object, made.status, made.seconds], ["music", "queued", "30"]);
    assert.deepEqual(fake.heard.find(({ route }) => route === "POST /release_task")?.json, {
      model: "acestep-v15-turbo",
      prompt: "Slow jazz.",
      lyrics: "La la",
      batch_size: 1,
      audio_format: "flac",
      audio_duration: 30,
      use_random_seed: false,
      seed: 7,
    });
    const path = `/v1/music/${made.id}`;
    assert.equal((await music.ask("GET", path)).body.status, "in_progress");
    assert.equal((await music.ask("GET", path)).body.status, "completed");
    const piece = await music.ask("GET", `${path}/content`);
    assert.deepEqual([piece.type, piece.body], ["audio/flac", "fLaC of /tmp/api_audio/task-1.flac"]);
  });

  // proves: jobs.life
  it("says so when it has forgotten a task, as after a restart", async (t) => {
    const fake = await startFakeAceStep(t);
    const file = join(await directoryOf(t), "jobs.json");
    const music = await startMusic(t, { URL: fake.url }, file);
    const { body: made } = await music.ask("POST", "/v1/music", { model: "acestep-v15-base", prompt: "Jazz." });
    fake.looks.clear();
    const { body: lost } = await music.ask("GET", `/v1/music/${made.id}`);
    assert.deepEqual([lost.status, lost.error.message], ["failed", "ACE-Step has forgotten this job."]);
  });

  // proves: service.conforms
  it("keeps the contract", async (t) => {
    const fake = await startFakeAceStep(t);
    const music = await startMusic(t, { URL: fake.url });
    assert.deepEqual(await failuresOf(t, music.url), []);
  });
});

describe("ComfyUI", { timeout: 60_000 }, () => {
  const begin = async (t: TestContext) => {
    const path = join(await directoryOf(t), "ace-step.json");
    const inputs = { tags: "%prompt%", lyrics: "%lyrics%", seconds: "%seconds%" };
    await writeFile(path, JSON.stringify({ 9: { class_type: "Anything", inputs } }));
    const fake = await startFakeComfyUi(t, "piece_00001.mp3");
    return { fake, music: await startMusic(t, { BACKEND: "comfyui", URL: fake.url, WORKFLOWS: path }) };
  };
  const order = { model: "ace-step", prompt: "Slow jazz.", seconds: "20" };

  // proves: music.backends
  it("runs the owner's workflow", async (t) => {
    const { fake, music } = await begin(t);
    const { body: made } = await music.ask("POST", "/v1/music", order);
    assert.deepEqual(fake.queue[0]?.nodes[9].inputs, { tags: "Slow jazz.", lyrics: "", seconds: 20 });
    fake.finish();
    const piece = await music.ask("GET", `/v1/music/${made.id}/content`);
    assert.deepEqual([piece.type, piece.body], ["audio/mpeg", "the file piece_00001.mp3"]);
  });

  // proves: jobs.cancel
  it("stops a piece that is deleted", async (t) => {
    const { fake, music } = await begin(t);
    const { body: made } = await music.ask("POST", "/v1/music", order);
    await music.ask("DELETE", `/v1/music/${made.id}`);
    assert.deepEqual([fake.queue.length, fake.interrupted()], [0, 1]);
  });

  // proves: service.conforms
  it("keeps the contract", async (t) => {
    const { music } = await begin(t);
    assert.deepEqual(await failuresOf(t, music.url), []);
  });
});
