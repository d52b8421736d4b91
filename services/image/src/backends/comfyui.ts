import { randomUUID } from "node:crypto";
import { NexusError } from "nexus/base";
import { type ComfyUiWorkflow, createUpstream, type Upstream } from "nexus/service-kit";
import { z } from "zod";
import type { ImageBackend, Making } from "../image-backend.ts";
import type { ImageOrder, Picture } from "../image-order.ts";
import { pictureFrom } from "../to-picture.ts";
import { checkpointWorkflow, fillWorkflow } from "./comfyui-workflow.ts";
import { followComfyUi } from "./follow-comfyui.ts";

export interface ComfyUiOptions {
  readonly baseUrl: string;
  readonly key: string | undefined;
  /** The owner's own workflow, and the name that it is offered under; the built-in one for checkpoints without it. */
  readonly workflow: { readonly name: string; readonly nodes: ComfyUiWorkflow } | undefined;
}

const title = "ComfyUI";
const statsSchema = z.looseObject({ system: z.looseObject({ comfyui_version: z.string().optional() }) });
const names = z.array(z.string());
/** Of a choice: the names themselves, and in newer versions `["COMBO", {"options": names}]`. */
const choiceSchema = z.union([
  z
    .tuple([names])
    .rest(z.unknown())
    .transform(([options]) => options),
  z
    .tuple([z.string(), z.looseObject({ options: names })])
    .rest(z.unknown())
    .transform(([, { options }]) => options),
]);
const loaderSchema = z.looseObject({
  CheckpointLoaderSimple: z.looseObject({
    input: z.looseObject({ required: z.looseObject({ ckpt_name: choiceSchema }) }),
  }),
});
const queuedSchema = z.looseObject({ prompt_id: z.string() });
const file = z.looseObject({
  filename: z.string(),
  subfolder: z.string().default(""),
  type: z.string().default("output"),
});
const entrySchema = z.looseObject({
  outputs: z.record(z.string(), z.looseObject({ images: z.array(file).optional() })),
  status: z.looseObject({ status_str: z.string(), completed: z.boolean() }).optional(),
});
type Entry = z.output<typeof entrySchema>;
const queueSchema = z.looseObject({
  queue_running: z.array(z.array(z.unknown())),
  queue_pending: z.array(z.array(z.unknown())),
});

/** How often the history is asked while the WebSocket says nothing. It is the history that decides. */
const lookMs = 1_000;
/** What is left of a request after it was cancelled must be told soon, whatever the client does. */
const cancelMs = 5_000;

/** ComfyUI: a workflow is queued, followed over its WebSocket, and fetched from its history. */
export function createComfyUi({ baseUrl, key, workflow }: ComfyUiOptions): ImageBackend {
  const upstream = createUpstream({ baseUrl, title, key });
  return {
    title,
    vendor: "Comfy Org",
    runtimes: [],
    edits: workflow === undefined || JSON.stringify(workflow.nodes).includes('"%image%"'),
    async look(signal) {
      const stats = statsSchema.parse(await upstream.json("/system_stats", { signal }));
      const version = stats.system.comfyui_version ?? "";
      if (workflow !== undefined) return { version, models: [workflow.name] };
      const info = loaderSchema.parse(await upstream.json("/object_info/CheckpointLoaderSimple", { signal }));
      return { version, models: info.CheckpointLoaderSimple.input.required.ckpt_name };
    },
    async make(order, making) {
      const files = await uploadSource(upstream, order, making.signal);
      const nodes =
        workflow === undefined ? checkpointWorkflow(order, files) : fillWorkflow(workflow.nodes, order, files);
      return await run(upstream, { baseUrl, key, nodes }, making);
    },
  };
}

/** Names under which ComfyUI keeps what was sent to it. */
export interface UploadedFiles {
  readonly image?: string;
  readonly mask?: string;
}

