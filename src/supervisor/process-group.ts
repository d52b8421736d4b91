import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { identify, type ProcessIdentity } from "../base/process-identity.ts";
import type { ProcessExit } from "./driver.ts";

export interface Launch {
  readonly command: readonly [string, ...string[]];
  /** All of the environment; nothing is added. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly niceness?: number;
}

export interface Launched {
  readonly identity: ProcessIdentity;
  readonly exit: Promise<ProcessExit>;
}

const looksMax = 10;

/**
 * Starts a process as the leader of a new session and process group, without a terminal, reading from /dev/null and
 * appending to `logFile` by itself: no pipe to this process whose end could fail it. Rejects with a `NexusError` when
 * it cannot be started.
 */
export async function launchDetached(launch: Launch, logFile: string, log: Logger): Promise<Launched> {
  const child = spawnWithLog(launch, openLog(logFile, log));
  if (child.pid === undefined) throw await startFailure(child, launch);
  // Node reaps a child from its event loop only, so that one which has ended already still has its entry here.
  const identity = identify(child.pid);
  if (identity === undefined) {
    child.kill("SIGKILL");
    throw new NexusError("internal_error", `\`${launch.command[0]}\` was started, but its start time cannot be read.`);
  }
  const { niceness = 0 } = launch;
  if (niceness > 0) lowerPriority(child.pid, niceness, log);
  child.unref();
  const exit = once(child, "exit").then(([code, signal]): ProcessExit => ({ code, signal }));
  return { identity, exit };
}

/**
 * Makes a process and all that it starts from now on leave the processor to others. Linux may weigh sessions against
 * each other and only then the processes in them (sched_autogroup in its manual page sched(7)): there it is told of the
 * session too. What the system does not let us do is logged and left.
 */
export function lowerPriority(pid: number, niceness: number, log: Logger): void {
  try {
    setPriority(pid, niceness);
    const autogroup = `/proc/${pid}/autogroup`;
    if (existsSync(autogroup)) writeFileSync(autogroup, String(niceness));
    lowerThreads(pid, niceness);
  } catch (error) {
    // It has ended already, or the system does not let us: nothing depends on it.
    log.debug({ pid, error: describeError(error) }, "the priority of a process stays as it is");
  }
}

/**
 * On Linux a priority is a thread's, and goes to those that it begins. A process that has just been started may have
 * some by now, where this one had to wait for the processor.
 */
function lowerThreads(pid: number, niceness: number): void {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return;
  // A second look finds what was begun during the first, and so on; a process that begins threads for ever ends it too.
  for (let look = 0; look < looksMax; look++) {
    const eager = readdirSync(tasks).filter((id) => priorityOf(Number(id)) < niceness);
    if (eager.length === 0) return;
    for (const id of eager) setPriority(Number(id), niceness);
  }
}

/** One that has ended meanwhile needs nothing more. */
function priorityOf(thread: number): number {
  try {
    return getPriority(thread);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function spawnWithLog({ command: [program, ...args], env, cwd }: Launch, output: number | "ignore"): ChildProcess {
  try {
    return spawn(program, args, { cwd, env, detached: true, stdio: ["ignore", output, output] });
  } finally {
    if (output !== "ignore") closeSync(output);
  }
}

/** A process without a log is worth more than none: when the disk is full or the file not ours, its output is lost. */
function openLog(path: string, log: Logger): number | "ignore" {
  try {
    return openSync(path, "a", 0o600);
  } catch (error) {
    log.warn({ file: path, error: describeError(error) }, "the log cannot be opened; output is thrown away");
    return "ignore";
  }
}

async function startFailure(child: ChildProcess, { command, cwd }: Launch): Promise<NexusError> {
  const [cause] = await once(child, "error");
  // The system reports a missing working directory as a missing program.
  const reason = existsSync(cwd) ? describeError(cause) : `the working directory ${cwd} does not exist`;
  return new NexusError("invalid_request", `\`${command[0]}\` cannot be started: ${reason}`, { cause });
}

/** Signals every process of the group that `leaderPid` leads. */
export function signalGroup(leaderPid: number, signal: "SIGTERM" | "SIGKILL"): void {
  sendSignal(-leaderPid, signal);
}

/** As kill(2). One that has gone (ESRCH; EPERM on macOS while zombies of a group are left) is no error. */
export function sendSignal(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

/**
 * Kills what a leader that has ended left in its group, lest it keeps ports and memory from the successor. A pid is
 * not given away while a group bears its number: if another process has it now, nothing is left of the group.
 */
export function endGroup(leader: ProcessIdentity): void {
  const present = identify(leader.pid);
  if (present === undefined || present.startTime === leader.startTime) signalGroup(leader.pid, "SIGKILL");
}
