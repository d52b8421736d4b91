import { z } from "zod";
import { NexusError } from "../../base/errors.ts";
import { createUpstream, type Upstream } from "../upstream.ts";
import { type ComfyUiWorkflow, fillComfyUiWorkflow } from "./comfyui-workflow.ts";
import type { JobBackend, JobOrder, JobState } from "./job-backend.ts";

export interface ComfyUiJobsOptions {
  readonly baseUrl: string;
  readonly key: string | undefined;
  /** What to do when it does not answer. */
  readonly hint: string;
  /** The owner's workflows by the name of the model that each is offered as. */
  readonly workflows: ReadonlyMap<string, ComfyUiWorkflow>;
  /** What stands for `%name%` in a workflow. */
  readonly values: (order: JobOrder) => Readonly<Record<string, string | number | undefined>>;
  /** Media types by the endings of the files that are wanted; others are not what was asked for. */
  readonly types: Readonly<Record<string, string>>;
}

const title = "ComfyUI";
const file = z.looseObject({
  filename: z.string(),
  subfolder: z.string().default(""),
  type: z.string().default("output"),
});
type MadeFile = z.output<typeof file>;
/** A node's outputs are lists under names of its own: `images`, `gifs`, `audio`. */
const entrySchema = z.looseObject({
  outputs: z.record(z.string(), z.record(z.string(), z.unknown())),
  status: z.looseObject({ status_str: z.string() }).optional(),
});
type Entry = z.output<typeof entrySchema>;
const queueSchema = z.looseObject({
  queue_running: z.array(z.array(z.unknown())),
  queue_pending: z.array(z.array(z.unknown())),
});

/** Workflows that ComfyUI runs as jobs: queued, looked for in its queue and its history, fetched from its folder. */
export function createComfyUiJobs(options: ComfyUiJobsOptions): JobBackend {
  const upstream = createUpstream({ ...options, title });
  return {
    title,
    hint: options.hint,
    vendor: "Comfy Org",
    async look(signal) {
      z.looseObject({ system: z.looseObject({}) }).parse(await upstream.json("/system_stats", { signal }));
      return { models: [...options.workflows.keys()] };
    },
    async create(order, signal) {
      const workflow = options.workflows.get(order.model);
      if (workflow === undefined) throw new RangeError("a model that is listed is gone");
      const body = { prompt: fillComfyUiWorkflow(workflow, options.values(order)) };
      const answer = await upstream.json("/prompt", { json: body, signal });
      return z.looseObject({ prompt_id: z.string() }).parse(answer).prompt_id;
    },
    async state(ref, signal) {
      const entry = await entryOf(upstream, ref, signal);
      if (entry !== undefined) return stateOf(entry, options.types);
      const place = await placeOf(upstream, ref, signal);
      if (place !== undefined) return { status: place === "running" ? "in_progress" : "queued", progress: 0 };
      // Between the two looks it may have moved from the queue into the history.
      const late = await entryOf(upstream, ref, signal);
      return late === undefined ? undefined : stateOf(late, options.types);
    },
    async content(ref, _query, signal) {
      const entry = await entryOf(upstream, ref, signal);
      const made = entry === undefined ? undefined : madeFile(entry, options.types);
      if (made === undefined) throw new NexusError("not_found", `${title} does not have it any more.`);
      const { filename, subfolder, type } = made;
      const body = await upstream.open(`/view?${new URLSearchParams({ filename, subfolder, type })}`, { signal });
      if (body.statusCode === 200) return { contentType: options.types[endingOf(filename)] ?? "", body };
      body.destroy();
      throw new NexusError("not_found", `${title} does not have the file any more.`);
    },
    async remove(ref, signal) {
      await upstream.fetch("/queue", { json: { delete: [ref] }, signal });
      // Others' work may run: only this one is interrupted.
      if ((await placeOf(upstream, ref, signal)) === "running") {
        await upstream.fetch("/interrupt", { json: { prompt_id: ref }, signal });
      }
      await upstream.fetch("/history", { json: { delete: [ref] }, signal });
    },
  };
}

async function entryOf(upstream: Upstream, ref: string, signal: AbortSignal): Promise<Entry | undefined> {
  const found = z.looseObject({}).parse(await upstream.json(`/history/${encodeURIComponent(ref)}`, { signal }))[ref];
  return found === undefined ? undefined : entrySchema.parse(found);
}

async function placeOf(
  upstream: Upstream,
  ref: string,
  signal: AbortSignal,
): Promise<"running" | "pending" | undefined> {
  const queue = queueSchema.parse(await upstream.json("/queue", { signal }));
  if (queue.queue_running.some((item) => item[1] === ref)) return "running";
  return queue.queue_pending.some((item) => item[1] === ref) ? "pending" : undefined;
}

function stateOf(entry: Entry, types: ComfyUiJobsOptions["types"]): JobState {
  if (entry.status !== undefined && entry.status.status_str !== "success") {
    return { status: "failed", progress: 0, problem: `${title} could not make it; its own log says why.` };
  }
  if (madeFile(entry, types) !== undefined) return { status: "completed", progress: 100 };
  return { status: "failed", progress: 0, problem: "The workflow saves nothing of the kind that was asked for." };
}

function madeFile({ outputs }: Entry, types: ComfyUiJobsOptions["types"]): MadeFile | undefined {
  const files = Object.values(outputs).flatMap((lists) =>
    Object.values(lists).flatMap((list) =>
      (Array.isArray(list) ? list : []).flatMap((one) => file.safeParse(one).data ?? []),
    ),
  );
  return files.findLast(({ filename }) => types[endingOf(filename)] !== undefined);
}

function endingOf(filename: string): string {
  return filename.slice(filename.lastIndexOf(".") + 1).toLowerCase();
}
