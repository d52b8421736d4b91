import { type FSWatcher, watch } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type * as Yaml from "yaml";
import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import { loadLater } from "../base/load-later.ts";
import type { Logger } from "../base/logger.ts";
import { readPlainJson } from "../base/plain-json.ts";
import type { InstanceRecord } from "../contract/instance-record.ts";
import { ChangeFeed } from "./change-feed.ts";
import type { ParsedRecord } from "./parse-record.ts";
import type { RegistrySnapshot, RegistryView, RejectedRecord } from "./registry.ts";
import { SortedMap } from "./sorted-map.ts";
import { type EntryDefaults, parseStaticEntry } from "./static-entry.ts";

export interface StaticFileOptions {
  readonly path: string;
  /** Name of this host, for entries on loopback. Default `localhost`. */
  readonly hostId?: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Instances that the operator wrote down. */
export interface StaticFileSource extends RegistryView {
  /** Resolves when the file has been read once, well or not. */
  ready(): Promise<void>;
  /** Why the file as a whole cannot be used, with line and column. Undefined while it can. */
  problem(): string | undefined;
  close(): void;
}

/** Room for some 5,000 entries; a larger file is a mistake, and reading it would stop everything else. */
const fileBytesMax = 1024 * 1024;
/** Editors write in several steps. */
const settleMs = 50;
/** For file systems that tell nothing, such as network shares, and for links into other directories. */
const pollMs = 2_000;
/** An entry with more nodes behind aliases than this is a mistake. */
const aliasCountMax = 100;

/**
 * A YAML or JSON file: a list of instances, or a mapping whose `instances` is that list. Read again when it changes. An
 * entry that is wrong is listed with its line and reason and harms no other; a file that is broken, empty or gone leaves
 * the last good state in force, flagged stale (`instances: []` is how to say none).
 */
export function createStaticFileSource(options: StaticFileOptions): StaticFileSource {
  return new FileSource(options);
}

class FileSource implements StaticFileSource {
  readonly #options: StaticFileOptions;
  readonly #feed: ChangeFeed;
  readonly #first: Promise<void>;
  #snapshot: RegistrySnapshot;
  #text: string | undefined;
  #entries: ParsedFile = { instances: SortedMap.empty(), rejected: [], bySource: new Map() };
  #problem: string | undefined;
  #watcher: FSWatcher | undefined;
  #cancelTimer: (() => void) | undefined;
  #isChecking = false;
  #isHurried = false;
  #closed = false;

  constructor(options: StaticFileOptions) {
    this.#options = options;
    this.#feed = new ChangeFeed(() => this.#snapshot, options.log);
    this.#snapshot = this.#makeSnapshot(0);
    this.#first = this.#check();
  }

  current(): RegistrySnapshot {
    return this.#snapshot;
  }

  onChange(listener: (snapshot: RegistrySnapshot) => void): () => void {
    return this.#feed.onChange(listener);
  }

  ready(): Promise<void> {
    return this.#first;
  }

  problem(): string | undefined {
    return this.#problem;
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#watcher?.close();
    this.#feed.close();
  }

  async #check(): Promise<void> {
    this.#isChecking = true;
    // Before reading: what changes afterwards is heard.
    this.#watchDirectory();
    try {
      const text = await readBounded(this.#options.path);
      if (text !== this.#text) this.#apply(text);
    } catch (error) {
      this.#text = undefined;
      this.#complain(describeReadError(error));
    }
    this.#isChecking = false;
    if (!this.#closed) this.#wakeIn(this.#isHurried ? settleMs : pollMs);
    this.#isHurried = false;
  }

  #wakeIn(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.clock.after(delayMs, () => void this.#check());
  }

  #hurry(): void {
    if (this.#isHurried || this.#closed) return;
    this.#isHurried = true;
    if (!this.#isChecking) this.#wakeIn(settleMs);
  }

  /** The directory and not the file: editors put a new file in the old one's place. */
  #watchDirectory(): void {
    if (this.#watcher !== undefined || this.#closed) return;
    const { path } = this.#options;
    try {
      const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
        if (name === null || name === basename(path)) this.#hurry();
      });
      watcher.on("error", () => {
        watcher.close();
        this.#watcher = undefined;
      });
      this.#watcher = watcher;
    } catch {
      // No such directory, or no watches left: asking again and again does it too.
    }
  }

