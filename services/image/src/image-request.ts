import { randomInt } from "node:crypto";
import { NexusError } from "nexus/base";
import { describeIssues } from "nexus/contract";
import { type FormFile, readPictureHead, type ServiceRequest } from "nexus/service-kit";
import { z } from "zod";
import type { ImageOrder, Picture, Source } from "./image-order.ts";
import { toMask } from "./mask.ts";
import type { ImageSettings } from "./settings.ts";
import { toPicture } from "./to-picture.ts";

/** Forms say numbers as texts. */
const number = z.coerce.number();
const link = z.union([z.string(), z.looseObject({ image_url: z.string() })]);
const requestSchema = z.looseObject({
  model: z.string(),
  prompt: z.string().max(32_000).nullish(),
  n: number.int().min(1).max(10).nullish(),
  size: z
    .string()
    .regex(/^(auto|\d{2,4}x\d{2,4})$/, 'such as "1024x1024", or "auto"')
    .nullish(),
  response_format: z.enum(["b64_json", "url"]).nullish(),
  stream: z.boolean().nullish(),
  partial_images: number.int().min(0).max(3).nullish(),
  images: z.array(link).max(16).nullish(),
  image: z.union([link, z.array(link).max(16)]).nullish(),
  mask: link.nullish(),
  // Beyond OpenAI's API; named as in diffusers and most servers.
  negative_prompt: z.string().max(32_000).nullish(),
  seed: number.int().min(0).max(4_294_967_295).nullish(),
  steps: number.int().min(1).max(200).nullish(),
  guidance_scale: number.min(0).max(50).nullish(),
  strength: number.min(0).max(1).nullish(),
});
type Fields = z.output<typeof requestSchema>;

/** What kind of picture is asked for. */
export type ImageTask = "generate" | "edit" | "variation";

/** A checked request: what to make, and how to answer. */
export interface ImageRequest {
  readonly order: ImageOrder;
  readonly stream: boolean;
  readonly partialImages: number;
  /** Answer with `url`, a data: URL, in place of `b64_json`. */
  readonly asUrl: boolean;
}

/** Fields of OpenAI's that are handed on to servers of its shape. */
const passedOn = [
  "quality",
  "background",
  "style",
  "moderation",
  "output_format",
  "output_compression",
  "input_fidelity",
  "user",
];
/** Keeps about the picture's composition; what ComfyUI's and A1111's panels begin with. */
const editStrength = 0.75;
const variationStrength = 0.6;
const pixelsMax = 4_194_304;
/** Latents are an eighth of the picture. */
const grain = 8;

function wrong(param: string, message: string): NexusError {
  return new NexusError("invalid_request", message, { param });
}

/** @throws NexusError `invalid_request` that names the field at fault; `unsupported_feature` for several sources. */
export function parseImageRequest(
  { body, files }: Pick<ServiceRequest, "body" | "files">,
  task: ImageTask,
  defaults: ImageSettings["defaults"],
): ImageRequest {
  const fields = parseFields(body);
  const prompt = fields.prompt ?? "";
  if (prompt === "" && task !== "variation") throw wrong("prompt", "`prompt` must say what is to be seen.");
  const count = fields.n ?? 1;
  const stream = fields.stream === true;
  if (stream && count > 1) throw wrong("n", "Only one picture can be streamed: set `n` to 1.");
  const source = task === "generate" ? undefined : sourceOf(fields, files, task);
  return {
    order: {
      model: fields.model,
      prompt,
      negativePrompt: fields.negative_prompt ?? "",
      ...sizeOf(fields.size ?? "auto", source, defaults),
      count,
      // Up to ten pictures count on from it.
      seed: fields.seed ?? randomInt(4_294_967_285),
      steps: fields.steps ?? defaults.steps,
      guidance: fields.guidance_scale ?? defaults.guidance,
      source,
      extra: Object.fromEntries(passedOn.flatMap((name) => (fields[name] == null ? [] : [[name, fields[name]]]))),
    },
    stream,
    partialImages: fields.partial_images ?? 0,
    asUrl: fields.response_format === "url",
  };
}

function parseFields(body: unknown): Fields {
  const result = requestSchema.safeParse(body);
  if (result.success) return result.data;
  const param = result.error.issues[0]?.path[0];
  throw new NexusError(
    "invalid_request",
    describeIssues(result.error),
    param === undefined ? {} : { param: String(param) },
  );
}

function sizeOf(size: string, source: Source | undefined, defaults: ImageSettings["defaults"]) {
  const found = /^(\d+)x(\d+)$/.exec(size);
  const head = source === undefined ? undefined : readPictureHead(source.image.bytes);
  const [width, height] =
    found === null
      ? [head?.width ?? defaults.width, head?.height ?? defaults.height]
      : [Number(found[1]), Number(found[2])];
  if (found !== null && (width % grain !== 0 || height % grain !== 0)) {
    throw wrong("size", `\`size\` must be in steps of ${grain} pixels.`);
  }
  const fitted = { width: fit(width), height: fit(height) };
  if (fitted.width * fitted.height <= pixelsMax) return fitted;
  throw wrong(
    found === null ? "image" : "size",
    "The picture would have more than 4 million pixels. Set a smaller `size`.",
  );
}

function fit(pixels: number): number {
  return Math.max(64, Math.floor(pixels / grain) * grain);
}

function sourceOf(fields: Fields, files: readonly FormFile[], task: ImageTask): Source {
  const sent = [
    ...files.filter(({ name }) => name === "image").map(({ bytes }) => bytes),
    ...[fields.images ?? [], fields.image ?? []].flat().map(readLink),
  ];
  const [first] = sent;
  if (first === undefined) throw wrong("image", "`image` must be the picture to start from.");
  if (sent.length > 1) {
    throw new NexusError("unsupported_feature", "This service starts from one picture.", { param: "image" });
  }
  const image = mustBePicture("image", first);
  const mask =
    files.find(({ name }) => name === "mask")?.bytes ?? (fields.mask == null ? undefined : readLink(fields.mask));
  return {
    image,
    mask: mask === undefined || task === "variation" ? undefined : { bytes: toMask(mask), type: "image/png" },
    strength: fields.strength ?? (task === "variation" ? variationStrength : mask === undefined ? editStrength : 1),
  };
}

function mustBePicture(param: string, bytes: Buffer): Picture {
  const picture = toPicture(bytes);
  const head = readPictureHead(bytes);
  if (picture === undefined || head === undefined)
    throw wrong(param, `\`${param}\` must be a PNG, JPEG or WebP picture.`);
  if (head.width * head.height > 4 * pixelsMax) throw wrong(param, `\`${param}\` has more than 16 million pixels.`);
  return picture;
}

/** Addresses that clients choose are not fetched: they could look around in the owner's network. */
function readLink(given: z.output<typeof link>): Buffer {
  const [, data] = /^data:[^,]{0,200};base64,(.*)$/s.exec(typeof given === "string" ? given : given.image_url) ?? [];
  if (data === undefined) throw wrong("image", "Pictures in JSON must be data: URLs in base64.");
  return Buffer.from(data, "base64");
}
