import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Clock } from "../base/clock.ts";

export interface FollowFilesOptions {
  /** Files of which each may be there or not. Asked anew at every look. */
  readonly paths: () => readonly string[];
  /** Called after the first look, and after every change once it has settled. Never twice at a time. */
  readonly onChange: () => Promise<void>;
  readonly clock: Clock;
}

/** A file counts as written when it stayed as it is for so long: editors write in several steps. */
const settleMs = 100;
/** For file systems that tell nothing, such as network shares, and for links into other directories. */
const pollMs = 2_000;

/**
 * Follows files by the events of their directories, so that one that is replaced by another of its name is noticed, and
 * by a look every two seconds where there are no events. Returns what ends it.
 */
export function followFiles(options: FollowFilesOptions): () => Promise<void> {
  const follower = new FileFollower(options);
  follower.wakeIn(0);
  return () => follower.close();
}

class FileFollower {
  readonly #options: FollowFilesOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  /** What the files were when they were last told of, and at the last look. */
  #told: string | undefined;
  #seen: string | undefined;
  #cancelTimer = () => {};
  #looking: Promise<void> | undefined;
  #isHurried = false;
  #isClosed = false;

  constructor(options: FollowFilesOptions) {
    this.#options = options;
  }

  wakeIn(delayMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined;
        if (!this.#isClosed) this.wakeIn(this.#isHurried || this.#seen !== this.#told ? settleMs : pollMs);
        this.#isHurried = false;
      });
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer();
    for (const watcher of this.#watchers.values()) watcher.close();
    await this.#looking;
  }

  async #look(): Promise<void> {
    const paths = this.#options.paths();
    // Before looking: what changes afterwards is heard.
    for (const directory of new Set(paths.map((path) => dirname(path)))) this.#watch(directory);
    const now = (await Promise.all(paths.map(stampOf))).join("\n");
    const hasSettled = now === this.#seen;
    this.#seen = now;
    if (this.#isClosed || !hasSettled || now === this.#told) return;
    this.#told = now;
    await this.#options.onChange();
  }

  #watch(directory: string): void {
    if (this.#watchers.has(directory)) return;
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        if (name === null || this.#options.paths().some((path) => basename(path) === name)) this.#hurry();
      });
      watcher.on("error", () => {
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, watcher);
    } catch {
      // No such directory, or no watches left: looking again and again does it too.
    }
  }

  #hurry(): void {
    if (this.#isHurried || this.#isClosed) return;
    this.#isHurried = true;
    if (this.#looking === undefined) this.wakeIn(0);
  }
}

async function stampOf(path: string): Promise<string> {
  try {
    const { ino, mtimeNs, ctimeNs, size } = await stat(path, { bigint: true });
    return `${path} ${ino} ${mtimeNs} ${ctimeNs} ${size}`;
  } catch {
    return path;
  }
}