  #apply(text: string): void {
    const { clock, hostId = "localhost", log, path } = this.#options;
    const now = new Date(clock.now()).toISOString();
    this.#text = text;
    try {
      this.#entries = parseFile(text, { hostId, now }, this.#entries.bySource);
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#problem = undefined;
    this.#publish();
    log.info({ path, instances: this.#entries.instances.size }, "instances read from file");
    for (const { key, reason } of this.#entries.rejected) log.warn({ path, instance: key, reason }, "entry refused");
  }

  #complain(reason: string): void {
    if (this.#problem === reason || this.#closed) return;
    this.#problem = reason;
    const { log, path } = this.#options;
    log.warn({ path, reason }, "file of instances cannot be used; its last good state stays");
    this.#publish();
  }

  #publish(): void {
    if (this.#closed) return;
    this.#snapshot = this.#makeSnapshot(this.#snapshot.revision + 1);
    this.#feed.announce();
  }

  #makeSnapshot(revision: number): RegistrySnapshot {
    const { instances, rejected } = this.#entries;
    const key = basename(this.#options.path);
    const broken = this.#problem === undefined ? [] : [{ key, reason: this.#problem }];
    return Object.freeze({
      revision,
      instances,
      rejected: Object.freeze([...broken, ...rejected]),
      policy: { drained: [] },
      stale: this.#problem !== undefined,
    });
  }
}

interface ParsedFile {
  readonly instances: SortedMap<InstanceRecord>;
  readonly rejected: readonly RejectedRecord[];
  /** Records by the JSON of their entry: what stays as it was stays the same record. */
  readonly bySource: ReadonlyMap<string, InstanceRecord>;
}

/** @throws Error when the file as a whole cannot be used. */
function parseFile(text: string, defaults: EntryDefaults, before: ParsedFile["bySource"]): ParsedFile {
  const instances = new Map<string, InstanceRecord>();
  const rejected: RejectedRecord[] = [];
  const bySource = new Map<string, InstanceRecord>();
  for (const { value, line } of listEntries(text)) {
    const source = JSON.stringify(value);
    const known = before.get(source);
    const parsed: ParsedRecord =
      known === undefined
        ? parseStaticEntry(value, defaults)
        : { ok: true, key: `${known.service}/${known.instance}`, record: known };
    const key = parsed.key ?? `line ${line()}`;
    if (!parsed.ok) {
      rejected.push({ key, reason: `line ${line()}: ${parsed.reason}` });
    } else if (instances.has(key)) {
      rejected.push({ key, reason: `line ${line()}: listed twice; the first one counts` });
    } else {
      instances.set(key, parsed.record);
      bySource.set(source, parsed.record);
    }
  }
  return { instances: SortedMap.empty<InstanceRecord>().with(instances), rejected, bySource };
}

interface ListedEntry {
  readonly value: unknown;
  /** Where it begins, counting from 1. */
  readonly line: () => number;
}

const yaml = loadLater<typeof Yaml>("yaml");

/** @throws Error that says where and what is wrong. */
function listEntries(text: string): readonly ListedEntry[] {
  const plain = readPlainJson(text)?.value;
  const list = Array.isArray(plain) ? plain : (plain as { instances?: unknown } | undefined)?.instances;
  if (!Array.isArray(list)) return listYamlEntries(text);
  return list.map((value: unknown, at) => ({ value, line: () => listYamlEntries(text)[at]?.line() ?? 1 }));
}

function listYamlEntries(text: string): readonly ListedEntry[] {
  const { isMap, isNode, isSeq, LineCounter, parseDocument } = yaml();
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, stringKeys: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new Error(`line ${line}, column ${col}: ${error.message.replaceAll(/\s+/g, " ")}`);
  }
  const list = isMap(document.contents) ? document.contents.get("instances") : document.contents;
  if (list === null || list === undefined) {
    throw new Error("lists no instances; to say that there are none, write instances: []");
  }
  if (!isSeq(list)) throw new Error("must be a list of instances, or have one under `instances`");
  // One by one: what they share by an anchor may be used in every one of them.
  return list.items.filter(isNode).map((item) => ({
    value: item.toJS(document, { maxAliasCount: aliasCountMax }) ?? null,
    line: () => (item.range ? lines.linePos(item.range[0]).line : 1),
  }));
}

async function readBounded(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    if (size > fileBytesMax) throw new Error(`is larger than ${fileBytesMax} bytes`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

function describeReadError(error: unknown): string {
  return (error as NodeJS.ErrnoException).code === "ENOENT"
    ? "does not exist; it is read once it does"
    : describeError(error);
}
