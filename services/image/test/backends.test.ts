import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { runConformance } from "nexus/contract";
import { waitFor } from "../../../test/support/wait-for.ts";
import { encodeGreyPng } from "../src/grey-png.ts";
import { startFakeAutomatic1111 } from "./fakes/fake-automatic1111.ts";
import { startFakeComfyUi } from "./fakes/fake-comfyui.ts";
import { type Json, shade } from "./fakes/fake-http.ts";
import { startFakeInvokeAi } from "./fakes/fake-invokeai.ts";
import { startFakeOpenAiImages } from "./fakes/fake-openai-images.ts";
import { eventsOf, type RunningImage, startImage } from "./support/running-image.ts";

/** A backend that is there, and what it was asked for. */
interface Scene {
  readonly settings: Readonly<Record<string, string>>;
  readonly model: string;
  /** The orders that it got: the model's name, the prompt, the seed and so on, in its own words. */
  readonly orders: () => Promise<readonly Json[]>;
  /** Resolves when it works; only where it was started to be slow. */
  readonly atWork: () => Promise<unknown>;
  /** Resolves when it was told to stop. */
  readonly stopped: () => Promise<unknown>;
  /** The prompt that makes it slow. */
  readonly slowPrompt: string;
}

type Start = (t: TestContext, isQuick: boolean) => Promise<Scene>;

const comfyui: Start = async (t, isQuick) => {
  const fake = await startFakeComfyUi(t, { isQuick });
  const posted = () => fake.heard.filter(({ route }) => route === "POST /prompt");
  return {
    settings: { BACKEND: "comfyui", URL: fake.url },
    model: "v1-5-pruned-emaonly.safetensors",
    slowPrompt: "a cat",
    orders: async () => posted().map(({ json }) => ({ ...json.prompt, text: json.prompt.positive.inputs.text })),
    atWork: () => waitFor("an order", () => posted().length > 0),
    stopped: () => waitFor("a stop", () => fake.interrupted() === 1),
  };
};

const automatic1111: Start = async (t, isQuick) => {
  const fake = await startFakeAutomatic1111(t, { isQuick });
  const posted = () => fake.heard.filter(({ route }) => /2img$/.test(route));
  return {
    settings: { BACKEND: "automatic1111", URL: fake.url },
    model: "v1-5-pruned-emaonly",
    slowPrompt: "a cat",
    orders: async () => posted().map(({ json }) => ({ ...json, text: json.prompt })),
    atWork: () => waitFor("an order", () => posted().length > 0),
    stopped: () => waitFor("a stop", () => fake.interrupted() === 1),
  };
};

const invokeai: Start = async (t, isQuick) => {
  const fake = await startFakeInvokeAi(t, { isQuick });
  const posted = () => fake.heard.filter(({ route }) => route.endsWith("enqueue_batch"));
  return {
    settings: { BACKEND: "invokeai", URL: fake.url },
    model: "stable-diffusion-v1-5",
    slowPrompt: "a cat",
    orders: async () =>
      posted().map(({ json }) => ({ ...json.batch.graph.nodes, text: json.batch.graph.nodes.positive.prompt })),
    atWork: () => waitFor("an order", () => posted().length > 0),
    stopped: () => waitFor("a stop", () => fake.cancelled.length === 1),
  };
};

const openai: Start = async (t, isQuick) => {
  const fake = await startFakeOpenAiImages(t, { isQuick });
  let isClosed = false;
  fake.server.on("connection", (socket) => socket.on("close", () => (isClosed = true)));
  const posted = () => fake.heard.filter(({ route }) => route.startsWith("POST"));
  return {
    settings: { BACKEND: "openai", URL: fake.url, KEY: "secret" },
    model: "stablediffusion",
    slowPrompt: "a cat",
    orders: async () =>
      posted().map(({ json, form }) => {
        const fields = json ?? Object.fromEntries(form ?? []);
        return { ...fields, text: fields.prompt };
      }),
    atWork: async () => {
      await waitFor("an order", () => posted().length > 0);
      isClosed = false;
    },
    stopped: () => waitFor("a stop", () => isClosed),
  };
};

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const sdcpp: Start = async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "nexus-fake-sd-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const place = (name: string) => join(directory, name);
  await writeFile(place("sd"), `#!/bin/sh\nexec "${process.execPath}" "${here("fakes/fake-sd.ts")}" "$@"\n`);
  await chmod(place("sd"), 0o755);
  await writeFile(place("small-sd.gguf"), "weights");
  await writeFile(place("picture.png"), shade(7));
  const further = {
    "--fake-output": here("../fixtures/sdcpp-output.txt"),
    "--fake-asked": place("asked.json"),
    "--fake-held": place("held.json"),
    "--fake-picture": place("picture.png"),
  };
  const json = async (name: string): Promise<Json> =>
    JSON.parse(await readFile(place(name), "utf8").catch(() => "null"));
  const lives = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  return {
    settings: {
      BACKEND: "sdcpp",
      PROGRAM: place("sd"),
      MODEL_PATH: place("small-sd.gguf"),
      ARGUMENTS: Object.entries(further).flat().join(" "),
    },
    model: "small-sd",
    slowPrompt: "HOLD",
    orders: async () => {
      const asked = await json("asked.json");
      return [{ ...asked.arguments, environment: asked.environment, text: asked.arguments["--prompt"] }];
    },
    atWork: () => waitFor("an order", async () => (await json("held.json")) !== null),
    async stopped() {
      const { pid, child } = await json("held.json");
      await waitFor("the end of both", () => !lives(pid) && !lives(child));
    },
  };
};

