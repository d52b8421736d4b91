import type { Readable } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { FilesConfig } from "./config.ts";
import type { FileBytes, FileWriter } from "./file-bytes.ts";
import type { FileStore, StoredFile } from "./file-store.ts";
import { newObjectId } from "./object-id.ts";

/** What is said of a file when it is whole. */
export type FileLabel = Pick<StoredFile, "tenant" | "purpose" | "filename" | "expiresAt">;

/** A file that is coming in. */
export interface Upload {
  /** @throws NexusError `storage_full` when it becomes too large, or `disk_full`; nothing of it is left then. */
  write(chunk: Buffer): Promise<void>;
  /** @throws NexusError like `write`, or `database_unavailable`; nothing of it is left then. */
  finish(label: FileLabel): Promise<StoredFile>;
  /** Throws it away. Does nothing after `finish`. */
  abandon(): Promise<void>;
}

export interface FilesOptions {
  readonly store: FileStore;
  readonly bytes: FileBytes;
  /** As they are now: a file that is coming in ends by those that it began with. */
  readonly limits: () => Pick<FilesConfig, "fileBytesMax">;
  readonly clock: Clock;
  readonly log: Logger;
}

const sweepMs = 600_000;
/** What is in the folder and in no database is thrown away after so long: nobody writes one file for a day. */
const orphanMs = 86_400_000;
const lookedUpAtOnce = 200;

/** Files of clients: what is known of them in the database, their bytes on disk. Bytes come first and go last. */
export class Files {
  readonly #options: FilesOptions;
  #cancelSweep: () => void;

  constructor(options: FilesOptions) {
    this.#options = options;
    this.#cancelSweep = options.clock.after(sweepMs, () => this.#sweepAndAgain());
  }

  get fileBytesMax(): number {
    return this.#options.limits().fileBytesMax;
  }

  /**
   * Begins a file. With an `id`, one of that name is replaced.
   * @throws NexusError `disk_full`.
   */
  async begin(id = newObjectId("file-"), bytesMax = this.#options.limits().fileBytesMax): Promise<Upload> {
    const writer = await this.#options.bytes.create(id);
    let bytes = 0;
    return {
      write: async (chunk) => {
        bytes += chunk.length;
        if (bytes <= bytesMax) return await writer.write(chunk);
        await writer.abandon();
        throw new NexusError(
          "storage_full",
          `The file is larger than ${bytesMax} bytes. Send less, or raise \`files.fileBytesMax\`.`,
        );
      },
      finish: (label) => this.#finish({ ...label, id, bytes, createdAt: this.#options.clock.now() }, writer),
      abandon: () => writer.abandon(),
    };
  }

  find(tenant: string, id: string): Promise<StoredFile | undefined> {
    return this.#options.store.find(tenant, id);
  }

  page(...question: Parameters<FileStore["page"]>): ReturnType<FileStore["page"]> {
    return this.#options.store.page(...question);
  }

  /** All of it, or a part. @throws NexusError `not_found` when its bytes are on another host. */
  read({ id }: Pick<StoredFile, "id">, part?: Parameters<FileBytes["read"]>[1]): Promise<Readable> {
    return this.#options.bytes.read(id, part);
  }

  /** Whether there was one. */
  async remove(tenant: string, id: string): Promise<boolean> {
    const isRemoved = await this.#options.store.remove(tenant, id);
    if (isRemoved) await this.#options.bytes.remove(id);
    return isRemoved;
  }

  /** Takes away what has expired, and bytes that belong to nothing. Runs by itself now and then. */
  async sweep(): Promise<void> {
    const { store, bytes, clock } = this.#options;
    for (let ids = await store.removeExpired(); ids.length > 0; ids = await store.removeExpired()) {
      for (const id of ids) await bytes.remove(id);
    }
    const old = await bytes.olderThan(orphanMs, clock.now());
    for (let start = 0; start < old.length; start += lookedUpAtOnce) {
      const some = old.slice(start, start + lookedUpAtOnce);
      const known = await store.known(some);
      for (const name of some) if (!known.has(name)) await bytes.remove(name);
    }
  }

  close(): void {
    this.#cancelSweep();
  }

  async #finish(file: StoredFile, writer: FileWriter): Promise<StoredFile> {
    await writer.commit();
    try {
      await this.#options.store.add(file);
    } catch (error) {
      await this.#options.bytes.remove(file.id);
      throw error;
    }
    return file;
  }

  #sweepAndAgain(): void {
    const { clock, log } = this.#options;
    this.sweep()
      .catch((error: unknown) => log.warn({ reason: describeError(error) }, "old files could not be removed"))
      .finally(() => {
        this.#cancelSweep = clock.after(sweepMs, () => this.#sweepAndAgain());
      });
  }
}