async function uploadSource(upstream: Upstream, { source }: ImageOrder, signal: AbortSignal): Promise<UploadedFiles> {
  if (source === undefined) return {};
  const upload = async ({ bytes, type }: Picture): Promise<string> => {
    const form = new FormData();
    form.append(
      "image",
      new Blob([new Uint8Array(bytes)], { type }),
      `nexus-${randomUUID()}.${type.slice("image/".length)}`,
    );
    form.append("type", "temp");
    const answer = await upstream.json("/upload/image", { form, signal });
    const { name, type: place } = z.looseObject({ name: z.string(), type: z.string().default("temp") }).parse(answer);
    return `${name} [${place}]`;
  };
  const image = await upload(source.image);
  return source.mask === undefined ? { image } : { image, mask: await upload(source.mask) };
}

interface Run {
  readonly baseUrl: string;
  readonly key: string | undefined;
  readonly nodes: ComfyUiWorkflow;
}

async function run(upstream: Upstream, { baseUrl, key, nodes }: Run, making: Making): Promise<readonly Picture[]> {
  const { signal } = making;
  const clientId = randomUUID();
  const follower = followComfyUi({ baseUrl, key, clientId, onProgress: making.onProgress });
  let id: string | undefined;
  try {
    await follower.opened();
    const body = { prompt: nodes, client_id: clientId };
    id = queuedSchema.parse(await upstream.json("/prompt", { json: body, signal })).prompt_id;
    follower.expect(id);
    for (;;) {
      const entry = await finished(upstream, id, signal);
      if (entry !== undefined) return await fetchPictures(upstream, entry, signal);
      await follower.news(lookMs, signal);
    }
  } catch (error) {
    if (signal.aborted && id !== undefined) await cancel(upstream, id).catch(() => {});
    throw error;
  } finally {
    follower.close();
    if (id !== undefined) void forget(upstream, id).catch(() => {});
  }
}

/** The prompt's entry in the history, once it is over. @throws NexusError when it failed, or nobody knows it any more. */
async function finished(upstream: Upstream, id: string, signal: AbortSignal): Promise<Entry | undefined> {
  const look = async () => z.looseObject({}).parse(await upstream.json(`/history/${id}`, { signal }))[id];
  const found = await look();
  if (found === undefined) {
    if ((await placeOf(upstream, id, signal)) !== undefined) return undefined;
    // Between the two looks it may have moved from the queue into the history.
    if ((await look()) !== undefined) return undefined;
    throw new NexusError("backend_disconnected", `${title} has forgotten the request: it was started anew.`, {
      source: "service",
    });
  }
  const entry = entrySchema.parse(found);
  if (entry.status === undefined || entry.status.status_str === "success") return entry;
  throw new NexusError("backend_error", `${title} could not make the picture; its own log says why.`, {
    detail: JSON.stringify(entry.status).slice(0, 2_000),
    source: "service",
  });
}

async function placeOf(
  upstream: Upstream,
  id: string,
  signal: AbortSignal,
): Promise<"running" | "pending" | undefined> {
  const queue = queueSchema.parse(await upstream.json("/queue", { signal }));
  if (queue.queue_running.some((item) => item[1] === id)) return "running";
  return queue.queue_pending.some((item) => item[1] === id) ? "pending" : undefined;
}

async function fetchPictures(upstream: Upstream, entry: Entry, signal: AbortSignal): Promise<readonly Picture[]> {
  const files = Object.values(entry.outputs).flatMap(({ images }) => images ?? []);
  if (files.length === 0) {
    throw new NexusError("backend_error", `${title} made no picture: the workflow has no node that saves one.`, {
      source: "service",
    });
  }
  return await Promise.all(
    files.map(async ({ filename, subfolder, type }) => {
      const { bytes } = await upstream.fetch(`/view?${new URLSearchParams({ filename, subfolder, type })}`, { signal });
      return pictureFrom(title, bytes);
    }),
  );
}

/** Stops what runs only when it is ours: ComfyUI may have work of others. */
async function cancel(upstream: Upstream, id: string): Promise<void> {
  const signal = AbortSignal.timeout(cancelMs);
  await upstream.ask("/queue", { json: { delete: [id] }, signal });
  if ((await placeOf(upstream, id, signal)) === "running") {
    await upstream.ask("/interrupt", { json: { prompt_id: id }, signal });
  }
}

async function forget(upstream: Upstream, id: string): Promise<void> {
  await upstream.ask("/history", { json: { delete: [id] }, signal: AbortSignal.timeout(cancelMs) });
}
