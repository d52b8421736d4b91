import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { RecordsConfig } from "./config.ts";
import { RecordFiles } from "./record-files.ts";
import type { RequestRecord } from "./request-record.ts";

export interface RecordStoreOptions {
  readonly settings: RecordsConfig;
  /** Where older records go; undefined keeps them in memory only. */
  readonly directory: string | undefined;
  /** Names this process among those that write into the directory. */
  readonly writer: string;
  /** Default: there are none. */
  readonly peers?: RecordPeers;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A request that has ended, as memory keeps it. Most are never asked for: their record is written when one is. */
export interface KeptRequest {
  readonly id: string;
  readonly model: string | undefined;
  readonly resolvedModel: string | undefined;
  readonly key: string | undefined;
  /** Of the error that the client was told. */
  readonly code: string | undefined;
  /** Kept on disk rather than others: it failed, or took more than one attempt. */
  readonly isNotable: boolean;
  toRecord(): RequestRecord;
}

/** What other processes have in memory that serve the same address. */
export interface RecordPeers {
  record(id: string): Promise<readonly RequestRecord[]>;
  /** As `list` of each of them. */
  records(filter: RecordFilter, limit: number): Promise<readonly RequestRecord[]>;
}

export interface RecordFilter {
  readonly model?: string;
  /** Only requests that were told an error. */
  readonly failed?: boolean;
  readonly key?: string;
}

/** How long records are gathered before they are written. */
const flushMs = 1_000;

/**
 * The newest requests. Adding one is a push into a ring; everything else happens a second later, in one write, and a
 * disk that is full or slow costs records and never a request.
 */
export class RecordStore {
  readonly #options: RecordStoreOptions;
  readonly #files: RecordFiles | undefined;
  /** A ring: the newest stands before `#next`. */
  #ring: KeptRequest[] = [];
  #next = 0;
  #settings: RecordsConfig;
  #pending: KeptRequest[] = [];
  #pendingNotable = 0;
  #dropped = 0;
  #cancelFlush: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: RecordStoreOptions) {
    this.#options = options;
    this.#settings = options.settings;
    const { directory } = options;
    this.#files = directory === undefined ? undefined : new RecordFiles(options, directory);
  }

  /** Takes effect at once in memory, and with the next write on disk. */
  configure(settings: RecordsConfig): void {
    const newest = [...this.#newestFirst()].slice(0, settings.memoryMax).reverse();
    this.#settings = settings;
    this.#ring = newest;
    this.#next = newest.length < settings.memoryMax ? newest.length : 0;
    this.#files?.configure(settings);
  }

  /** Records that were left out on disk because too many came at once or it could not be written. */
  get dropped(): number {
    return this.#dropped + (this.#files?.dropped ?? 0);
  }

  add(request: KeptRequest): void {
    const { memoryMax, diskBytesMax } = this.#settings;
    if (memoryMax > 0) {
      this.#ring[this.#next] = request;
      this.#next = (this.#next + 1) % memoryMax;
    }
    if (this.#files !== undefined && diskBytesMax > 0) this.#queue(request);
  }

  /** The newest record with this id, or undefined. `isWanted` hides what the asker may not see. */
  async find(
    id: string,
    isWanted: (record: RequestRecord) => boolean = () => true,
  ): Promise<RequestRecord | undefined> {
    const own = this.findHere(id, isWanted);
    if (own !== undefined) return own;
    const others = (await this.#options.peers?.record(id)) ?? [];
    const known = others.find(isWanted);
    if (known !== undefined || this.#files === undefined) return known;
    await this.#writing;
    return this.#files.find(id, isWanted);
  }

  /** As `find`, from this process's memory alone. */
  findHere(id: string, isWanted: (record: RequestRecord) => boolean = () => true): RequestRecord | undefined {
    const isAsked = (request: KeptRequest) => request.id === id && isWanted(request.toRecord());
    const found = this.#newestFirst().find(isAsked) ?? this.#pending.findLast(isAsked);
    return found?.toRecord();
  }

  /** The newest first, from the memory of this process and its peers. */
  async list(filter: RecordFilter, limit: number): Promise<readonly RequestRecord[]> {
    const own = this.listHere(filter, limit);
    const others = (await this.#options.peers?.records(filter, limit)) ?? [];
    if (others.length === 0) return own;
    const newestFirst = (a: RequestRecord, b: RequestRecord) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0);
    return [...own, ...others].sort(newestFirst).slice(0, limit);
  }

  /** The newest first, from this process's memory alone. */
  listHere(filter: RecordFilter, limit: number): readonly RequestRecord[] {
    const found: RequestRecord[] = [];
    for (const request of this.#newestFirst()) {
      if (found.length >= limit) break;
      if (matches(request, filter)) found.push(request.toRecord());
    }
    return found;
  }

  /** Writes what is left. */
  async close(): Promise<void> {
    this.#flush();
    await this.#writing;
  }

  #queue(request: KeptRequest): void {
    const { diskPerSecondMax } = this.#settings;
    const { isNotable } = request;
    const ordinary = this.#pending.length - this.#pendingNotable;
    if (isNotable ? this.#pendingNotable >= diskPerSecondMax : ordinary >= diskPerSecondMax) {
      this.#dropped++;
      return;
    }
    this.#pending.push(request);
    if (isNotable) this.#pendingNotable++;
    this.#cancelFlush ??= this.#options.clock.after(flushMs, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    const requests = this.#pending;
    this.#pending = [];
    this.#pendingNotable = 0;
    if (requests.length === 0 || this.#files === undefined) return;
    const files = this.#files;
    const records = requests.map((request) => request.toRecord());
    this.#writing = this.#writing.then(() => files.append(records));
  }

  *#newestFirst(): Generator<KeptRequest> {
    const { length } = this.#ring;
    for (let back = 1; back <= length; back++) {
      const request = this.#ring[(this.#next - back + length) % length];
      if (request !== undefined) yield request;
    }
  }
}

function matches(request: KeptRequest, { model, failed, key }: RecordFilter): boolean {
  return (
    (model === undefined || request.model === model || request.resolvedModel === model) &&
    (failed !== true || request.code !== undefined) &&
    (key === undefined || request.key === key)
  );
}
