import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ServiceProcess } from "../contract/conformance/run-conformance.ts";
import { CliError } from "./cli-error.ts";
import { exitCodes } from "./exit-codes.ts";

/** A service that a verb has started, for as long as the verb takes. */
export interface StartedService extends ServiceProcess {
  readonly baseUrl: string;
  /** Ends it, by force if it must be, and removes what was made for it. */
  end(): Promise<void>;
}

export interface StartOptions {
  /** A line for a shell, which replaces itself by the command: `python3 parrot.py`. */
  readonly command: string;
  /** Where it will listen; default is a free port of this machine, told as `NEXUS_PORT`. */
  readonly baseUrl?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** Until it answers at all, and from then on until it is ready: a model of some GB is read from a disk meanwhile. */
const startMsMax = { answers: 60_000, ready: 300_000 } as const;
const lookMs = 100;
/** The end of what it has printed, for whoever has to find out why it does not answer. */
const outputCharactersMax = 4_096;

/**
 * Starts a service with the environment of the contract and waits until it is ready, or has said for long that it is not.
 * @throws CliError when it ends, or does not answer.
 */
export async function startService(options: StartOptions): Promise<StartedService> {
  const baseUrl = options.baseUrl ?? `http://127.0.0.1:${await freePort()}`;
  const directory = await mkdtemp(join(tmpdir(), "nexus-check-"));
  const runFile = join(directory, "run.json");
  const child = spawn("/bin/sh", ["-c", `exec ${options.command}`], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...options.environment, ...contractEnvironment(baseUrl, runFile) },
  });
  const output = keepOutput(child);
  const ended = new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null));
    // As shells say it: what a signal has ended did not end by itself.
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await answering(baseUrl, ended, options.signal);
  } catch (error) {
    await end();
    throw error instanceof CliError ? new CliError(error.exitCode, error.code, error.message, hintOf(output())) : error;
  }
  return {
    pid: child.pid ?? 0,
    baseUrl,
    ended,
    terminate: () => void child.kill("SIGTERM"),
    readRunFile: async () => await readFile(runFile, "utf8").catch(() => undefined),
    end,
  };
}

/**
 * A service that somebody else has started. Nobody but its parent can see its exit code.
 * @throws CliError when there is no such process of this user.
 */
export function foreignService(pid: number): ServiceProcess {
  if (!isThere(pid)) throw new CliError(exitCodes.usage, "usage", `There is no process ${pid} that you may end.`);
  const gone = async (): Promise<null> => {
    while (isThere(pid)) await pause(lookMs, undefined, { ref: false });
    return null;
  };
  return { pid, ended: gone(), terminate: () => void process.kill(pid, "SIGTERM") };
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function contractEnvironment(baseUrl: string, runFile: string): Record<string, string> {
  const { hostname, port } = new URL(baseUrl);
  // It registers nowhere: it is here to be looked at, and ended.
  return { NEXUS_HOST: hostname, NEXUS_PORT: port, NEXUS_RUN_FILE: runFile, NEXUS_CONTROL_URL: "" };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

function keepOutput(child: ChildProcess): () => string {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (piece: string) => {
      text = (text + piece).slice(-outputCharactersMax);
    });
  }
  return () => text.trim();
}

function hintOf(output: string): { hint?: string } {
  return output === "" ? {} : { hint: `It printed last:\n${output}` };
}

async function answering(baseUrl: string, ended: Promise<number | null>, signal: AbortSignal): Promise<void> {
  let isEnded = false;
  void ended.then(() => {
    isEnded = true;
  });
  const since = performance.now();
  let answers = false;
  for (;;) {
    if (isEnded) throw failed(`The service ended with ${await ended} before it could be checked.`);
    const elapsed = performance.now() - since;
    const status = await statusOf(`${baseUrl}/readyz`, signal);
    answers ||= status !== undefined;
    if (status === 200) return;
    if (!answers && elapsed > startMsMax.answers) {
      throw failed(`Nothing answers at ${baseUrl}: a service listens where NEXUS_HOST and NEXUS_PORT say.`);
    }
    if (elapsed > startMsMax.ready) return;
    await pause(lookMs, undefined, { signal });
  }
}

async function statusOf(url: string, signal: AbortSignal): Promise<number | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) });
    await response.body?.cancel();
    return response.status;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function failed(message: string): CliError {
  return new CliError(exitCodes.failed, "service_failed", message);
}
