import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { sendSignal } from "./process-group.ts";
import { identify, isAlive, type ProcessIdentity } from "./process-identity.ts";

const pollMs = 10;

/** A SIGKILL that takes longer is stuck in the kernel, and would be for ever. */
const endsWithinMs = 2_000;

/** A living process that has a variable in the environment it was started with. */
export interface Marked {
  readonly identity: ProcessIdentity;
  readonly value: string;
}

/**
 * The processes of this user that were started with the variable, and, as environments are inherited, their descendants.
 * Where there is no /proc it finds none. Some 10 ms for a few hundred processes: for the start, not for a loop.
 */
export function findByVariable(variable: string): Marked[] {
  if (process.platform !== "linux") return [];
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.flatMap((pid) => {
    const value = readVariable(pid, variable);
    const identity = value === undefined ? undefined : identify(Number(pid));
    return value === undefined || identity === undefined || !isAlive(identity) ? [] : [{ identity, value }];
  });
}

/** proc_pid_environ(5). Undefined too for processes of other users, for zombies, and for what has just gone. */
function readVariable(pid: string, variable: string): string | undefined {
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    return entries.find((entry) => entry.startsWith(`${variable}=`))?.slice(variable.length + 1);
  } catch {
    return undefined;
  }
}

/** Kills processes and waits until they have gone, but not for one that cannot be killed. */
export async function killAll(processes: readonly ProcessIdentity[], clock: Clock): Promise<void> {
  const endMs = clock.monotonic() + endsWithinMs;
  for (const { pid } of processes.filter(isAlive)) sendSignal(pid, "SIGKILL");
  while (processes.some(isAlive) && clock.monotonic() < endMs) {
    await new Promise<void>((resolve) => clock.after(pollMs, resolve));
  }
}