const scenes: Readonly<Record<string, Start>> = { comfyui, automatic1111, invokeai, openai, sdcpp };

/** A picture of 96 by 72, and a mask that is white on its left. */
const picture = new Blob([new Uint8Array(encodeGreyPng(Buffer.alloc(96 * 72, 100), 96, 72))], { type: "image/png" });
const half = Buffer.from(Array.from({ length: 96 * 72 }, (_, pixel) => (pixel % 96 < 48 ? 255 : 0)));
const mask = new Blob([new Uint8Array(encodeGreyPng(half, 96, 72))], { type: "image/png" });

function editForm(model: string): FormData {
  const form = new FormData();
  const fields = { model, prompt: "a dog", seed: "11", steps: "4", strength: "0.5" };
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("image", picture, "a.png");
  form.append("mask", mask, "mask.png");
  return form;
}

for (const [name, start] of Object.entries(scenes)) {
  describe(name, { timeout: 60_000 }, () => {
    const begin = async (t: TestContext, isQuick = true): Promise<{ scene: Scene; image: RunningImage }> => {
      const scene = await start(t, isQuick);
      return { scene, image: await startImage(t, scene.settings) };
    };

    // proves: image.backends
    it("lists its models and makes pictures of a text", async (t) => {
      const { scene, image } = await begin(t);
      const { body: models } = await image.get("/v1/models");
      assert.ok(
        models.data.some(({ id }: Json) => id === scene.model),
        JSON.stringify(models),
      );
      const order = { model: scene.model, prompt: "a cat", n: 2, size: "256x128", seed: 5, steps: 3 };
      const { status, body } = await image.ask("generations", order);
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body.data.length, 2);
      assert.deepEqual([body.seed, body.size, body.output_format], [5, "256x128", "png"]);
      for (const { b64_json: encoded } of body.data)
        assert.equal(Buffer.from(encoded, "base64").toString("latin1", 1, 4), "PNG");
      const [asked] = await scene.orders();
      assert.equal(asked.text, "a cat");
      const said = JSON.stringify(asked);
      for (const value of [256, 128, 5, 3]) assert.match(said, new RegExp(`\\D${value}\\D`), `${value} in ${said}`);
    });

    // proves: image.edits
    it("changes a picture within a mask", async (t) => {
      const { scene, image } = await begin(t);
      const { status, body } = await image.ask("edits", editForm(scene.model));
      assert.equal(status, 200, JSON.stringify(body));
      // As large as what it was made of, where nobody says otherwise.
      assert.equal(body.size, "96x72");
      assert.equal(body.data.length, 1);
      const said = JSON.stringify(await scene.orders());
      assert.match(said, /a dog/);
      if (name !== "openai") assert.match(said, /0\.5/);
    });

    // proves: image.cancel
    it("stops when its client leaves", async (t) => {
      const { scene, image } = await begin(t, false);
      const leaving = new AbortController();
      const body = { model: scene.model, prompt: scene.slowPrompt };
      const asked = image.post("generations", body, leaving.signal).catch((error: unknown) => error);
      await scene.atWork();
      leaving.abort();
      const left = performance.now();
      await waitFor("its slot is free", async () => (await image.active()) === 0);
      assert.ok(performance.now() - left < 1_000, `it took ${performance.now() - left} ms`);
      await scene.stopped();
      assert.ok((await asked) instanceof Error);
    });

    // proves: service.conforms
    it("keeps the contract", async (t) => {
      const { image } = await begin(t);
      const failed: unknown[] = [];
      for await (const result of runConformance({ baseUrl: image.url, generate: true, signal: t.signal })) {
        if (result.status === "fail") failed.push(`${result.id}: ${result.reason}`);
      }
      assert.deepEqual(failed, []);
    });

    // proves: image.progress
    it("streams how far it is, and the picture at the end", async (t) => {
      const { scene, image } = await begin(t);
      const body = { model: scene.model, prompt: "a cat", stream: true, partial_images: 1, steps: 4 };
      const events = await eventsOf(await image.post("generations", body));
      assert.equal(events.at(-1).type, "image_generation.completed", JSON.stringify(events));
      if (name === "openai" || name === "automatic1111") return;
      assert.equal(events[0].type, "image_generation.progress");
      assert.ok(events[0].progress > 0 && events[0].progress <= 100);
    });
  });
}
