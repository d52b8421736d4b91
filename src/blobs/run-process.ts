import { spawn } from "node:child_process";

export interface ProcessRun {
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the process; `PATH` in it finds the command. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Ends the process: SIGTERM, and SIGKILL 2 s later. */
  readonly signal: AbortSignal;
  /** Takes stdout at its own pace. Without it stdout is thrown away. */
  readonly onOutput?: (chunk: Buffer) => Promise<void>;
}

export interface ProcessResult {
  /** `not-found` when there is no such command. */
  readonly exitCode: number | "not-found";
  /** The last 16 KiB. */
  readonly stderr: string;
}

const killAfterMs = 2_000;
const stderrMax = 16 * 1024;

/** Runs a process to its end. Throws the signal's reason when it was aborted, and what `onOutput` throws. */
export async function runProcess(run: ProcessRun): Promise<ProcessResult> {
  run.signal.throwIfAborted();
  const child = spawn(run.command, [...run.args], {
    env: { ...run.environment },
    stdio: ["ignore", run.onOutput === undefined ? "ignore" : "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-stderrMax);
  });
  const ended = new Promise<number | "not-found">((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "ENOENT" ? resolve("not-found") : reject(error),
    );
    child.once("close", (code) => resolve(code ?? -1));
  });
  // Its failure is taken up by the `await` below, also when the output fails first.
  ended.catch(() => {});
  let killTimer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill("SIGTERM");
    // What the process itself has started may hold its pipes open longer than it lives.
    child.stdout?.destroy();
    child.stderr?.destroy();
    killTimer ??= setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  };
  run.signal.addEventListener("abort", stop, { once: true });
  try {
    const { onOutput } = run;
    if (child.stdout !== null && onOutput !== undefined) {
      for await (const chunk of child.stdout) await onOutput(chunk as Buffer);
    }
    const exitCode = await ended;
    run.signal.throwIfAborted();
    return { exitCode, stderr };
  } catch (error) {
    stop();
    await ended.catch(() => {});
    throw run.signal.aborted ? run.signal.reason : error;
  } finally {
    clearTimeout(killTimer);
    run.signal.removeEventListener("abort", stop);
  }
}
