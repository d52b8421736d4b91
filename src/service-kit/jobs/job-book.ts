import { mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../base/write-file-atomic.ts";

const jobSchema = z.strictObject({
  id: z.string(),
  /** The backend's name of it. */
  ref: z.string(),
  model: z.string(),
  status: z.enum(["queued", "in_progress", "completed", "failed"]),
  progress: z.number(),
  problem: z.string().optional(),
  /** The job that it was made of. */
  source: z.string().optional(),
  seconds: z.number().nullable(),
  size: z.string().nullable(),
  createdAt: z.int(),
  completedAt: z.int().optional(),
});
/** A job as it is remembered: neither its prompt nor what it made. */
export type Job = Readonly<z.output<typeof jobSchema>>;

/** Jobs of one service, newest last. They outlive it where it has a file. */
export interface JobBook {
  get(id: string): Job | undefined;
  /** Newest first. */
  all(): readonly Job[];
  put(job: Job): Promise<void>;
  remove(id: string): Promise<void>;
}

/** The oldest are forgotten beyond this. */
const jobsMax = 1_000;

/**
 * Opens the book in a file, or in memory alone without one. A file that cannot be read is begun anew: what is in it are
 * names, and the backend has the jobs.
 */
export function openJobBook(path: string | undefined): JobBook {
  const jobs = new Map(path === undefined ? [] : readJobs(path).map((job) => [job.id, job]));
  let writing = Promise.resolve();
  const save = (): Promise<void> => {
    if (path === undefined) return Promise.resolve();
    const write = () => writeFileAtomic(path, `${JSON.stringify([...jobs.values()])}\n`);
    // One after the other, so that the newest is the last; a failure is its own caller's.
    const written = writing.then(write, write);
    writing = written.catch(() => {});
    return written;
  };
  if (path !== undefined) mkdirSync(dirname(path), { recursive: true });
  return {
    get: (id) => jobs.get(id),
    all: () => [...jobs.values()].reverse(),
    async put(job) {
      jobs.set(job.id, job);
      const [oldest] = jobs.keys();
      if (jobs.size > jobsMax && oldest !== undefined) jobs.delete(oldest);
      await save();
    },
    async remove(id) {
      if (jobs.delete(id)) await save();
    },
  };
}

function readJobs(path: string): readonly Job[] {
  try {
    return z.array(jobSchema).parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return [];
  }
}
