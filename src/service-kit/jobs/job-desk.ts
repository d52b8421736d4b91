import type { Clock } from "../../base/clock.ts";
import { NexusError } from "../../base/errors.ts";
import type { JobBackend, JobContent, JobOrder } from "./job-backend.ts";
import type { Job, JobBook } from "./job-book.ts";

/** Between a client, who knows jobs by our ids, and a backend, which knows them by its own. */
export interface JobDesk {
  /** A job whose client has left by the time it is there is stopped again. */
  begin(order: JobOrder, signal: AbortSignal): Promise<Job>;
  remix(id: string, order: JobOrder, signal: AbortSignal): Promise<Job>;
  /** As it is now; as it was last seen while the backend is away. @throws NexusError `not_found`. */
  look(id: string, signal: AbortSignal): Promise<Job>;
  /** Newest first. */
  list(signal: AbortSignal): Promise<readonly Job[]>;
  /** @throws NexusError `not_found`; `conflict` while it is not ready, or when it has failed. */
  content(id: string, query: URLSearchParams, signal: AbortSignal): Promise<JobContent>;
  /** Stops it and forgets it. @throws NexusError `not_found`, and what speaks against stopping it. */
  remove(id: string, signal: AbortSignal): Promise<void>;
}

export interface JobDeskOptions {
  readonly backend: JobBackend;
  readonly book: JobBook;
  readonly clock: Clock;
  readonly newId: () => string;
}

/** A backend that has not said by then that it has begun will not be waited for; pictures to start from take time. */
const beginMs = 120_000;
const removeMs = 10_000;
/** Jobs that are asked about for one list. */
const freshMax = 16;

const isOver = ({ status }: Job): boolean => status === "completed" || status === "failed";

export function createJobDesk({ backend, book, clock, newId }: JobDeskOptions): JobDesk {
  const seconds = () => Math.floor(clock.now() / 1_000);
  const find = (id: string): Job => {
    const job = book.get(id);
    if (job === undefined) throw new NexusError("not_found", "There is no such job here.");
    return job;
  };
  const keep = async (job: Job): Promise<Job> => {
    await book.put(job);
    return job;
  };
  const begin = async (order: JobOrder, create: (signal: AbortSignal) => Promise<string>, signal: AbortSignal) => {
    // Not ended with its client: a request that was cut off may have begun a job that nobody could stop any more.
    const ref = await create(AbortSignal.timeout(beginMs));
    if (signal.aborted) {
      await backend.remove(ref, AbortSignal.timeout(removeMs)).catch(() => {});
      throw signal.reason;
    }
    const { size } = order.fields;
    const base = { id: newId(), ref, model: order.model, seconds: order.seconds, createdAt: seconds() };
    return { ...base, status: "queued", progress: 0, size: typeof size === "string" ? size : null } as const;
  };
  const refresh = (job: Job, signal: AbortSignal) => refreshJob({ backend, book, seconds, keep }, job, signal);
  return {
    begin: async (order, signal) => await keep(await begin(order, (limit) => backend.create(order, limit), signal)),
    async remix(id, order, signal) {
      const source = await refresh(find(id), signal);
      if (backend.remix === undefined || source.status !== "completed") {
        throw new NexusError("conflict", "The film to start from is not ready.");
      }
      const { remix } = backend;
      const made = await begin({ ...order, model: source.model }, (limit) => remix(source.ref, order, limit), signal);
      return await keep({ ...made, source: id });
    },
    look: async (id, signal) => await refresh(find(id), signal),
    async list(signal) {
      const active = book.all().filter((job) => !isOver(job));
      await Promise.all(active.slice(0, freshMax).map((job) => refresh(job, signal)));
      return book.all();
    },
    async content(id, query, signal) {
      const job = await refresh(find(id), signal);
      if (job.status === "completed") return await backend.content(job.ref, query, signal);
      throw new NexusError("conflict", job.status === "failed" ? "The job has failed." : "The job is not done yet.");
    },
    async remove(id, signal) {
      const { ref } = find(id);
      await backend.remove(ref, signal);
      await book.remove(id);
    },
  };
}

interface Refreshing extends Pick<JobDeskOptions, "backend" | "book"> {
  /** Of the clock. */
  readonly seconds: () => number;
  readonly keep: (job: Job) => Promise<Job>;
}

/** Asks the backend how a job stands that is not over, and keeps what is new. */
async function refreshJob({ backend, book, seconds, keep }: Refreshing, job: Job, signal: AbortSignal): Promise<Job> {
  if (isOver(job)) return job;
  const state = await backend.state(job.ref, signal).catch((error: unknown) => {
    if (error instanceof NexusError && error.code === "backend_unreachable") return job;
    throw error;
  });
  // Whoever has deleted it meanwhile does not get it back.
  if (state === job || book.get(job.id) === undefined) return job;
  const { ref, id, model, size, createdAt, source } = job;
  const now = state ?? { status: "failed", progress: 0, problem: `${backend.title} has forgotten this job.` };
  const next: Job = {
    ...{ id, ref, model, seconds: job.seconds, size, createdAt },
    ...(source === undefined ? {} : { source }),
    status: now.status,
    progress: now.status === "completed" ? 100 : Math.max(job.progress, Math.min(100, Math.round(now.progress))),
    ...(now.problem === undefined ? {} : { problem: now.problem }),
  };
  if (next.status === job.status && next.progress === job.progress) return job;
  return await keep(isOver(next) ? { ...next, completedAt: seconds() } : next);
}
