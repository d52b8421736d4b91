import { appendFile, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { RecordsConfig } from "./config.ts";
import type { RequestRecord } from "./request-record.ts";

/** A segment of this size is closed. Small, because a look-up reads whole segments. */
const segmentBytesMax = 4 * 1024 * 1024;
/** Old segments are looked for after this many writes. */
const writesPerPruning = 30;
const dayMs = 86_400_000;
const segmentName = /^[a-z0-9._-]+-\d{13}\.jsonl$/;

interface Segment {
  readonly path: string;
  readonly bytes: number;
  readonly changedAt: number;
}

export interface RecordFilesOptions {
  readonly settings: RecordsConfig;
  readonly writer: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Records on disk: one JSON document a line, in segments that are appended to and deleted as wholes. Several processes
 * share the directory, each with segments of its own; every one reads and prunes all.
 */
export class RecordFiles {
  readonly #options: RecordFilesOptions;
  #settings: RecordsConfig;
  readonly #directory: string;
  #segment: string | undefined;
  #segmentBytes = 0;
  #writes = 0;
  #failing = false;
  dropped = 0;

  constructor(options: RecordFilesOptions, directory: string) {
    this.#options = options;
    this.#settings = options.settings;
    this.#directory = directory;
  }

  /** Takes effect when old segments are looked for, which is at the next write. */
  configure(settings: RecordsConfig): void {
    this.#settings = settings;
    this.#writes = 0;
  }

  /** Never rejects: what cannot be written is counted as dropped and the log says so once. */
  async append(records: readonly RequestRecord[]): Promise<void> {
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join("");
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      if (this.#writes++ % writesPerPruning === 0) await this.#prune();
      const path = this.#openSegment(Buffer.byteLength(text));
      await appendFile(path, text, { mode: 0o600 });
      this.#failing = false;
    } catch (error) {
      this.dropped += records.length;
      // What may be half a line is left behind: the next records start a new segment.
      this.#segment = undefined;
      if (!this.#failing) this.#options.log.warn({ reason: describeError(error) }, "request records cannot be written");
      this.#failing = true;
    }
  }

  /** The newest record with this id. A look-up reads the segments from the newest to the oldest. */
  async find(id: string, isWanted: (record: RequestRecord) => boolean): Promise<RequestRecord | undefined> {
    const needle = Buffer.from(`{"id":${JSON.stringify(id)},`);
    for (const { path } of await this.#segments()) {
      const bytes = await readFile(path).catch(() => undefined);
      if (bytes === undefined) continue;
      for (let at = bytes.lastIndexOf(needle); at !== -1; at = at === 0 ? -1 : bytes.lastIndexOf(needle, at - 1)) {
        if (at > 0 && bytes[at - 1] !== 0x0a) continue;
        const end = bytes.indexOf(0x0a, at);
        const record = end === -1 ? undefined : parseLine(bytes.toString("utf8", at, end));
        if (record !== undefined && isWanted(record)) return record;
      }
    }
    return undefined;
  }

  #openSegment(bytes: number): string {
    const { writer, clock } = this.#options;
    if (this.#segment === undefined || this.#segmentBytes + bytes > segmentBytesMax) {
      this.#segment = join(this.#directory, `${writer}-${String(clock.now()).padStart(13, "0")}.jsonl`);
      this.#segmentBytes = 0;
    }
    this.#segmentBytes += bytes;
    return this.#segment;
  }

  async #prune(): Promise<void> {
    const { diskDaysMax, diskBytesMax } = this.#settings;
    const oldest = this.#options.clock.now() - diskDaysMax * dayMs;
    // Room for the segments that this and other processes are about to fill.
    const room = Math.max(0, diskBytesMax - segmentBytesMax);
    let bytes = 0;
    for (const segment of await this.#segments()) {
      bytes += segment.bytes;
      if (segment.path === this.#segment) continue;
      if (bytes > room || segment.changedAt < oldest) await rm(segment.path, { force: true });
    }
  }

  /** The newest first. */
  async #segments(): Promise<readonly Segment[]> {
    const names = await readdir(this.#directory).catch(() => []);
    const found = await Promise.all(
      names
        .filter((name) => segmentName.test(name))
        .map(async (name) => {
          const path = join(this.#directory, name);
          const file = await stat(path).catch(() => undefined);
          return file === undefined ? undefined : { path, bytes: file.size, changedAt: file.mtimeMs };
        }),
    );
    return found.filter((segment) => segment !== undefined).sort((a, b) => b.changedAt - a.changedAt);
  }
}

function parseLine(line: string): RequestRecord | undefined {
  try {
    return JSON.parse(line) as RequestRecord;
  } catch {
    return undefined;
  }
}
