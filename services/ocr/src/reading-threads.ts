import { Worker } from "node:worker_threads";
import { type Clock, describeError, NexusError } from "nexus/base";
import type { ReadJob, ReadMessage, ReadPage } from "./reading.ts";

/** Threads that read documents, so that this one can answer whoever asks meanwhile. */
export interface ReadingThreads {
  /**
   * Reads a document on a thread of its own; the document's bytes are gone from here afterwards.
   * @throws NexusError for what cannot be read; the signal's reason when it aborts, and the thread is ended by then.
   */
  read(job: ReadJob, signal: AbortSignal): Promise<readonly ReadPage[]>;
  /** Ends all threads. */
  close(): Promise<void>;
}

/** A page of a newspaper takes a minute on an old machine. What takes longer is made to. */
const pageMs = 300_000;
/** A thread that has read a page larger than this is not kept: its memory comes back only with its end. */
const keptPixelsMax = 10_000_000;

/** Keeps at most `idleMax` threads that have nothing to do. How many read at once is for the caller to bound. */
export function createReadingThreads(idleMax: number, clock: Clock): ReadingThreads {
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  let isClosed = false;

  const take = (): Worker => {
    const waiting = idle.pop();
    if (waiting !== undefined) return waiting;
    const thread = new Worker(new URL("./reading-thread.ts", import.meta.url));
    // A failure between two jobs: the thread is not idle any more, and the next job gets another one.
    thread.on("error", () => {});
    thread.once("exit", () => {
      all.delete(thread);
      const at = idle.indexOf(thread);
      if (at >= 0) idle.splice(at, 1);
    });
    all.add(thread);
    return thread;
  };
  return {
    async read(job, signal) {
      signal.throwIfAborted();
      const thread = take();
      try {
        const pages = await runOn(thread, job, { signal, clock });
        const hasGrown = pages.some(({ width, height }) => width * height > keptPixelsMax);
        if (!isClosed && idle.length < idleMax && !hasGrown) idle.push(thread);
        else void thread.terminate();
        return pages;
      } catch (error) {
        await thread.terminate();
        throw error;
      }
    },
    async close() {
      isClosed = true;
      await Promise.all([...all].map((thread) => thread.terminate()));
    },
  };
}

async function runOn(
  thread: Worker,
  job: ReadJob,
  { signal, clock }: { readonly signal: AbortSignal; readonly clock: Clock },
): Promise<readonly ReadPage[]> {
  const pages: ReadPage[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<readonly ReadPage[]>();
  const late = (): void => reject(new NexusError("stall_timeout", `A page took longer than ${pageMs / 1000} s.`));
  let cancelTimer = clock.after(pageMs, late);
  const onMessage = (message: ReadMessage): void => {
    if (message.kind === "page") {
      pages.push(message.page);
      cancelTimer();
      cancelTimer = clock.after(pageMs, late);
    } else if (message.kind === "done") resolve(pages);
    else reject(toError(message));
  };
  const onError = (error: unknown): void => reject(toError({ ...lost, detail: describeError(error) }));
  const onExit = (code: number): void => reject(toError({ ...lost, detail: `the thread ended with ${code}` }));
  const onAbort = (): void => reject(signal.reason);
  thread.on("message", onMessage).on("error", onError).on("exit", onExit);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    thread.postMessage(job, job.document === undefined ? [] : [job.document.bytes.buffer]);
    return await promise;
  } finally {
    cancelTimer();
    signal.removeEventListener("abort", onAbort);
    thread.off("message", onMessage).off("error", onError).off("exit", onExit);
  }
}

/** A document that takes all memory a thread may have ends it; nothing else suffers. */
const lost = {
  code: "backend_error",
  message: "The document could not be read: it needs more than one document may have.",
  param: null,
} as const;

function toError({ code, message, param, detail }: Omit<Extract<ReadMessage, { kind: "failed" }>, "kind">): NexusError {
  return new NexusError(code, message, {
    detail,
    cause: new Error(detail),
    source: "service",
    ...(param === null ? {} : { param }),
  });
}
