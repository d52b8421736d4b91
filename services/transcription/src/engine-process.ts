import { type ChildProcess, fork } from "node:child_process";
import { on } from "node:events";
import { fileURLToPath } from "node:url";
import { type Logger, NexusError } from "nexus/base";
import type { EngineJob, EngineMessage, TranscribeJob } from "./engine-messages.ts";

/** The model that the engine has in memory. */
export interface LoadedModel {
  readonly path: string;
  /** Of whisper.cpp. */
  readonly version: string;
  readonly isMultilingual: boolean;
}

/** whisper.cpp in a process of its own, started when it is needed: one file after the other, as it takes all its threads. */
export class Engine {
  readonly #library: string | undefined;
  readonly #log: Logger;
  #child: ChildProcess | undefined;
  #loaded: LoadedModel | undefined;
  #turn: Promise<void> = Promise.resolve();

  /** `library` is the path of a libwhisper; undefined takes the one that is installed. */
  constructor(library: string | undefined, log: Logger) {
    this.#library = library;
    this.#log = log;
  }

  get loaded(): LoadedModel | undefined {
    return this.#loaded;
  }

  /** Loads a model instead of the one before. Throws with what is wrong. */
  async load(path: string, signal: AbortSignal): Promise<LoadedModel> {
    const done = await this.#takeTurn();
    try {
      return await this.#ensure(path, signal);
    } finally {
      done();
    }
  }

  /**
   * Hears a file with a model, loaded first when it is not. When the signal aborts, or nobody reads on, the process is
   * ended in the middle of its work.
   * @throws NexusError
   */
  async *transcribe({ path, file, job }: Hearing, signal: AbortSignal): AsyncGenerator<EngineMessage> {
    const done = await this.#takeTurn();
    try {
      signal.throwIfAborted();
      await this.#ensure(path, signal);
      yield* this.#ask({ kind: "transcribe", file, ...job }, signal);
    } finally {
      done();
    }
  }

  close(): void {
    const ended = this.#child;
    this.#child = undefined;
    this.#loaded = undefined;
    ended?.kill("SIGKILL");
  }

  async #ensure(path: string, signal: AbortSignal): Promise<LoadedModel> {
    if (this.#loaded?.path === path && this.#child !== undefined) return this.#loaded;
    this.#loaded = undefined;
    for await (const message of this.#ask({ kind: "load", path, library: this.#library ?? null }, signal)) {
      if (message.kind === "loaded") this.#loaded = { path, ...message };
    }
    // Set in the loop, which the compiler does not see.
    const loaded = this.#loaded as LoadedModel | undefined;
    if (loaded === undefined) throw new NexusError("backend_error", "The engine did not load the model.");
    return loaded;
  }

  #start(): ChildProcess {
    const started = fork(fileURLToPath(new URL("./engine-worker.ts", import.meta.url)), [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [],
      env: { PATH: process.execPath },
    });
    started.once("exit", (code, signal) => {
      if (this.#child !== started) return;
      this.#log.warn({ exit_code: code, signal }, "the engine has ended; it is started anew when it is needed");
      this.close();
    });
    // A job that cannot be sent ends as one whose process has gone.
    started.on("error", () => started.kill("SIGKILL"));
    return started;
  }

  /** Gives a job to the process and passes on what it says, up to the last word. */
  async *#ask(job: EngineJob, signal: AbortSignal): AsyncGenerator<EngineMessage> {
    this.#child ??= this.#start();
    const asked = this.#child;
    const gone = new AbortController();
    const lost = (): void => gone.abort(new NexusError("backend_error", "The engine broke down at this file."));
    asked.once("exit", lost);
    let isOver = false;
    try {
      const messages = on(asked, "message", { signal: AbortSignal.any([signal, gone.signal]) });
      asked.send(job);
      for await (const [message] of messages as AsyncIterable<[EngineMessage]>) {
        isOver = message.kind === "loaded" || message.kind === "done" || message.kind === "failed";
        if (message.kind === "failed") throw toError(message);
        yield message;
        if (isOver) return;
      }
    } catch (error) {
      signal.throwIfAborted();
      throw gone.signal.aborted ? gone.signal.reason : error;
    } finally {
      asked.off("exit", lost);
      if (!isOver) this.close();
    }
  }

  /** Waits for its turn; what it resolves to passes it on. */
  async #takeTurn(): Promise<() => void> {
    const before = this.#turn;
    const mine = Promise.withResolvers<void>();
    this.#turn = mine.promise;
    await before;
    return mine.resolve;
  }
}

/** A file to be heard. */
export interface Hearing {
  /** Of the model. */
  readonly path: string;
  readonly file: Uint8Array;
  readonly job: TranscribeJob;
}

function toError({ code, message, param }: EngineMessage & { kind: "failed" }): NexusError {
  return new NexusError(code, message, param === null ? {} : { param });
}
