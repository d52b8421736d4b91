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

/** whisper.cpp in a process of its own, started when it is needed. */
export interface Engine {
  loaded(): LoadedModel | undefined;
  /** Loads a model instead of the one before. Throws with what is wrong. */
  load(path: string, signal: AbortSignal): Promise<LoadedModel>;
  /**
   * Hears a file with a model, loaded first when it is not. When the signal aborts, or nobody reads on, the process is
   * ended in the middle of its work.
   * @throws NexusError
   */
  transcribe(path: string, file: Uint8Array, job: TranscribeJob, signal: AbortSignal): AsyncGenerator<EngineMessage>;
  close(): void;
}

/** One after the other: whisper.cpp takes all its threads for one file. */
export function createEngine(library: string | undefined, log: Logger): Engine {
  let child: ChildProcess | undefined;
  let loaded: LoadedModel | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  const start = (): ChildProcess => {
    const started = fork(fileURLToPath(new URL("./engine.ts", import.meta.url)), [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [],
      env: { PATH: process.execPath },
    });
    started.once("exit", (code, signal) => {
      if (child !== started) return;
      log.warn({ exit_code: code, signal }, "the engine has ended; it is started anew when it is needed");
      child = undefined;
      loaded = undefined;
    });
    // A job that cannot be sent ends as one whose process has gone.
    started.on("error", () => started.kill("SIGKILL"));
    return started;
  };
  const end = (): void => {
    const ended = child;
    child = undefined;
    loaded = undefined;
    ended?.kill("SIGKILL");
  };
  /** Gives a job to the process and passes on what it says, up to the last word. */
  async function* ask(job: EngineJob, signal: AbortSignal): AsyncGenerator<EngineMessage> {
    child ??= start();
    const gone = new AbortController();
    const lost = (): void => gone.abort(new NexusError("backend_error", "The engine broke down at this file."));
    child.once("exit", lost);
    let isOver = false;
    try {
      const messages = on(child, "message", { signal: AbortSignal.any([signal, gone.signal]) });
      child.send(job);
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
      child?.off("exit", lost);
      if (!isOver) end();
    }
  }
  const ensure = async (path: string, signal: AbortSignal): Promise<LoadedModel> => {
    if (loaded?.path === path && child !== undefined) return loaded;
    loaded = undefined;
    for await (const message of ask({ kind: "load", path, library: library ?? null }, signal)) {
      if (message.kind === "loaded") loaded = { path, ...message };
    }
    if (loaded === undefined) throw new NexusError("backend_error", "The engine did not load the model.");
    return loaded;
  };
  /** Waits for its turn; `done` passes it on. */
  const takeTurn = async (): Promise<() => void> => {
    const before = turn;
    const mine = Promise.withResolvers<void>();
    turn = mine.promise;
    await before;
    return mine.resolve;
  };
  return {
    loaded: () => loaded,
    async load(path, signal) {
      const done = await takeTurn();
      try {
        return await ensure(path, signal);
      } finally {
        done();
      }
    },
    async *transcribe(path, file, job, signal) {
      const done = await takeTurn();
      try {
        signal.throwIfAborted();
        await ensure(path, signal);
        yield* ask({ kind: "transcribe", file, ...job }, signal);
      } finally {
        done();
      }
    },
    close: end,
  };
}

function toError({ code, message, param }: EngineMessage & { kind: "failed" }): NexusError {
  return new NexusError(code, message, param === null ? {} : { param });
}
