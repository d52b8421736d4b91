import { NexusError } from "nexus/base";
import { z } from "zod";
import type { ImageOrder } from "../image-order.ts";
import type { UploadedFiles } from "./comfyui.ts";

const nodeSchema = z.looseObject({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) });
const workflowSchema = z.record(z.string(), nodeSchema);
/** Nodes by id, as `POST /prompt` takes them. An input that is a list of an id and a number is another node's output. */
export type Workflow = z.output<typeof workflowSchema>;

type Link = readonly [node: string, output: number];

/** The workflow that every installation can run: a checkpoint, its sampler and its decoder. */
export function checkpointWorkflow(order: ImageOrder, files: UploadedFiles): Workflow {
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

/**
 * Reads a workflow that was exported from ComfyUI with "Export (API)".
 * @throws NexusError `invalid_request` for anything else.
 */
export function parseWorkflow(text: string): Workflow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new NexusError("invalid_request", "NEXUS_IMAGE_WORKFLOW is no JSON.", { cause: error });
  }
  const result = workflowSchema.safeParse(value);
  if (result.success && text.includes('"%prompt%"')) return result.data;
  throw new NexusError(
    "invalid_request",
    'NEXUS_IMAGE_WORKFLOW must be exported with "Export (API)", and have "%prompt%" where the prompt belongs.',
  );
}

/** The owner's workflow with a request's values in the places that are marked `%name%`. */
export function fillWorkflow(workflow: Workflow, order: ImageOrder, { image, mask }: UploadedFiles): Workflow {
  const values: Readonly<Record<string, string | number | undefined>> = {
    "%prompt%": order.prompt,
    "%negative_prompt%": order.negativePrompt,
    "%width%": order.width,
    "%height%": order.height,
    "%count%": order.count,
    "%seed%": order.seed,
    "%steps%": order.steps,
    "%guidance%": order.guidance,
    "%strength%": order.source?.strength,
    "%image%": image,
    "%mask%": mask,
  };
  const fill = (value: unknown): unknown => (typeof value === "string" ? (values[value] ?? value) : value);
  return Object.fromEntries(
    Object.entries(workflow).map(([id, node]) => {
      const inputs = Object.fromEntries(Object.entries(node.inputs).map(([name, value]) => [name, fill(value)]));
      return [id, { ...node, inputs }];
    }),
  );
}
