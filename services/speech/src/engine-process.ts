import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Logger, NexusError } from "nexus/base";
import type { EngineJob, EngineMessage, PiperFiles } from "./engine-messages.ts";
import { unknownVoice } from "./voices.ts";

/** How long a piece may still take when nobody wants it any more, before its process is ended and must load anew. */
const graceMs = 300;

/** What is spoken at once. */
export type Utterance = Omit<EngineJob & { kind: "speak" }, "kind">;

type Answer = Exclude<EngineMessage, { kind: "failed" }>;

/** A speaker in a process of its own, started when it is needed. */
export class Engine {
  readonly #prepare: () => Promise<PiperFiles | null>;
  readonly #log: Logger;
  #child: ChildProcess | undefined;
  #opened: Promise<number> | undefined;
  #turn: Promise<void> = Promise.resolve();

  /** `prepare` makes what the engine opens: the files of a Piper voice, or null for eSpeak NG. */
  constructor(prepare: () => Promise<PiperFiles | null>, log: Logger) {
    this.#prepare = prepare;
    this.#log = log;
  }

  /** Starts it if it is not there. Resolves to the samples a second that it makes. Throws with what is wrong. */
  async open(signal: AbortSignal): Promise<number> {
    return await this.#inTurn(() => this.#unlessUnwanted(this.#ensure(), signal));
  }

  /**
   * Speaks a piece; pieces of several texts take turns. When the signal aborts in the middle, the process is ended.
   * @throws NexusError
   */
  async speak(utterance: Utterance, signal: AbortSignal): Promise<Float32Array> {
    return await this.#inTurn(async () => {
      signal.throwIfAborted();
      const work = this.#ensure().then(() => this.#ask({ kind: "speak", ...utterance }));
      const answer = await this.#unlessUnwanted(work, signal);
      if (answer.kind !== "sound") throw new RangeError("the engine answered something else");
      return answer.samples;
    });
  }

  close(): void {
    const ended = this.#child;
    this.#child = undefined;
    this.#opened = undefined;
    ended?.kill("SIGKILL");
  }

  #ensure(): Promise<number> {
    this.#opened ??= this.#open().catch((error: unknown) => {
      this.close();
      throw error;
    });
    return this.#opened;
  }

  async #open(): Promise<number> {
    const answer = await this.#ask({ kind: "open", voice: await this.#prepare() });
    if (answer.kind !== "opened") throw new RangeError("the engine answered something else");
    return answer.sampleRate;
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
      this.#log.warn({ exit_code: code, signal }, "an engine has ended; it is started anew when it is needed");
      this.close();
    });
    started.on("error", () => started.kill("SIGKILL"));
    return started;
  }

  async #ask(job: EngineJob): Promise<Answer> {
    this.#child ??= this.#start();
    const asked = this.#child;
    const gone = new AbortController();
    const lost = (): void => gone.abort();
    asked.once("exit", lost);
    try {
      const answer = once(asked, "message", { signal: gone.signal });
      asked.send(job);
      const [message] = (await answer) as [EngineMessage];
      if (message.kind !== "failed") return message;
      if (message.isVoiceUnknown && job.kind === "speak") throw unknownVoice(job.voice);
      throw new NexusError("backend_error", "The engine could not speak.", { detail: message.message });
    } catch (error) {
      if (gone.signal.aborted) throw new NexusError("backend_error", "The engine broke down.");
      throw error;
    } finally {
      asked.off("exit", lost);
    }
  }

  /** Runs when all before have ended. */
  async #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const mine = Promise.withResolvers<void>();
    this.#turn = mine.promise;
    await before;
    try {
      return await run();
    } finally {
      mine.resolve();
    }
  }

  /** Ends the process if the work goes on for a while after nobody wants it. */
  async #unlessUnwanted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const giveUp = (): void => {
      timer = setTimeout(() => this.close(), graceMs);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      return await work;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
    }
  }
}
