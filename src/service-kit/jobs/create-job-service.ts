import { randomUUID } from "node:crypto";
import { type Clock, systemClock } from "../../base/clock.ts";
import { NexusError } from "../../base/errors.ts";
import { bytes, json, type ServiceResponse } from "../response.ts";
import { defineService, type Handlers, type Service, type ServiceDefinition, type ServiceRequest } from "../service.ts";
import { watchBackend } from "../watch-backend.ts";
import type { JobBackend, JobView } from "./job-backend.ts";
import { type Job, openJobBook } from "./job-book.ts";
import { createJobDesk, type JobDesk } from "./job-desk.ts";
import { parseJobRequest } from "./job-request.ts";

export interface JobServiceOptions {
  readonly kind: "video" | "music";
  readonly backend: JobBackend;
  readonly version: string;
  readonly description: string;
  /** Models that are offered; all that the backend has when empty. */
  readonly models: readonly string[];
  /** Where jobs are remembered; in memory alone without it. */
  readonly jobsFile: string | undefined;
  readonly ui: NonNullable<ServiceDefinition["ui"]>;
  readonly clock?: Clock;
}

/** Requests for new jobs at once: they are short, the work is the backend's. */
const parallel = 4;
const pageMax = 100;
const pageUsual = 20;

/** Films or music as jobs, made by whatever backend stands behind them. */
export function createJobService(options: JobServiceOptions): Service {
  const { kind, backend, clock = systemClock } = options;
  const book = openJobBook(options.jobsFile);
  const desk = createJobDesk({ backend, book, clock, newId: () => `${kind}_${randomUUID().replaceAll("-", "")}` });
  let view: JobView | undefined;
  const offered = (): readonly string[] => {
    const models = view?.models ?? [];
    return options.models.length === 0 ? models : models.filter((model) => options.models.includes(model));
  };
  return defineService({
    name: kind,
    version: options.version,
    description: options.description,
    backend: { name: backend.title, vendor: backend.vendor },
    capabilities: {
      domains: [kind],
      modalities: { input: ["text"], output: [kind === "video" ? "video" : "audio"] },
      max_concurrency: parallel,
      features: ["jobs", "cancel"],
    },
    ui: options.ui,
    navigation: { section: kind, title: kind === "video" ? "Films" : "Music", icon: kind, order: 50 },
    models: () => offered().map((id) => ({ id, domains: [kind] })),
    handlers: handlersOf(options, desk),
    start(context) {
      void watchBackend({
        backend,
        context,
        onView(found) {
          view = found;
        },
      });
    },
  });
}

function handlersOf({ kind, backend }: JobServiceOptions, desk: JobDesk): Handlers {
  const described = (job: Job) => json(describeJob(kind, job));
  const steps = {
    create: async (request: ServiceRequest) => described(await desk.begin(parseJobRequest(request), request.signal)),
    list: async ({ query, signal }: ServiceRequest) => json(pageOf(await desk.list(signal), query, kind)),
    retrieve: async ({ id, signal }: ServiceRequest) => described(await desk.look(id, signal)),
    async delete({ id, signal }: ServiceRequest) {
      await desk.remove(id, signal);
      return json({ id, object: `${kind}.deleted`, deleted: true });
    },
    content: async ({ id, query, signal }: ServiceRequest) => await contentOf(desk, { id, query, signal }),
    remix: async (request: ServiceRequest) =>
      described(await desk.remix(request.id, parseJobRequest(request), request.signal)),
  };
  if (kind === "music") {
    return {
      "music.create": steps.create,
      "music.list": steps.list,
      "music.retrieve": steps.retrieve,
      "music.delete": steps.delete,
      "music.download_content": steps.content,
    };
  }
  return {
    "videos.create": steps.create,
    "videos.list": steps.list,
    "videos.retrieve": steps.retrieve,
    "videos.delete": steps.delete,
    "videos.download_content": steps.content,
    ...(backend.remix === undefined ? {} : { "videos.remix": steps.remix }),
  };
}

async function contentOf(
  desk: JobDesk,
  { id, query, signal }: Pick<ServiceRequest, "id" | "query" | "signal">,
): Promise<ServiceResponse> {
  const { contentType, body } = await desk.content(id, query, signal);
  return bytes(body as AsyncIterable<Uint8Array>, contentType);
}

/** As OpenAI describes a video; music has the same shape. */
function describeJob(kind: string, job: Job): object {
  const { id, model, status, progress, createdAt, completedAt, seconds, size, problem, source } = job;
  return {
    id,
    object: kind,
    model,
    status,
    progress,
    created_at: createdAt,
    completed_at: completedAt ?? null,
    expires_at: null,
    seconds: seconds === null ? null : String(seconds),
    ...(kind === "video" ? { size, remixed_from_video_id: source ?? null } : {}),
    error: problem === undefined ? null : { code: "backend_error", message: problem },
  };
}

function pageOf(jobs: readonly Job[], query: URLSearchParams, kind: string): object {
  const limit = Number(query.get("limit") ?? pageUsual);
  if (!Number.isInteger(limit) || limit < 1 || limit > pageMax) {
    throw new NexusError("invalid_request", `\`limit\` must be 1 to ${pageMax}.`, { param: "limit" });
  }
  const ordered = query.get("order") === "asc" ? jobs.toReversed() : jobs;
  const after = query.get("after");
  const start = after === null ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  const page = ordered.slice(start, start + limit);
  return {
    object: "list",
    data: page.map((job) => describeJob(kind, job)),
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
    has_more: start + limit < ordered.length,
  };
}
