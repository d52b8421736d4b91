import { NexusError } from "../base/errors.ts";
import { type FormEvent, MultipartStream } from "../base/multipart-stream.ts";
import type { Files, Upload } from "../objects/files.ts";
import { clientClosed } from "../resilience/attempt-failure.ts";
import type { Exchange } from "./exchange.ts";

/** A form with one file in it, as it has come in. */
export interface ReceivedUpload {
  readonly filename: string;
  readonly fields: ReadonlyMap<string, string>;
  /** Whole, and not kept yet. */
  readonly upload: Upload;
}

const fieldBytesMax = 4_096;

/** Puts the pieces of a form where they belong: the file `file` on disk, fields into memory. */
class FormReceiver {
  readonly fields = new Map<string, string>();
  readonly #files: Files;
  upload: Upload | undefined;
  filename = "";
  /** The field that is being read; undefined while it is the file. */
  #field: string | undefined;
  #value: Buffer[] = [];
  #valueBytes = 0;

  constructor(files: Files) {
    this.#files = files;
  }

  async take(event: FormEvent): Promise<void> {
    if (event.kind === "begin") await this.#begin(event.head);
    else if (event.kind === "end") this.#end();
    else if (this.#field === undefined) await this.upload?.write(event.bytes);
    else this.#addToField(this.#field, event.bytes);
  }

  async #begin({ name, filename }: Extract<FormEvent, { kind: "begin" }>["head"]): Promise<void> {
    const isFile = filename !== undefined;
    if (isFile !== (name === "file")) throw wrong(name, isFile ? "must be a field" : "must be a file with a name");
    this.#field = isFile ? undefined : name;
    if (isFile ? this.upload !== undefined : this.fields.has(name)) throw wrong(name, "appears twice");
    if (!isFile) return;
    this.filename = filename;
    this.upload = await this.#files.begin();
  }

  #addToField(name: string, bytes: Buffer): void {
    this.#valueBytes += bytes.length;
    if (this.#valueBytes > fieldBytesMax) throw wrong(name, "is too long");
    this.#value.push(bytes);
  }

  #end(): void {
    if (this.#field !== undefined) this.fields.set(this.#field, Buffer.concat(this.#value).toString("utf8"));
    this.#value = [];
    this.#valueBytes = 0;
  }
}

function wrong(name: string, problem: string): NexusError {
  return new NexusError("invalid_request", `'${name}' ${problem}.`, { param: name });
}

/**
 * Receives a form of any size: the client sends as fast as the disk writes, and next to nothing is held in memory.
 * @throws NexusError for what is no such form, `storage_full`, `disk_full`, `client_closed`; nothing is left then.
 */
export async function receiveUpload(exchange: Exchange, files: Files): Promise<ReceivedUpload> {
  const stream = new MultipartStream(exchange.request.header("content-type") ?? "");
  const receiver = new FormReceiver(files);
  try {
    await receive(exchange, stream, receiver);
    const { upload, filename, fields } = receiver;
    if (upload === undefined) throw wrong("file", "is missing");
    return { upload, filename, fields };
  } catch (error) {
    await receiver.upload?.abandon();
    throw error;
  }
}

function receive(exchange: Exchange, stream: MultipartStream, receiver: FormReceiver): Promise<void> {
  const { request } = exchange;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let hasFailed = false;
  let work: Promise<void> = Promise.resolve();
  const fail = (error: unknown) => {
    hasFailed = true;
    reject(error);
  };
  const put = async (chunk: Buffer) => {
    for (const event of stream.push(chunk)) await receiver.take(event);
  };
  request.receiveBody({
    data(chunk) {
      exchange.bytesIn += chunk.length;
      // The rest is read and dropped, or the client would meet a reset instead of the answer that explains it.
      if (hasFailed) return true;
      work = put(chunk).catch(fail);
      void work.then(() => request.resumeBody());
      return false;
    },
    end() {
      void work
        .then(() => {
          stream.finish();
          resolve();
        })
        .catch(fail);
    },
    // What is being written must have ended before it can be thrown away.
    fail: () => void work.then(() => fail(clientClosed())),
  });
  return promise;
}
