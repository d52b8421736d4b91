import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { NexusError } from "../base/errors.ts";

/** A file that is being written. Nobody sees it until `commit`. */
export interface FileWriter {
  /** @throws NexusError `disk_full`; what was written is gone then. */
  write(chunk: Buffer): Promise<void>;
  /** Puts it in its place, whole and on the disk. @throws NexusError `disk_full`. */
  commit(): Promise<void>;
  /** Throws it away. Does nothing after `commit`. */
  abandon(): Promise<void>;
}

/** Bytes on disk by id, one folder for all. */
export interface FileBytes {
  create(id: string): Promise<FileWriter>;
  /** All of it, or the bytes from `start` to `end`. @throws NexusError `not_found` when they are not in this folder. */
  read(id: string, part?: { readonly start: number; readonly end: number }): Promise<Readable>;
  remove(id: string): Promise<void>;
  /** Names of what has not been written to for so long: ids, and leftovers of writers that died. */
  olderThan(ageMs: number, nowMs: number): Promise<readonly string[]>;
}

/** What a file is called until it is whole; ids have no dots. */
const partSuffix = ".part";
/** The disk is full, the owner's share of it is, or the file system cannot hold a file of that size. */
const fullCodes: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

type OpenForWriting = (path: string) => Promise<FileHandle>;
const openNew: OpenForWriting = (path) => open(path, "w", 0o600);

/** `openFile` is for tests of a full disk. */
export function createFileBytes(directory: string, openFile: OpenForWriting = openNew): FileBytes {
  const pathOf = (id: string) => join(directory, id);
  return {
    async create(id) {
      const part = pathOf(`${id}.${process.pid}${partSuffix}`);
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const handle = await orFull(openFile(part));
      return new PartWriter(handle, part, pathOf(id));
    },
    async read(id, part) {
      try {
        const handle = await open(pathOf(id));
        return createReadStream("", { fd: handle, highWaterMark: 256 * 1024, ...part });
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
        throw new NexusError(
          "not_found",
          "The bytes of this file are not on this host. Gateways that share a database must share `files.directory`.",
          { cause },
        );
      }
    },
    remove: (id) => rm(pathOf(id), { force: true }),
    async olderThan(ageMs, nowMs) {
      const old: string[] = [];
      for (const name of await readdir(directory).catch(() => [])) {
        const { mtimeMs } = await stat(pathOf(name)).catch(() => ({ mtimeMs: nowMs }));
        if (nowMs - mtimeMs > ageMs) old.push(name);
      }
      return old;
    },
  };
}

class PartWriter implements FileWriter {
  readonly #handle: FileHandle;
  readonly #part: string;
  readonly #path: string;
  #isOver = false;

  constructor(handle: FileHandle, part: string, path: string) {
    this.#handle = handle;
    this.#part = part;
    this.#path = path;
  }

  async write(chunk: Buffer): Promise<void> {
    await this.#orAbandon(async () => {
      for (let at = 0; at < chunk.length; ) at += (await this.#handle.write(chunk, at)).bytesWritten;
    });
  }

  async commit(): Promise<void> {
    await this.#orAbandon(async () => {
      await this.#handle.sync();
      await this.#handle.close();
      await rename(this.#part, this.#path);
      this.#isOver = true;
    });
  }

  async abandon(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#handle.close().catch(() => {});
    await rm(this.#part, { force: true });
  }

  async #orAbandon(run: () => Promise<void>): Promise<void> {
    try {
      await orFull(run());
    } catch (error) {
      await this.abandon();
      throw error;
    }
  }
}

async function orFull<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (!fullCodes.has((cause as NodeJS.ErrnoException).code)) throw cause;
    throw new NexusError("disk_full", "The disk of the gateway has no room for this file.", { cause });
  }
}
