import { setTimeout as pause } from "node:timers/promises";
import { NexusError } from "nexus/base";
import { createUpstream, type Upstream } from "nexus/service-kit";
import { z } from "zod";
import type { ImageBackend } from "../image-backend.ts";
import type { ImageOrder, Picture } from "../image-order.ts";
import { pictureFrom } from "../to-picture.ts";
import { type InvokeModel, imageNode, toGraph, type UploadedNames } from "./invokeai-graph.ts";

const title = "InvokeAI";
const modelSchema = z.looseObject({
  key: z.string(),
  hash: z.string(),
  name: z.string(),
  base: z.string(),
  type: z.string(),
});
const modelsSchema = z.looseObject({ models: z.array(modelSchema) });
const enqueuedSchema = z.looseObject({
  batch: z.looseObject({ batch_id: z.string() }),
  item_ids: z.array(z.number()).min(1),
});
/** Nodes run under other names than they were sent under: the mapping leads from ours to theirs. */
const sessionSchema = z.looseObject({
  results: z.record(z.string(), z.unknown()).default({}),
  source_prepared_mapping: z.record(z.string(), z.array(z.string())).default({}),
});
const itemSchema = z.looseObject({
  status: z.enum(["pending", "in_progress", "waiting", "completed", "failed", "canceled"]).catch("in_progress"),
  error_message: z.string().nullish(),
  session: sessionSchema.optional(),
});
const resultSchema = z.looseObject({ image: z.looseObject({ image_name: z.string() }) });

const queue = "/api/v1/queue/default";
const lookMs = 500;
const cancelMs = 5_000;

/** InvokeAI: a graph is queued for each picture, asked for until it is done, and its picture fetched. */
export function createInvokeAi(baseUrl: string, key: string | undefined): ImageBackend {
  const upstream = createUpstream({ baseUrl, title, key });
  const listModels = async (signal: AbortSignal): Promise<readonly InvokeModel[]> => {
    const { models } = modelsSchema.parse(await upstream.json("/api/v2/models/?model_type=main", { signal }));
    return models.filter(({ base }) => ["sd-1", "sd-2", "sdxl"].includes(base));
  };
  return {
    title,
    vendor: "Invoke",
    runtimes: [],
    edits: true,
    async look(signal) {
      const { version } = z
        .looseObject({ version: z.string() })
        .parse(await upstream.json("/api/v1/app/version", { signal }));
      return { version, models: (await listModels(signal)).map(({ name }) => name) };
    },
    async make(order, { signal, onProgress }) {
      const model = (await listModels(signal)).find(({ name }) => name === order.model);
      if (model === undefined)
        throw new NexusError("model_not_found", `${title} has this model no more.`, { param: "model" });
      const names = await uploadSource(upstream, order, signal);
      const pictures: Picture[] = [];
      for (let index = 0; index < order.count; index++) {
        const graph = toGraph({ ...order, seed: order.seed + index }, model, names);
        pictures.push(await runGraph(upstream, graph, signal));
        onProgress({ fraction: pictures.length / order.count, preview: undefined });
      }
      return pictures;
    },
  };
}

async function uploadSource(upstream: Upstream, { source }: ImageOrder, signal: AbortSignal): Promise<UploadedNames> {
  if (source === undefined) return {};
  const upload = async ({ bytes, type }: Picture): Promise<string> => {
    const form = new FormData();
    form.append("file", new Blob([new Uint8Array(bytes)], { type }), `nexus.${type.slice("image/".length)}`);
    const path = "/api/v1/images/upload?image_category=user&is_intermediate=true";
    return z.looseObject({ image_name: z.string() }).parse(await upstream.json(path, { form, signal })).image_name;
  };
  const image = await upload(source.image);
  return source.mask === undefined ? { image } : { image, mask: await upload(source.mask) };
}

async function runGraph(upstream: Upstream, graph: object, signal: AbortSignal): Promise<Picture> {
  const body = { batch: { graph, runs: 1, origin: "nexus" }, prepend: false };
  const { batch, item_ids: ids } = enqueuedSchema.parse(
    await upstream.json(`${queue}/enqueue_batch`, { json: body, signal }),
  );
  try {
    for (;;) {
      const item = itemSchema.parse(await upstream.json(`${queue}/i/${ids[0]}`, { signal }));
      if (item.status === "completed") return await fetchPicture(upstream, item.session, signal);
      if (item.status === "failed" || item.status === "canceled") throw failed(item.error_message ?? item.status);
      await pause(lookMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  } catch (error) {
    if (signal.aborted) {
      const json = { batch_ids: [batch.batch_id] };
      const telling = { method: "PUT", json, signal: AbortSignal.timeout(cancelMs) } as const;
      await upstream.ask(`${queue}/cancel_by_batch_ids`, telling).catch(() => {});
    }
    throw error;
  }
}

function failed(detail: string): NexusError {
  return new NexusError("backend_error", `${title} could not make the picture; its own log says why.`, {
    detail,
    source: "service",
  });
}

async function fetchPicture(
  upstream: Upstream,
  session: z.output<typeof sessionSchema> | undefined,
  signal: AbortSignal,
): Promise<Picture> {
  const node = session?.source_prepared_mapping[imageNode]?.[0] ?? imageNode;
  const name = resultSchema.safeParse(session?.results[node]).data?.image.image_name;
  if (name === undefined) throw failed(`no picture of ${imageNode}`);
  const { bytes } = await upstream.fetch(`/api/v1/images/i/${encodeURIComponent(name)}/full`, { signal });
  // What it made for others stays; this one was only for us.
  void upstream
    .ask(`/api/v1/images/i/${encodeURIComponent(name)}`, { method: "DELETE", signal: AbortSignal.timeout(cancelMs) })
    .catch(() => {});
  return pictureFrom(title, bytes);
}
