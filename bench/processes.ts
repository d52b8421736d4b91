import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, truncateSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** The kernel counts CPU time in hundredths of a second for programs (`getconf CLK_TCK`, fixed on Linux). */
const ticksPerSecond = 100;
const endingMs = 5_000;

export interface StartOptions {
  readonly command: readonly string[];
  readonly cores: readonly number[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly directory?: string;
  /** Takes what the process prints. */
  readonly logFile: string;
}

/** A process of ours in a group of its own, so that it can be ended with all that it started. */
export interface Started {
  readonly pid: number;
  /** Of `performance.now()`. */
  readonly startedAt: number;
  /** What it has printed so far, the last of it. */
  readonly tail: () => string;
  /** Empties its log. */
  readonly trim: () => void;
  readonly hasEnded: () => boolean;
  readonly stop: () => Promise<void>;
}

const running = new Set<Started>();

/** Puts a command on these cores. Empty: on any. */
export function pinned(cores: readonly number[], command: readonly string[]): string[] {
  return cores.length === 0 ? [...command] : ["taskset", "-c", cores.join(","), ...command];
}

export function start(options: StartOptions): Started {
  const log = openSync(options.logFile, "a");
  const [program = "", ...rest] = pinned(options.cores, options.command);
  const startedAt = performance.now();
  const child = spawn(program, rest, {
    stdio: ["ignore", log, log],
    detached: true,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...options.environment },
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
  });
  closeSync(log);
  let failure = "";
  child.once("error", (error) => {
    failure = error.message;
  });
  const { pid = -1 } = child;
  const started: Started = {
    pid,
    startedAt,
    tail: () => failure + readFileSync(options.logFile, "utf8").slice(-2_000),
    trim: () => truncateSync(options.logFile),
    hasEnded: () => pid === -1 || child.exitCode !== null || child.signalCode !== null,
    stop: async () => {
      await end(child, pid);
      running.delete(started);
    },
  };
  running.add(started);
  return started;
}

/** Ends everything that is still there. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((started) => started.stop()));
}

async function end(child: ChildProcess, pid: number): Promise<void> {
  if (pid === -1) return;
  const ended = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });
  signalGroup(pid, "SIGTERM");
  const patience = new AbortController();
  await Promise.race([ended, sleep(endingMs, undefined, { signal: patience.signal }).catch(() => {})]);
  patience.abort();
  // What it left behind goes too.
  signalGroup(pid, "SIGKILL");
  await ended;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody of the group is left.
  }
}

export interface RunOptions {
  readonly cores?: readonly number[];
  readonly timeoutMs: number;
  readonly directory?: string;
  /** Added to this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Runs a command to its end and resolves to what it printed. Ends all of it when time is up. @throws Error */
export async function run(command: readonly string[], options: RunOptions): Promise<string> {
  const [program = "", ...rest] = pinned(options.cores ?? [], command);
  const child = spawn(program, rest, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, ...options.environment },
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
  });
  let [output, complaint] = ["", ""];
  child.stdout.on("data", (piece) => {
    output += piece;
  });
  child.stderr.on("data", (piece) => {
    complaint = (complaint + piece).slice(-4_000);
  });
  const { pid } = child;
  const limit = AbortSignal.any([AbortSignal.timeout(options.timeoutMs), ...(options.signal ? [options.signal] : [])]);
  const stop = () => pid !== undefined && signalGroup(pid, "SIGKILL");
  limit.addEventListener("abort", stop);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    if (code === 0) return output;
    const reason = limit.aborted ? `took longer than ${options.timeoutMs / 1_000} s` : `ended with ${code}`;
    throw new Error(`${command.slice(0, 3).join(" ")} ${reason}: ${complaint.trim().slice(-600)}`);
  } finally {
    limit.removeEventListener("abort", stop);
  }
}

/** A process and all its descendants. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) ? statFields(Number(name))?.[1] : undefined;
    if (parent === undefined) continue;
    const siblings = children.get(Number(parent)) ?? [];
    children.set(Number(parent), [...siblings, Number(name)]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** CPU time of a process and all its descendants so far, in microseconds. Grows by steps of 10 ms. */
export function cpuMicroseconds(root: number): number {
  let ticks = 0;
  for (const pid of processTree(root)) {
    const fields = statFields(pid);
    // proc(5): utime, stime, cutime and cstime are fields 14 to 17; ours begin with field 3.
    for (const at of [11, 12, 13, 14]) ticks += Number(fields?.[at] ?? 0);
  }
  return (ticks / ticksPerSecond) * 1e6;
}

/** Memory of a process and its descendants in megabytes: of the largest one, and of all together. */
export function memoryMegabytes(root: number): { readonly largest: number; readonly total: number } {
  const each = processTree(root).map((pid) => {
    const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readProc(`/proc/${pid}/status`) ?? "")?.[1];
    return (Number(kilobytes ?? 0) * 1_024) / 1e6;
  });
  return { largest: Math.max(...each), total: each.reduce((sum, one) => sum + one, 0) };
}

/** The fields after the name, which may have spaces in it. */
function statFields(pid: number): string[] | undefined {
  const text = readProc(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(")") + 2).split(" ");
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

export interface HttpRequest {
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs?: number;
}

/** One request on a connection of its own, as raw as can be. @throws Error */
export function ask({ port, path, method = "GET", headers = {}, body = "", timeoutMs = 10_000 }: HttpRequest) {
  return new Promise<HttpAnswer>((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const pieces: Buffer[] = [];
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no answer in time")));
    socket.on("error", reject);
    socket.on("data", (piece: Buffer) => pieces.push(piece));
    socket.on("close", () => {
      const text = Buffer.concat(pieces).toString("latin1");
      resolve({ status: Number(text.slice(9, 12)), text });
    });
    const lines = Object.entries({ ...headers, "content-length": String(Buffer.byteLength(body)) });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.write(`${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n${head}\r\n${body}`);
  });
}

/** Resolves once GET answers with 200. @throws Error when the process has ended or time is up. */
export async function untilReady(started: Started, probe: { port: number; path: string; timeoutMs: number }) {
  const deadline = performance.now() + probe.timeoutMs;
  while (performance.now() < deadline) {
    if (started.hasEnded()) throw new Error(`it ended at its start: ${lastLines(started.tail())}`);
    const answer = await ask({ port: probe.port, path: probe.path, timeoutMs: 2_000 }).catch(() => undefined);
    if (answer?.status === 200) return;
    await sleep(2);
  }
  throw new Error(`it wasn't ready within ${probe.timeoutMs / 1_000} s: ${lastLines(started.tail())}`);
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-3).join(" ").slice(-400);
}
