import { readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { writeFileAtomic } from "../base/write-file-atomic.ts";

export interface DurableFileOptions {
  readonly path: string;
  /** What to write, asked at the moment of writing. */
  readonly render: () => string;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long changes are gathered before they are written. Default 250 ms. */
  readonly delayMs?: number;
}

/** How soon a failed write is tried again. */
const retryMs = 5_000;
/** Writing takes at most one part in this of the time, however large the file is. */
const restPerWrite = 20;

/**
 * A file that follows a state in memory: written atomically and rarely, and never a reason to fail. While it cannot be
 * written, `problem` says why, the log says it once, and it is tried again.
 */
export class DurableFile {
  readonly #options: DurableFileOptions;
  #dirty = false;
  #closed = false;
  #writing: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;
  #problem: string | undefined;

  constructor(options: DurableFileOptions) {
    this.#options = options;
  }

  /** Why the file is behind, while it is. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * What `parse` makes of the file, undefined when there is none. Blocks: for start-up only. Also takes away what a
   * crash left half-written. A file that cannot be read or that `parse` throws on is put aside as
   * `<path>.corrupt-<time>`, so that nothing overwrites what may be somebody's only copy.
   */
  load<T>(parse: (text: string) => T): T | undefined {
    const { path, log } = this.#options;
    this.#removeLeftovers();
    try {
      return parse(readFileSync(path, "utf8"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      log.error({ path, reason: describeError(error) }, "file cannot be used and is put aside");
      this.#putAside();
      return undefined;
    }
  }

  /** The state has changed: it is written soon. */
  touch(): void {
    this.#dirty = true;
    if (this.#writing === undefined) this.#writeAfter(this.#options.delayMs ?? 250);
  }

  /** Resolves when everything up to now is written or has failed to be; `problem` tells which. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#dirty) await this.#write();
  }

  /** Writes what is left and stops. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    this.#cancelTimer?.();
  }

  #writeAfter(delayMs: number): void {
    if (this.#closed) return;
    this.#cancelTimer ??= this.#options.clock.after(delayMs, () => void this.#write());
  }

  #write(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#writing ??= this.#writeOnce().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeOnce(): Promise<void> {
    const { path, render, clock, log, delayMs = 250 } = this.#options;
    const startedAt = clock.monotonic();
    this.#dirty = false;
    try {
      await writeFileAtomic(path, render());
      if (this.#problem !== undefined) log.info({ path }, "file can be written again");
      this.#problem = undefined;
    } catch (error) {
      this.#dirty = true;
      const reason = `${basename(path)} cannot be written: ${describeError(error)}`;
      if (this.#problem === undefined) log.error({ path, reason }, "file cannot be written; it is kept in memory");
      this.#problem = reason;
    }
    if (!this.#dirty) return;
    const restMs = (clock.monotonic() - startedAt) * restPerWrite;
    this.#writeAfter(this.#problem === undefined ? Math.max(delayMs, restMs) : retryMs);
  }

  #putAside(): void {
    const { path, clock, log } = this.#options;
    const time = new Date(clock.now()).toISOString().replaceAll(/[:.]/g, "-");
    try {
      renameSync(path, `${path}.corrupt-${time}`);
    } catch (error) {
      log.error({ path, reason: describeError(error) }, "file cannot be put aside");
    }
  }

  #removeLeftovers(): void {
    const { path } = this.#options;
    const prefix = `${basename(path)}.`;
    try {
      for (const name of readdirSync(dirname(path))) {
        const isLeftover = name.startsWith(prefix) && /^\d+\.tmp$/.test(name.slice(prefix.length));
        if (isLeftover) rmSync(join(dirname(path), name), { force: true });
      }
    } catch {
      // The directory is not there or not ours: then the first write says so.
    }
  }
}
