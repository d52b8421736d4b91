import { createReadStream, createWriteStream } from "node:fs";
import { open, readdir, rename, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";

/** Beyond it a log file is moved aside; with its `.1` a process keeps at most twice that, and 10 s of writing. */
export const logBytesMax = 16 * 1024 * 1024;

const checkIntervalMs = 10_000;

/** What `tailLog` reads of a file at most. */
const tailBytesMax = 1024 * 1024;

export interface BoundedLogsOptions {
  /** Every `*.log` in it is kept bounded. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default `logBytesMax`. */
  readonly bytesMax?: number;
}

/** Looks at the logs every 10 s until the returned function is called. Failures are logged, never thrown. */
export function keepLogsBounded({ directory, clock, log, bytesMax = logBytesMax }: BoundedLogsOptions): () => void {
  let isStopped = false;
  let cancel = () => {};
  const check = async (): Promise<void> => {
    try {
      const names = (await readdir(directory)).filter((name) => name.endsWith(".log"));
      for (const name of names) await boundLog(join(directory, name), bytesMax, log);
    } catch (error) {
      log.warn({ error: describeError(error) }, "the log files could not be looked at");
    }
  };
  const schedule = (): void => {
    cancel = clock.after(checkIntervalMs, () => {
      check().then(() => !isStopped && schedule(), schedule);
    });
  };
  schedule();
  return () => {
    isStopped = true;
    cancel();
  };
}

/**
 * Moves the end of a file beyond `bytesMax` to its `.1`, replacing that, and empties it. The file stays the same file,
 * so that processes which append to it go on at its new end; what they write between copy and emptying is lost. When
 * the copy fails, as on a full disk, the file is emptied all the same: bounded comes before kept.
 * Resolves to whether it was emptied. A missing file is none.
 */
export async function boundLog(path: string, bytesMax: number, log: Logger): Promise<boolean> {
  const size = await sizeOf(path);
  if (size <= bytesMax) return false;
  const copy = `${path}.1`;
  try {
    const end = createReadStream(path, { start: size - bytesMax, end: size - 1 });
    await pipeline(end, createWriteStream(`${copy}.tmp`, { mode: 0o600 }));
    await rename(`${copy}.tmp`, copy);
  } catch (error) {
    await rm(`${copy}.tmp`, { force: true });
    log.warn({ file: path, error: describeError(error) }, "a full log could not be copied and is emptied");
  }
  await truncate(path, 0);
  return true;
}

/**
 * The last lines of a log, oldest first, the moved-aside part included when the log itself has too few. Reads at most
 * 1 MiB of each. A log that does not exist has no lines.
 */
export async function tailLog(path: string, lines: number): Promise<string[]> {
  if (lines <= 0) return [];
  const recent = await lastLines(path);
  const older = recent.length < lines ? await lastLines(`${path}.1`) : [];
  return [...older, ...recent].slice(-lines);
}

async function lastLines(path: string): Promise<string[]> {
  const size = await sizeOf(path);
  if (size === 0) return [];
  const start = Math.max(0, size - tailBytesMax);
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
    // A read from the middle begins within a line; a last line without its newline is still being written, but shown.
    if (start > 0) lines.shift();
    if (lines.at(-1) === "") lines.pop();
    return lines;
  } finally {
    await file.close();
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}
