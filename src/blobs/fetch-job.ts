import { statfs } from "node:fs/promises";
import { NexusError } from "../base/errors.ts";

/** What a pull is doing: waiting for another process's download, opening a source, and so on to the check of the digest. */
export type PullStage = "wait" | "connect" | "download" | "unpack" | "verify";

/** How patient a pull is. */
export interface PullTimeouts {
  /** To open a connection. Default 4 s: a machine without a way out must reach its next source quickly. */
  readonly connectMs: number;
  /** Without one new byte, from the request on. Default 30 s. */
  readonly stallMs: number;
}

export const defaultPullTimeouts: PullTimeouts = { connectMs: 4_000, stallMs: 30_000 };

/** What fetching one source needs. */
export interface FetchJob {
  /** A directory of this model's own: what lies there is used again when the pull is repeated. */
  readonly work: string;
  readonly signal: AbortSignal;
  readonly timeouts: PullTimeouts;
  /** Of the processes that are started: `PATH`, `HOME`, proxies and pip's own settings. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `bytesTotal` is null when nobody knows it. */
  report(stage: PullStage, bytesDone: number, bytesTotal: number | null): void;
}

/** A complete file in the work directory, its digest not yet checked. */
export interface FetchedFile {
  readonly path: string;
  /** Whether a part of it was there from an earlier try, and may be what is wrong with it. */
  readonly isResumed: boolean;
}

/** Left free on the disk, so that logs and the registry can still be written. */
const reserveBytes = 64 * 1024 * 1024;

/**
 * Looks before a download starts.
 * @throws NexusError `disk_full` that says what is needed and what is there.
 */
export async function ensureRoom(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free < bytes + reserveBytes) throw diskFull(bytes, free);
}

function diskFull(bytes: number, free: number): NexusError {
  return new NexusError(
    "disk_full",
    `The model needs ${inMiB(bytes)} on the disk, and ${inMiB(free)} are free. Make room and try again.`,
  );
}

function inMiB(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024).toLocaleString("en")} MiB`;
}

/** The error to throw when a write failed for want of room, else undefined. */
export function asDiskFull(error: unknown): NexusError | undefined {
  if (error instanceof NexusError) return error.code === "disk_full" ? error : undefined;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== "ENOSPC" && code !== "EDQUOT") return undefined;
  return new NexusError("disk_full", "The disk became full while the model was written. Make room and try again.", {
    cause: error,
  });
}
