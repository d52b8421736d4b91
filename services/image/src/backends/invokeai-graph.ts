import type { ImageOrder } from "../image-order.ts";

/** A model as InvokeAI names it. */
export interface InvokeModel {
  readonly key: string;
  readonly hash: string;
  readonly name: string;
  readonly base: string;
  readonly type: string;
}

/** Names under which InvokeAI keeps what was sent to it. */
export interface UploadedNames {
  readonly image?: string;
  readonly mask?: string;
}

/** The node that makes the picture. */
export const imageNode = "decoded";

type Node = Readonly<Record<string, unknown>> & { readonly type: string };

/** A graph for Stable Diffusion 1, 2 and XL: load, read the prompts, make noise, take it away, decode. */
export function toGraph(order: ImageOrder, model: InvokeModel, names: UploadedNames): object {
  const isXl = model.base === "sdxl";
  const text = (words: string): Node =>
    isXl ? { type: "sdxl_compel_prompt", prompt: words, style: words } : { type: "compel", prompt: words };
  const { width, height, seed, steps, guidance, source } = order;
  const nodes: Record<string, Node> = {
    model: { type: isXl ? "sdxl_model_loader" : "main_model_loader", model },
    positive: text(order.prompt),
    negative: text(order.negativePrompt),
    noise: { type: "noise", width, height, seed, use_cpu: true },
    denoised: {
      type: "denoise_latents",
      steps,
      cfg_scale: guidance,
      scheduler: "euler",
      denoising_start: source === undefined ? 0 : 1 - source.strength,
      denoising_end: 1,
    },
    [imageNode]: { type: "l2i", is_intermediate: false },
  };
  const edges = [
    ...["positive", "negative"].flatMap((node) => [
      edge("model.clip", `${node}.clip`),
      ...(isXl ? [edge("model.clip2", `${node}.clip2`)] : []),
      edge(`${node}.conditioning`, `denoised.${node}_conditioning`),
    ]),
    edge("model.unet", "denoised.unet"),
    edge("noise.noise", "denoised.noise"),
    edge("denoised.latents", `${imageNode}.latents`),
    edge("model.vae", `${imageNode}.vae`),
  ];
  if (names.image !== undefined) addSource({ nodes, edges }, order, names.image);
  if (names.mask !== undefined) addMask({ nodes, edges }, order, names.mask);
  return { id: "nexus", nodes: withIds(nodes), edges };
}

interface Graph {
  readonly nodes: Record<string, Node>;
  readonly edges: object[];
}

function addSource({ nodes, edges }: Graph, { width, height }: ImageOrder, name: string): void {
  nodes.scaled = { type: "img_resize", image: { image_name: name }, width, height };
  nodes.encoded = { type: "i2l" };
  edges.push(
    edge("scaled.image", "encoded.image"),
    edge("model.vae", "encoded.vae"),
    edge("encoded.latents", "denoised.latents"),
  );
}

/** InvokeAI's masks are black where the picture changes. */
function addMask({ nodes, edges }: Graph, { width, height }: ImageOrder, name: string): void {
  nodes.maskScaled = { type: "img_resize", image: { image_name: name }, width, height };
  nodes.maskInverted = { type: "img_lerp", min: 255, max: 0 };
  nodes.mask = { type: "create_denoise_mask" };
  edges.push(
    edge("maskScaled.image", "maskInverted.image"),
    edge("maskInverted.image", "mask.mask"),
    edge("scaled.image", "mask.image"),
    edge("model.vae", "mask.vae"),
    edge("mask.denoise_mask", "denoised.denoise_mask"),
  );
}

/** `node.field` to `node.field`. */
function edge(from: string, to: string): object {
  const end = (place: string) => {
    const [node = "", field = ""] = place.split(".");
    return { node_id: node, field };
  };
  return { source: end(from), destination: end(to) };
}

/** Whatever lies between is for this one use only. */
function withIds(nodes: Readonly<Record<string, Node>>): object {
  return Object.fromEntries(
    Object.entries(nodes).map(([id, node]) => [id, { id, is_intermediate: true, use_cache: false, ...node }]),
  );
}
