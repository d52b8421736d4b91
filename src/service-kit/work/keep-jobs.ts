import { randomBytes } from "node:crypto";
import { describeError, NexusError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { bytes, json } from "../response.ts";
import type { Handlers, ServiceRequest } from "../service.ts";
import { mediaTypeOf } from "./media-type.ts";
import { badResult, readNumber, readSize, readText } from "./read-fields.ts";
import type { Media, Work } from "./work.ts";

/** Bounds of what is kept in memory, for clients that make and never fetch. */
const jobsMax = 64;
const keptBytesMax = 256 * 1024 * 1024;
/** Longer films than any that is made in one go. */
const secondsRule = { from: 1, to: 600, otherwise: 4 };

interface Job {
  readonly id: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly make: (signal: AbortSignal, log: Logger) => Promise<Media>;
  readonly stop: AbortController;
  readonly log: Logger;
  status: "queued" | "in_progress" | "completed" | "failed";
  completedAt: number | null;
  media: Buffer | undefined;
}

/** Jobs of one service, and what its handlers do with them. */
export interface KeptJobs {
  readonly handlers: Handlers;
  /** Ends what is being made. */
  stop(): Promise<void>;
}

/**
 * Makes films or music beside the requests that ask for them, `atOnce` at a time, and keeps what was made in memory until
 * it is deleted or newer jobs need the room.
 */
export function keepJobs<K extends "video" | "music">(kind: K, work: Work<K>, atOnce: number): KeptJobs {
  const jobs = new JobShelf(kind, atOnce);
  const create = (request: ServiceRequest) => {
    const { body } = request;
    const prompt = readText(body, "prompt");
    const seconds = readNumber(body, "seconds", secondsRule);
    const size = readSize(body);
    const asked = { model: String(body.model), prompt, seconds, body, ...(kind === "video" ? size : {}) };
    const facts = { model: body.model, prompt, seconds: String(seconds) };
    const make = async (signal: AbortSignal, log: Logger) => await (work as Work<"music">)(asked, { signal, log });
    return json(
      jobs.add(kind === "video" ? { ...facts, size: `${size.width}x${size.height}` } : facts, make, request.log),
    );
  };
  const handlers: Handlers = Object.fromEntries(
    Object.entries({
      create,
      list: () => json(jobs.list()),
      retrieve: ({ id }: ServiceRequest) => json(jobs.describe(jobs.find(id))),
      delete: ({ id }: ServiceRequest) => json(jobs.delete(id)),
      download_content: ({ id }: ServiceRequest) => {
        const media = jobs.content(id);
        return bytes(media, mediaTypeOf(media) ?? (kind === "video" ? "video/mp4" : "audio/wav"));
      },
    }).map(([step, handler]) => [`${kind === "video" ? "videos" : "music"}.${step}`, handler]),
  );
  return { handlers, stop: () => jobs.stop() };
}

class JobShelf {
  readonly #kind: "video" | "music";
  readonly #atOnce: number;
  /** Oldest first. */
  readonly #jobs = new Map<string, Job>();
  readonly #running = new Set<Promise<void>>();

  constructor(kind: "video" | "music", atOnce: number) {
    this.#kind = kind;
    this.#atOnce = atOnce;
  }

  add(facts: Job["facts"], make: Job["make"], log: Logger): object {
    this.#makeRoom();
    const id = `${this.#kind}_${randomBytes(12).toString("hex")}`;
    const created = { ...facts, created_at: Math.floor(Date.now() / 1000) };
    const state = { status: "queued", completedAt: null, media: undefined } as const;
    const job: Job = { id, facts: created, make, log, stop: new AbortController(), ...state };
    this.#jobs.set(id, job);
    this.#next();
    return this.describe(job);
  }

  /** Throws `not_found`. */
  find(id: string): Job {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new NexusError("not_found", `There is no ${this.#kind} of this id here.`);
    return job;
  }

  describe({ id, facts, status, completedAt }: Job): object {
    const progress = status === "completed" ? 100 : 0;
    const error = status === "failed" ? { code: "backend_error", message: "It could not be made." } : null;
    return { id, object: this.#kind, status, progress, ...facts, completed_at: completedAt, expires_at: null, error };
  }

  list(): object {
    const data = [...this.#jobs.values()].reverse().map((job) => this.describe(job));
    const ids = [...this.#jobs.keys()];
    return { object: "list", data, first_id: ids.at(-1) ?? null, last_id: ids[0] ?? null, has_more: false };
  }

  delete(id: string): object {
    this.find(id).stop.abort(new NexusError("client_closed", "The job was deleted."));
    this.#jobs.delete(id);
    return { id, object: `${this.#kind}.deleted`, deleted: true };
  }

  content(id: string): Buffer {
    const { media, status } = this.find(id);
    if (media !== undefined) return media;
    throw new NexusError("conflict", `It is ${status}: ask for it when its status is completed.`);
  }

  async stop(): Promise<void> {
    for (const { stop } of this.#jobs.values()) stop.abort(new NexusError("draining", "The service shuts down."));
    await Promise.all(this.#running);
  }

  #makeRoom(): void {
    if (this.#jobs.size < jobsMax) return;
    const done = [...this.#jobs.values()].find(({ status }) => status === "completed" || status === "failed");
    if (done === undefined) {
      throw new NexusError("queue_full", `${jobsMax} jobs wait or run. Try again later.`, { retryAfterSeconds: 30 });
    }
    this.#jobs.delete(done.id);
  }

  #next(): void {
    const waiting = [...this.#jobs.values()].find(({ status }) => status === "queued");
    if (waiting === undefined || this.#running.size >= this.#atOnce) return;
    waiting.status = "in_progress";
    const run = this.#run(waiting).finally(() => {
      this.#running.delete(run);
      this.#next();
    });
    this.#running.add(run);
  }

  async #run(job: Job): Promise<void> {
    const { signal } = job.stop;
    try {
      const media = await collect(await job.make(signal, job.log), signal);
      job.media = media;
      job.status = "completed";
      this.#forgetBytes(media.length);
    } catch (error) {
      job.status = "failed";
      if (!signal.aborted) job.log.error({ error: describeError(error), job: job.id }, "a job failed");
    }
    job.completedAt = Math.floor(Date.now() / 1000);
  }

  /** Lets the oldest results go when all together are too much. */
  #forgetBytes(added: number): void {
    let kept = [...this.#jobs.values()].reduce((sum, { media }) => sum + (media?.length ?? 0), 0);
    for (const { id, media } of this.#jobs.values()) {
      if (kept <= Math.max(keptBytesMax, added)) return;
      if (media !== undefined) this.#jobs.delete(id);
      kept -= media?.length ?? 0;
    }
  }
}

async function collect(media: Media, signal: AbortSignal): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of media instanceof Uint8Array ? [media] : media) {
    signal.throwIfAborted();
    length += piece.length;
    if (length > keptBytesMax) throw badResult(`at most ${keptBytesMax} bytes`);
    pieces.push(piece);
  }
  if (length === 0) throw badResult("bytes");
  return Buffer.concat(pieces);
}
