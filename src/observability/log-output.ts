import { writeSync } from "node:fs";
import type { LogDestination } from "./logger.ts";

/** Lines that are not urgent wait no longer than this for others. One write for many lines costs what one line costs. */
const batchMs = 100;
const batchCharactersMax = 64 * 1024;
/** What a reader that has stopped reading may leave waiting; lines beyond it are lost, and the process goes on. */
const waitingCharactersMax = 4 * 1024 * 1024;
const stdoutDescriptor = 1;

/**
 * Lines to a file descriptor. A line after a pause goes out at once; in a rush they go out ten times a second. Urgent lines
 * take everything before them along. A descriptor that fails costs lines and never the process.
 */
export class LogOutput implements LogDestination {
  #waiting = "";
  #timer: NodeJS.Timeout | undefined;
  #lastFlush = Number.NEGATIVE_INFINITY;
  #isBroken = false;
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(line: string, isUrgent = false): void {
    if (this.#isBroken || this.#waiting.length > waitingCharactersMax) return;
    this.#waiting += line;
    if (isUrgent || this.#waiting.length > batchCharactersMax) this.flush();
    else if (this.#timer === undefined) this.#begin();
  }

  flush(): void {
    if (this.#isBroken || this.#waiting === "") return;
    this.#lastFlush = performance.now();
    const bytes = Buffer.from(this.#waiting);
    this.#waiting = "";
    let at = 0;
    try {
      while (at < bytes.length) at += writeSync(this.#descriptor, bytes, at);
    } catch (error) {
      // A full pipe takes the rest later; a closed one takes nothing any more.
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") this.#waiting = bytes.toString("utf8", at);
      else this.#isBroken = true;
    }
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
