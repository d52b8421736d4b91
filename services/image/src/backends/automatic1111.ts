import { setTimeout as pause } from "node:timers/promises";
import { createUpstream, type Upstream } from "nexus/service-kit";
import { z } from "zod";
import type { ImageBackend, Making } from "../image-backend.ts";
import type { ImageOrder, Picture } from "../image-order.ts";
import { pictureFrom, toPicture } from "../to-picture.ts";

const title = "AUTOMATIC1111";
const modelsSchema = z.array(z.looseObject({ title: z.string(), model_name: z.string() }));
const optionsSchema = z.looseObject({ sd_model_checkpoint: z.string().nullish() });
const answerSchema = z.looseObject({ images: z.array(z.string()) });
const progressSchema = z.looseObject({ progress: z.number(), current_image: z.string().nullish() });

const progressMs = 500;
/** The answer comes when the pictures are made. */
const makingMs = 3_600_000;
const interruptMs = 5_000;
/** Pictures in base64. */
const answerBytesMax = 256 * 1024 * 1024;
/** Fills what is masked with what was there, as the panel begins with. */
const originalContent = 1;

/** AUTOMATIC1111's web UI, started with `--api`, and those that speak its API (Forge, SD.Next). */
export function createAutomatic1111(baseUrl: string, key: string | undefined): ImageBackend {
  const upstream = createUpstream({ baseUrl, title, key });
  return {
    title,
    vendor: "AUTOMATIC1111",
    runtimes: [],
    edits: true,
    async look(signal) {
      const models = modelsSchema.parse(await upstream.json("/sdapi/v1/sd-models", { signal }));
      const options = optionsSchema.parse(await upstream.json("/sdapi/v1/options", { signal }));
      const inUse = models.find((model) => model.title === options.sd_model_checkpoint)?.model_name;
      const names = models.map((model) => model.model_name);
      return { version: "", models: inUse === undefined ? names : [...new Set([inUse, ...names])] };
    },
    async make(order, making) {
      const asked = upstream.json(`/sdapi/v1/${order.source === undefined ? "txt2img" : "img2img"}`, {
        json: toPayload(order),
        signal: making.signal,
        timeoutMs: makingMs,
        bytesMax: answerBytesMax,
      });
      const { images } = answerSchema.parse(await withProgress(upstream, asked, making));
      // Beyond those asked for there may be a grid of all of them.
      return images.slice(0, order.count).map((text) => pictureFrom(title, decode(text)));
    },
  };
}

function toPayload({ source, ...order }: ImageOrder): object {
  const payload = {
    prompt: order.prompt,
    negative_prompt: order.negativePrompt,
    width: order.width,
    height: order.height,
    batch_size: order.count,
    seed: order.seed,
    steps: order.steps,
    cfg_scale: order.guidance,
    override_settings: { sd_model_checkpoint: order.model },
    override_settings_restore_afterwards: false,
    send_images: true,
    save_images: false,
  };
  if (source === undefined) return payload;
  const masked =
    source.mask === undefined
      ? {}
      : { mask: source.mask.bytes.toString("base64"), inpainting_fill: originalContent, inpaint_full_res: false };
  return {
    ...payload,
    init_images: [source.image.bytes.toString("base64")],
    denoising_strength: source.strength,
    ...masked,
  };
}

/** Asks how far it is while it works. When the request aborts the server is told: it would work on by itself. */
async function withProgress(upstream: Upstream, asked: Promise<unknown>, making: Making): Promise<unknown> {
  const over = new AbortController();
  const watching = watch(upstream, making, over.signal);
  try {
    return await asked;
  } catch (error) {
    if (making.signal.aborted) {
      const signal = AbortSignal.timeout(interruptMs);
      await upstream.ask("/sdapi/v1/interrupt", { method: "POST", signal }).catch(() => {});
    }
    throw error;
  } finally {
    over.abort();
    await watching;
  }
}

/** Progress is a courtesy: what fails here fails in silence. */
async function watch(upstream: Upstream, { onProgress }: Making, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await pause(progressMs, undefined, { signal });
      const { progress, current_image: image } = progressSchema.parse(
        await upstream.json("/sdapi/v1/progress?skip_current_image=false", { signal }),
      );
      const preview: Picture | undefined = image == null ? undefined : toPicture(decode(image));
      onProgress({ fraction: Math.min(1, Math.max(0, progress)), preview });
    } catch {
      if (signal.aborted) return;
    }
  }
}

function decode(text: string): Buffer {
  return Buffer.from(text.replace(/^data:[^,]*,/, ""), "base64");
}
