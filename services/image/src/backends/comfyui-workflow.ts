import { type ComfyUiWorkflow, fillComfyUiWorkflow } from "nexus/service-kit";
import type { ImageOrder } from "../image-order.ts";
import type { UploadedFiles } from "./comfyui.ts";

type Link = readonly [node: string, output: number];

/** The workflow that every installation can run: a checkpoint, its sampler and its decoder. */
export function checkpointWorkflow(order: ImageOrder, files: UploadedFiles): ComfyUiWorkflow {
  const [model, clip, vae]: readonly Link[] = [
    ["checkpoint", 0],
    ["checkpoint", 1],
    ["checkpoint", 2],
  ];
  const text = (words: string) => ({ class_type: "CLIPTextEncode", inputs: { text: words, clip } });
  return {
    checkpoint: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: order.model } },
    positive: text(order.prompt),
    negative: text(order.negativePrompt),
    ...latentNodes(order, files, vae),
    sampler: {
      class_type: "KSampler",
      inputs: {
        model,
        positive: ["positive", 0],
        negative: ["negative", 0],
        latent_image: ["latent", 0],
        seed: order.seed,
        steps: order.steps,
        cfg: order.guidance,
        sampler_name: "euler",
        scheduler: "normal",
        denoise: order.source?.strength ?? 1,
      },
    },
    decoded: { class_type: "VAEDecode", inputs: { samples: ["sampler", 0], vae } },
    // Saved among temporary files: the owner's output folder is not ours to fill.
    saved: { class_type: "PreviewImage", inputs: { images: ["decoded", 0] } },
  };
}

/** What the sampler begins with: noise, or a picture, of which a mask may hold a part. */
function latentNodes({ width, height, count }: ImageOrder, { image, mask }: UploadedFiles, vae: Link | undefined) {
  if (image === undefined) {
    return { latent: { class_type: "EmptyLatentImage", inputs: { width, height, batch_size: count } } };
  }
  const scale = (from: Link) => ({
    class_type: "ImageScale",
    inputs: { image: from, width, height, upscale_method: "lanczos", crop: "disabled" },
  });
  const repeat = (from: Link) => ({ class_type: "RepeatLatentBatch", inputs: { samples: from, amount: count } });
  const encoded = {
    source: { class_type: "LoadImage", inputs: { image } },
    scaled: scale(["source", 0]),
    encoded: { class_type: "VAEEncode", inputs: { pixels: ["scaled", 0], vae } },
  };
  if (mask === undefined) return { ...encoded, latent: repeat(["encoded", 0]) };
  return {
    ...encoded,
    maskSource: { class_type: "LoadImage", inputs: { image: mask } },
    maskScaled: scale(["maskSource", 0]),
    mask: { class_type: "ImageToMask", inputs: { image: ["maskScaled", 0], channel: "red" } },
    masked: { class_type: "SetLatentNoiseMask", inputs: { samples: ["encoded", 0], mask: ["mask", 0] } },
    latent: repeat(["masked", 0]),
  };
}

/** The owner's workflow with a request's values in the places that are marked `%name%`. */
export function fillWorkflow(
  workflow: ComfyUiWorkflow,
  order: ImageOrder,
  { image, mask }: UploadedFiles,
): ComfyUiWorkflow {
  return fillComfyUiWorkflow(workflow, {
    prompt: order.prompt,
    negative_prompt: order.negativePrompt,
    width: order.width,
    height: order.height,
    count: order.count,
    seed: order.seed,
    steps: order.steps,
    guidance: order.guidance,
    strength: order.source?.strength,
    image,
    mask,
  });
}
