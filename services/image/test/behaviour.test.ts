import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { waitFor } from "../../../test/support/wait-for.ts";
import { encodeGreyPng } from "../src/grey-png.ts";
import { startFakeAutomatic1111 } from "./fakes/fake-automatic1111.ts";
import { startFakeComfyUi } from "./fakes/fake-comfyui.ts";
import type { Json } from "./fakes/fake-http.ts";
import { startFakeOpenAiImages } from "./fakes/fake-openai-images.ts";
import { eventsOf, startImage } from "./support/running-image.ts";

const model = "v1-5-pruned-emaonly.safetensors";

describe("the backend's coming and going", { timeout: 60_000 }, () => {
  // proves: image.readiness
  it("is not ready while it is away, says why, and is ready when it comes", async (t) => {
    const nowhere = createServer().listen(0, "127.0.0.1");
    await once(nowhere, "listening");
    const { port } = nowhere.address() as { port: number };
    await new Promise((resolve) => nowhere.close(resolve));
    const image = await startImage(t, { BACKEND: "automatic1111", URL: `http://127.0.0.1:${port}` });
    const { status, body } = await image.get("/readyz");
    assert.equal(status, 503);
    assert.equal(
      body.checks.backend.reason,
      "AUTOMATIC1111 does not answer. Start it, or say in NEXUS_IMAGE_URL where it is.",
    );
    const fake = await startFakeAutomatic1111(t);
    const relay = createServer((request, response) => {
      void fetch(`${fake.url}${request.url}`).then(async (answer) => response.end(await answer.text()));
    }).listen(port, "127.0.0.1");
    t.after(() => relay.close());
    await waitFor("it is ready", async () => (await image.get("/readyz")).status === 200);
    const { body: models } = await image.get("/v1/models");
    // The one that is loaded stands first.
    assert.deepEqual(
      models.data.map(({ id }: Json) => id),
      ["v1-5-pruned-emaonly", "dreamshaper_8"],
    );
    relay.closeAllConnections();
  });

  // proves: image.readiness
  it("says so when something else answers there", async (t) => {
    const fake = await startFakeAutomatic1111(t);
    const image = await startImage(t, { BACKEND: "comfyui", URL: fake.url });
    const { body } = await image.get("/readyz");
    assert.match(body.checks.backend.reason, /^ComfyUI answers, but not as it should/);
  });

  // proves: image.readiness
  it("says what a program lacks", async (t) => {
    const reasonWith = async (settings: Readonly<Record<string, string>>) => {
      const image = await startImage(t, { BACKEND: "sdcpp", ...settings });
      return (await image.get("/readyz")).body.checks.backend.reason;
    };
    assert.match(await reasonWith({ PROGRAM: "/nowhere/sd" }), /no program \/nowhere\/sd.*NEXUS_IMAGE_PROGRAM/);
    assert.match(await reasonWith({ PROGRAM: "/bin/sh" }), /NEXUS_IMAGE_MODEL_PATH must name/);
    assert.match(
      await reasonWith({ PROGRAM: "/bin/sh", MODEL_PATH: "/nowhere" }),
      /no file where NEXUS_IMAGE_MODEL_PATH/,
    );
  });
});

