import { type ChildProcess, spawn } from "node:child_process";
import { NexusError } from "nexus/base";

export interface ProgramRun {
  readonly program: string;
  readonly arguments: readonly string[];
  /** All that it gets. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** What users call it. */
  readonly title: string;
  /** Ends it and everything that it has started. */
  readonly signal: AbortSignal;
  /** Pieces of what it says, on either stream. */
  readonly onOutput: (text: string) => void;
}

/** Of what a program says, kept for the log. */
const keptOutput = 4_000;
/** From being asked to end to being ended. */
const graceMs = 500;

/**
 * Runs a program to its end, as a group of its own.
 * @throws NexusError `backend_error` when it fails; the signal's reason when it aborts, and nothing of it is left then.
 */
export async function runProgram(run: ProgramRun): Promise<void> {
  const { program, title, signal } = run;
  signal.throwIfAborted();
  const child = spawn(program, run.arguments, {
    cwd: run.directory,
    env: { ...run.environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let said = "";
  const hear = (chunk: Buffer): void => {
    const text = chunk.toString("utf8");
    said = (said + text).slice(-keptOutput);
    run.onOutput(text);
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const end = (): void => endGroup(child);
  signal.addEventListener("abort", end, { once: true });
  try {
    const code = await closed(child);
    signal.throwIfAborted();
    if (code !== 0) {
      throw new NexusError("backend_error", `${title} failed; the service's log says why.`, {
        detail: `${code}: ${said}`,
        source: "service",
      });
    }
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** Its exit status once it is gone and has said all; null when a signal ended it. */
function closed(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", (error) => {
      reject(
        new NexusError("backend_error", "The program could not be started.", { cause: error, detail: error.message }),
      );
    });
    child.once("close", (code) => resolve(code));
  });
}

function endGroup(child: ChildProcess): void {
  signalGroup(child, "SIGTERM");
  const timer = setTimeout(() => signalGroup(child, "SIGKILL"), graceMs);
  child.once("exit", () => clearTimeout(timer));
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone.
  }
}
