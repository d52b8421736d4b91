import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { NexusError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";

/** What is run for a request, and its bounds. */
export interface Program {
  readonly command: readonly [file: string, ...args: string[]];
  /** Where it runs. */
  readonly directory: string;
  /** All of its environment: nothing else of the service's reaches it. */
  readonly environment: Readonly<Record<string, string>>;
  /** From its start to its end. */
  readonly timeoutMs: number;
  /** Of its stdout. */
  readonly outputBytesMax: number;
}

/** Programs that refuse their input end with it: `EX_DATAERR` of sysexits.h. */
const refusedStatus = 65;
/** How long a program that was told to end may take before it is killed, well within the second that cancelling has. */
const killMs = 500;
/** Of stderr: its end says what was wrong. */
const complaintBytesMax = 4_096;
const messageLengthMax = 500;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/**
 * Runs a program in a process group of its own, writes `input` to its stdin and yields what it prints. When the caller
 * stops reading, `signal` aborts, time runs out or there is too much of it, the whole group is ended; the generator ends
 * when the program has.
 * @throws NexusError `invalid_request` with the program's own words when it refuses its input, `first_token_timeout`,
 * `backend_error` for any other failure; the signal's reason.
 */
export async function* runProgram(
  program: Program,
  input: string,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): AsyncGenerator<Buffer> {
  signal.throwIfAborted();
  const child = start(program);
  const life = watch(child);
  const end = (): void => endGroup(child, life);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, program.timeoutMs);
  signal.addEventListener("abort", end, { once: true });
  child.stdin.on("error", () => {}).end(input);
  let length = 0;
  try {
    for await (const piece of child.stdout as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > program.outputBytesMax) throw failed("it printed more than it may");
      if (!signal.aborted && !isLate) yield piece;
    }
    const status = await life.ended;
    signal.throwIfAborted();
    if (isLate) throw late(program);
    if (status !== 0) throw complaint(status, life.complaint());
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw isLate ? late(program) : error;
  } finally {
    end();
    const status = await life.ended;
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    if (status !== 0) log.debug({ status, stderr: life.complaint() }, "the program ended");
  }
}

/** A child from its start to its end. */
interface Life {
  /** Its exit status; text when a signal ended it or it never began. */
  readonly ended: Promise<number | string>;
  isOver(): boolean;
  complaint(): string;
}

function start({ command, directory, environment }: Program): Child {
  const [file, ...args] = command;
  // A service is its own Node: another one on the PATH may be too old for what it runs.
  const path = file === "node" ? process.execPath : file;
  return spawn(path, args, {
    cwd: directory,
    env: environment,
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
}

function watch(child: Child): Life {
  let said = "";
  let isOver = false;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-complaintBytesMax);
  });
  const ended = new Promise<number | string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => {
      // What it has started and not waited for ends with it, and lets go of its pipes.
      signalGroup(child, "SIGKILL");
      resolve(code ?? signal ?? "lost");
    });
  }).finally(() => {
    isOver = true;
  });
  return { ended, isOver: () => isOver, complaint: () => said.trim() };
}

/** Ends the program and whatever it has started, politely first. */
function endGroup(child: Child, life: Life): void {
  // What has left the group may hold the pipes open for ever, also when the program has long ended.
  const letGo = (): void => {
    child.stdout.destroy();
    child.stderr.destroy();
  };
  if (life.isOver()) {
    letGo();
    return;
  }
  signalGroup(child, "SIGTERM");
  const timer = setTimeout(() => signalGroup(child, "SIGKILL"), killMs);
  void life.ended.then(() => {
    clearTimeout(timer);
    letGo();
  });
}

function signalGroup({ pid }: Child, signal: "SIGTERM" | "SIGKILL"): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody of the group is left.
  }
}

function late({ timeoutMs }: Program): NexusError {
  return new NexusError("first_token_timeout", `The program took longer than ${timeoutMs / 1000} s.`, {
    source: "service",
  });
}

function failed(detail: string): NexusError {
  return new NexusError("backend_error", "The program behind this service failed. The service's log says how.", {
    source: "service",
    detail,
  });
}

function complaint(status: number | string, said: string): NexusError {
  const last = said.split("\n").at(-1)?.slice(0, messageLengthMax) ?? "";
  if (status === refusedStatus && last !== "") {
    return new NexusError("invalid_request", last, { source: "service", detail: said });
  }
  return failed(`status ${status}: ${said}`);
}
