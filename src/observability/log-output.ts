import { writeSync } from "node:fs";
import type { LogDestination } from "./logger.ts";

/** Lines that are not urgent wait no longer than this for others. One write for many lines costs what one line costs. */
const batchMs = 100;
const batchBytesMax = 64 * 1024;
/** What a reader that has stopped reading may leave waiting; lines beyond it are lost, and the process goes on. */
const waitingBytesMax = 4 * 1024 * 1024;
/** UTF-8 takes no more for a unit of a JavaScript string. */
const bytesPerUnitMax = 3;
const stdoutDescriptor = 1;
const nothing = Buffer.alloc(0);

/**
 * Lines to a file descriptor. A line after a pause goes out at once; in a rush they go out ten times a second. Urgent lines
 * take everything before them along. A descriptor that fails costs lines and never the process.
 *
 * Lines wait as bytes: as strings they would live just long enough to be moved twice by the collector.
 */
export class LogOutput implements LogDestination {
  #waiting: Buffer = nothing;
  #length = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastFlush = Number.NEGATIVE_INFINITY;
  #isBroken = false;
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(line: string, isUrgent = false): void {
    if (this.#isBroken || !this.#makeRoom(line.length * bytesPerUnitMax)) return;
    this.#length += this.#waiting.write(line, this.#length);
    if (isUrgent || this.#length > batchBytesMax) this.flush();
    else if (this.#timer === undefined) this.#begin();
  }

  flush(): void {
    if (this.#isBroken || this.#length === 0) return;
    this.#lastFlush = performance.now();
    let at = 0;
    try {
      while (at < this.#length) at += writeSync(this.#descriptor, this.#waiting, at, this.#length - at);
      this.#length = 0;
    } catch (error) {
      // A full pipe takes the rest later; a closed one takes nothing any more.
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") {
        this.#waiting.copyWithin(0, at, this.#length);
        this.#length -= at;
      } else this.#isBroken = true;
    }
  }

  /** Whether there is room for so many bytes now. */
  #makeRoom(bytes: number): boolean {
    if (this.#length + bytes <= this.#waiting.length) return true;
    if (this.#length > waitingBytesMax) return false;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * batchBytesMax, 2 * (this.#length + bytes)));
    this.#waiting.copy(larger, 0, 0, this.#length);
    this.#waiting = larger;
    return true;
  }

  #begin(): void {
    if (performance.now() - this.#lastFlush >= batchMs) {
      this.flush();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.flush();
    }, batchMs);
    this.#timer.unref();
  }
}

let stdout: LogOutput | undefined;

/** The one output of the process: lines of all its loggers keep their order. */
export function stdoutLog(): LogOutput {
  if (stdout === undefined) {
    const output = new LogOutput(stdoutDescriptor);
    stdout = output;
    process.once("exit", () => output.flush());
  }
  return stdout;
}