describe("ComfyUI", { timeout: 60_000 }, () => {
  // proves: image.progress
  it("shows previews on the way", async (t) => {
    const fake = await startFakeComfyUi(t, { isNew: true, isQuick: false });
    const image = await startImage(t, { URL: fake.url });
    const streamed = image.post("generations", { model, prompt: "a cat", stream: true, partial_images: 1 });
    await waitFor("a look at the work", () => fake.heard.some(({ route }) => route.startsWith("GET /history")));
    // Half of the way is said, and a preview, before it may end.
    const response = await streamed;
    fake.finish();
    const events = await eventsOf(response);
    assert.deepEqual(
      events.map(({ type }) => type.split(".")[1]),
      ["progress", "partial_image", "completed"],
    );
    assert.deepEqual([events[0].progress, events[1].partial_image_index], [50, 0]);
  });

  // proves: image.cancel
  it("takes a waiting request out of the queue, and lets others' work be", async (t) => {
    const fake = await startFakeComfyUi(t, { isQuick: false });
    const image = await startImage(t, { URL: fake.url });
    await fetch(`${fake.url}/prompt`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: { other: { class_type: "Other", inputs: {} } }, client_id: "other" }),
    });
    const leaving = new AbortController();
    const asked = image.post("generations", { model, prompt: "a cat" }, leaving.signal).catch(() => {});
    await waitFor("both orders", () => fake.heard.filter(({ route }) => route === "POST /prompt").length === 2);
    leaving.abort();
    await waitFor("its slot is free", async () => (await image.active()) === 0);
    await asked;
    const { queue_running: running, queue_pending: pending } = (await (
      await fetch(`${fake.url}/queue`)
    ).json()) as Json;
    assert.deepEqual([running.length, pending.length, fake.interrupted()], [1, 0, 0]);
  });

  // proves: image.backends
  it("does not wait for what a restart has made it forget", async (t) => {
    const fake = await startFakeComfyUi(t, { isQuick: false });
    const image = await startImage(t, { URL: fake.url });
    const asked = image.ask("generations", { model, prompt: "a cat" });
    await waitFor("an order", () => fake.heard.some(({ route }) => route === "POST /prompt"));
    fake.restart();
    const { status, body } = await asked;
    assert.deepEqual([status, body.error.code], [502, "backend_disconnected"]);
  });

  // proves: image.workflow
  it("runs the owner's own workflow", async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "nexus-workflow-"));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const path = join(directory, "flux.json");
    const inputs = { text: "%prompt%", seed: "%seed%", size: ["1", 0], note: "100%" };
    await writeFile(path, JSON.stringify({ 1: { class_type: "Anything", inputs } }));
    const fake = await startFakeComfyUi(t);
    const image = await startImage(t, { URL: fake.url, WORKFLOW: path });
    const { status } = await image.ask("generations", { model: "flux", prompt: 'a "cat"', seed: 3 });
    assert.equal(status, 200);
    const sent = fake.heard.find(({ route }) => route === "POST /prompt")?.json.prompt[1];
    assert.deepEqual(sent, { class_type: "Anything", inputs: { ...inputs, text: 'a "cat"', seed: 3 } });
    const { body } = await image.get("/v1/metadata");
    const operations = body.endpoints.map(({ operation_id: id }: Json) => id);
    // It has no place for a picture.
    assert.deepEqual(operations, ["images.generate"]);
  });
});

describe("a server of OpenAI's shape", { timeout: 60_000 }, () => {
  const ask = async (t: TestContext, links: string) => {
    const fake = await startFakeOpenAiImages(t, { links });
    const image = await startImage(t, { BACKEND: "openai", URL: fake.url });
    return await image.ask("generations", { model: "stablediffusion", prompt: "a cat", response_format: "url" });
  };

  // proves: image.backends
  it("has its links followed to itself only", async (t) => {
    const own = await ask(t, "/generated/0.png");
    assert.equal(own.status, 200, JSON.stringify(own.body));
    assert.match(own.body.data[0].url, /^data:image\/png;base64,/);
    const other = await startFakeOpenAiImages(t);
    const refused = await ask(t, `${other.url}/generated/0.png`);
    assert.equal(refused.status, 502);
    assert.equal(other.heard.length, 0);
  });
});

// proves: image.requests
it("says which field of a request is wrong", { timeout: 60_000 }, async (t) => {
  const fake = await startFakeAutomatic1111(t);
  const image = await startImage(t, { BACKEND: "automatic1111", URL: fake.url });
  const base = { model: "dreamshaper_8", prompt: "a cat" };
  const wrong: readonly (readonly [path: string, body: object, param: string])[] = [
    ["generations", { model: base.model }, "prompt"],
    ["generations", { ...base, n: 11 }, "n"],
    ["generations", { ...base, n: 2, stream: true }, "n"],
    ["generations", { ...base, size: "big" }, "size"],
    ["generations", { ...base, size: "100x100" }, "size"],
    ["generations", { ...base, size: "4096x4096" }, "size"],
    ["generations", { ...base, seed: -1 }, "seed"],
    ["edits", base, "image"],
    ["edits", { ...base, image: "https://example.com/a.png" }, "image"],
    ["edits", { ...base, image: "data:image/png;base64,AAAA" }, "image"],
  ];
  for (const [path, body, param] of wrong) {
    const { status, body: answer } = await image.ask(path, body);
    assert.deepEqual([status, answer.error.param], [400, param], JSON.stringify(answer));
  }
  const picture = encodeGreyPng(Buffer.alloc(64 * 64), 64, 64).toString("base64");
  const edited = await image.ask("edits", { ...base, images: [{ image_url: `data:image/png;base64,${picture}` }] });
  assert.equal(edited.status, 200, JSON.stringify(edited.body));
});
