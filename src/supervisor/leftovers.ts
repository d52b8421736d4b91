import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { identify, isAlive, type ProcessIdentity } from "../base/process-identity.ts";
import { sendSignal } from "./process-group.ts";
import { nameFromAddressFile } from "./run-file.ts";

const pollMs = 10;

/** A SIGKILL that takes longer is stuck in the kernel, and would be for ever. */
const endsWithinMs = 2_000;

/** Tells a process where to write its address, and marks it and its descendants as that process's. */
export const addressVariable = "NEXUS_RUN_FILE";

/** A living process that was started under a name, or descends from one that was. */
export interface MarkedProcess {
  readonly name: string;
  readonly identity: ProcessIdentity;
}

/**
 * What of this user's processes belongs to a run directory by its environment, which descendants inherit, recorded or
 * not. This process and its ancestors are left out: Nexus may have been started from a terminal that is such a
 * descendant. Where there is no /proc it finds none. Some 10 ms for a few hundred processes: for the start, no loop.
 */
export function findMarked(runDirectory: string): MarkedProcess[] {
  if (process.platform !== "linux") return [];
  const own = lineage();
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry) && !own.has(entry));
  return pids.flatMap((pid) => {
    const name = nameFromAddressFile(runDirectory, readAddressVariable(pid));
    const identity = name === undefined ? undefined : identify(Number(pid));
    return name === undefined || identity === undefined || !isAlive(identity) ? [] : [{ name, identity }];
  });
}

/** The pids of this process, its parent, and so on up. */
function lineage(): ReadonlySet<string> {
  const pids = new Set<string>();
  for (let pid: string | undefined = String(process.pid); pid !== undefined && !pids.has(pid); pid = parentOf(pid)) {
    pids.add(pid);
  }
  return pids;
}

/** proc_pid_status(5). */
function parentOf(pid: string): string | undefined {
  try {
    return /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  } catch {
    return undefined;
  }
}

/** proc_pid_environ(5). Undefined too for processes of other users, for zombies, and for what has just gone. */
function readAddressVariable(pid: string): string | undefined {
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    return entries.find((entry) => entry.startsWith(`${addressVariable}=`))?.slice(addressVariable.length + 1);
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
