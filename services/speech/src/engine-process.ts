import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Logger, NexusError } from "nexus/base";
import type { EngineJob, EngineMessage, PiperFiles } from "./engine-messages.ts";
import { unknownVoice } from "./voices.ts";

/** A speaker in a process of its own, started when it is needed. */
export interface Engine {
  /** Starts it if it is not there. Resolves to the samples a second that it makes. Throws with what is wrong. */
  open(signal: AbortSignal): Promise<number>;
  /**
   * Speaks a piece; pieces of several texts take turns. When the signal aborts in the middle, the process is ended.
   * @throws NexusError
   */
  speak(utterance: Omit<EngineJob & { kind: "speak" }, "kind">, signal: AbortSignal): Promise<Float32Array>;
  close(): void;
}

/** How long a piece may still take when nobody wants it any more, before its process is ended and must load anew. */
const graceMs = 300;

/** `prepare` makes what the engine opens: the files of a Piper voice, or null for eSpeak NG. */
export function createEngine(prepare: () => Promise<PiperFiles | null>, log: Logger): Engine {
  let child: ChildProcess | undefined;
  let opened: Promise<number> | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  const end = (): void => {
    const ended = child;
    child = undefined;
    opened = undefined;
    ended?.kill("SIGKILL");
  };
  const start = (): ChildProcess => {
    const started = fork(fileURLToPath(new URL("./engine.ts", import.meta.url)), [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [],
      env: { PATH: process.execPath },
    });
    started.once("exit", (code, signal) => {
      if (child !== started) return;
      log.warn({ exit_code: code, signal }, "an engine has ended; it is started anew when it is needed");
      end();
    });
    started.on("error", end);
    return started;
  };
  const ask = async (job: EngineJob): Promise<Exclude<EngineMessage, { kind: "failed" }>> => {
    child ??= start();
    const asked = child;
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
  };
  const open = async (): Promise<number> => {
    const answer = await ask({ kind: "open", voice: await prepare() });
    if (answer.kind !== "opened") throw new RangeError("the engine answered something else");
    return answer.sampleRate;
  };
  const ensure = (): Promise<number> => {
    opened ??= open().catch((error: unknown) => {
      end();
      throw error;
    });
    return opened;
  };
  /** Runs when all before have ended. */
  const inTurn = async <T>(run: () => Promise<T>): Promise<T> => {
    const before = turn;
    const mine = Promise.withResolvers<void>();
    turn = mine.promise;
    await before;
    try {
      return await run();
    } finally {
      mine.resolve();
    }
  };
  /** Ends the process if the work goes on for a while after nobody wants it. */
  const unlessUnwanted = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const giveUp = (): void => {
      timer = setTimeout(end, graceMs);
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
  };
  return {
    open: (signal) => inTurn(() => unlessUnwanted(ensure(), signal)),
    speak: (utterance, signal) =>
      inTurn(async () => {
        signal.throwIfAborted();
        const work = ensure().then(() => ask({ kind: "speak", ...utterance }));
        const answer = await unlessUnwanted(work, signal);
        if (answer.kind !== "sound") throw new RangeError("the engine answered something else");
        return answer.samples;
      }),
    close: end,
  };
}
