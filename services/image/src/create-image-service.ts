import { NexusError } from "nexus/base";
import { defineService, eventStream, json, type Service, type ServiceRequest, watchBackend } from "nexus/service-kit";
import { describePicture, looksOf } from "./describe-picture.ts";
import type { BackendView, ImageBackend } from "./image-backend.ts";
import { type ImageRequest, type ImageTask, parseImageRequest } from "./image-request.ts";
import type { ImageSettings } from "./settings.ts";
import { streamPictures } from "./stream-pictures.ts";

export interface ImageServiceOptions {
  readonly settings: Pick<ImageSettings, "models" | "parallel" | "defaults">;
  readonly backend: ImageBackend;
  readonly version: string;
}

/** Bytes of one request: a picture and its mask, in base64. */
const bodyBytesMax = 64 * 1024 * 1024;

/** Pictures in OpenAI's API, made by whatever backend stands behind it. */
export function createImageService({ settings, backend, version }: ImageServiceOptions): Service {
  let view: BackendView | undefined;
  const offered = (): readonly string[] => {
    const models = view?.models ?? [];
    return settings.models.length === 0 ? models : models.filter((model) => settings.models.includes(model));
  };
  const serve = async (request: ServiceRequest, task: ImageTask) => {
    const parsed = parseImageRequest(request, task, settings.defaults);
    if (parsed.stream) {
      const kind = task === "generate" ? "image_generation" : "image_edit";
      return eventStream(streamPictures(backend, parsed, { kind, signal: request.signal }), { typed: true });
    }
    return json(await answer(backend, parsed, request.signal));
  };
  return defineService({
    name: "image",
    version,
    description: `Pictures made by ${backend.title}.`,
    backend: { name: backend.title, vendor: backend.vendor },
    capabilities: {
      domains: ["image"],
      modalities: { input: backend.edits ? ["text", "image"] : ["text"], output: ["image"] },
      streaming: true,
      max_concurrency: settings.parallel,
      features: ["seed", "steps", "negative_prompt", "progress", "cancel", ...(backend.edits ? ["edit", "mask"] : [])],
    },
    requires: { runtimes: [...backend.runtimes] },
    ui: { options: uiOptions(settings.defaults) },
    navigation: { section: "image", title: "Pictures", icon: "image", order: 40 },
    limits: { bodyBytesMax, queueMax: 16 },
    models: () => offered().map((id) => ({ id: id.slice(0, 256), domains: ["image"], state: "available" as const })),
    handlers: {
      "images.generate": (request) => serve(request, "generate"),
      ...(backend.edits
        ? {
            "images.edit": (request: ServiceRequest) => serve(request, "edit"),
            "images.create_variation": (request: ServiceRequest) => serve(request, "variation"),
          }
        : {}),
    },
    start(context) {
      void watchBackend({
        backend: { ...backend, hint: "Start it, or say in NEXUS_IMAGE_URL where it is." },
        context,
        onView(found) {
          view = found;
        },
      });
    },
  });
}

async function answer(backend: ImageBackend, { order, asUrl }: ImageRequest, signal: AbortSignal) {
  const pictures = await backend.make(order, { signal, onProgress: () => {} });
  const [first] = pictures;
  if (first === undefined) throw new NexusError("backend_error", `${backend.title} made no picture.`);
  return {
    created: Math.floor(Date.now() / 1000),
    data: pictures.map((picture) => describePicture(picture, asUrl)),
    ...looksOf(first, order),
  };
}

function uiOptions({ width, height, steps, guidance }: ImageSettings["defaults"]) {
  const integer = { type: "integer" as const, min: 1 };
  return [
    { key: "negative_prompt", label: "Not to be seen", type: "text" as const },
    { key: "size", label: "Size", type: "string" as const, default: `${width}x${height}` },
    { key: "n", label: "How many", ...integer, default: 1, max: 10 },
    { key: "steps", label: "Steps", ...integer, default: steps, max: 200 },
    { key: "guidance_scale", label: "Guidance", type: "number" as const, default: guidance, min: 0, max: 50 },
    {
      key: "seed",
      label: "Seed",
      type: "integer" as const,
      min: 0,
      description: "The same seed makes the same picture.",
    },
  ];
}
