import { NexusError } from "nexus/base";
import { createUpstream, type Upstream } from "nexus/service-kit";
import { z } from "zod";
import type { ImageBackend } from "../image-backend.ts";
import type { ImageOrder, Picture } from "../image-order.ts";
import { pictureFrom } from "../to-picture.ts";

const title = "The image server";
const modelsSchema = z.looseObject({ data: z.array(z.looseObject({ id: z.string() })) });
const answerSchema = z.looseObject({
  data: z.array(z.looseObject({ b64_json: z.string().nullish(), url: z.string().nullish() })),
});

const makingMs = 3_600_000;
const answerBytesMax = 256 * 1024 * 1024;

/** Any server with OpenAI's images API: LocalAI, stable-diffusion.cpp's server, vLLM-Omni, OpenAI itself. */
export function createOpenAi(baseUrl: string, key: string | undefined): ImageBackend {
  const upstream = createUpstream({ baseUrl, title, key });
  return {
    title,
    vendor: "",
    runtimes: [],
    edits: true,
    async look(signal) {
      const { data } = modelsSchema.parse(await upstream.json("/v1/models", { signal }));
      return { version: "", models: data.map(({ id }) => id) };
    },
    async make(order, { signal }) {
      const call = { signal, timeoutMs: makingMs, bytesMax: answerBytesMax };
      const answer =
        order.source === undefined
          ? await upstream.json("/v1/images/generations", { ...call, json: toFields(order) })
          : await upstream.json("/v1/images/edits", { ...call, form: toForm(order, order.source) });
      const { data } = answerSchema.parse(answer);
      return await Promise.all(data.map((one) => toPicture(upstream, baseUrl, one, signal)));
    },
  };
}

/** What OpenAI's API has no name for goes along under the names that open servers gave it. */
function toFields({ source: _source, extra, ...order }: ImageOrder): Record<string, unknown> {
  const isOpenAis = /^(gpt-image|dall-e|chatgpt-image)/.test(order.model);
  const fields = {
    ...extra,
    model: order.model,
    prompt: order.prompt,
    n: order.count,
    size: `${order.width}x${order.height}`,
  };
  if (isOpenAis) return order.model.startsWith("dall-e") ? { ...fields, response_format: "b64_json" } : fields;
  return {
    ...fields,
    response_format: "b64_json",
    ...(order.negativePrompt === "" ? {} : { negative_prompt: order.negativePrompt }),
    seed: order.seed,
    steps: order.steps,
    guidance_scale: order.guidance,
  };
}

function toForm(order: ImageOrder, { image, mask, strength }: NonNullable<ImageOrder["source"]>): FormData {
  const form = new FormData();
  const add = (name: string, { bytes, type }: Picture) =>
    form.append(name, new Blob([new Uint8Array(bytes)], { type }), `${name}.${type.slice("image/".length)}`);
  const fields = { ...toFields(order), ...("seed" in toFields(order) ? { strength } : {}) };
  for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
  add("image", image);
  if (mask !== undefined) add("mask", mask);
  return form;
}

/** A link is followed only to the server itself: its answers must not send this service around in the network. */
async function toPicture(
  upstream: Upstream,
  baseUrl: string,
  { b64_json: encoded, url }: { b64_json?: string | null | undefined; url?: string | null | undefined },
  signal: AbortSignal,
): Promise<Picture> {
  if (encoded != null) return pictureFrom(title, Buffer.from(encoded, "base64"));
  const [, inline] = /^data:[^,]{0,200};base64,(.*)$/s.exec(url ?? "") ?? [];
  if (inline !== undefined) return pictureFrom(title, Buffer.from(inline, "base64"));
  const link = url != null && URL.canParse(url, baseUrl) ? new URL(url, baseUrl) : undefined;
  if (link === undefined || link.origin !== new URL(baseUrl).origin) {
    throw new NexusError("backend_error", `${title} gave no picture, but a link to another place.`, {
      source: "service",
    });
  }
  const below = new URL(baseUrl).pathname.replace(/\/$/, "");
  const path = `${link.pathname}${link.search}`;
  const { bytes } = await upstream.fetch(path.startsWith(below) ? path.slice(below.length) : path, { signal });
  return pictureFrom(title, bytes);
}
