import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * Which process a pid meant when it was written down. Pids are used again, by others and after a reboot; a pid with
 * the moment its process began is not. Nothing is signalled or adopted on a pid alone.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; compares equal only for the same process of the same boot of the same machine. */
  readonly startTime: string;
}

/** Whether exactly this process still runs. A zombie does not: it holds its pid but neither memory nor ports. */
export function isAlive(identity: ProcessIdentity): boolean {
  const found = readProcess(identity.pid);
  return found !== undefined && !found.isZombie && found.startTime === identity.startTime;
}

/** The identity behind a pid, zombies included; undefined when no process has it. */
export function identify(pid: number): ProcessIdentity | undefined {
  const found = readProcess(pid);
  return found === undefined ? undefined : { pid, startTime: found.startTime };
}

interface ProcessFacts {
  readonly startTime: string;
  readonly isZombie: boolean;
}

// Synchronous on purpose: the answer must not be older than the signal or the run file that follows it. A look into
// /proc takes some 20 µs; `ps`, where there is no /proc, a few milliseconds.
function readProcess(pid: number): ProcessFacts | undefined {
  return process.platform === "linux" ? readProc(pid) : readPs(pid);
}

/** Fields 3 (state) and 22 (start in clock ticks since boot) of /proc/<pid>/stat, proc_pid_stat(5). */
function readProc(pid: number): ProcessFacts | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // Field 2 is the command in parentheses and may hold spaces and parentheses itself: count from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, ticks] = [fields[0], fields[19]];
  if (state === undefined || ticks === undefined) return undefined;
  return { startTime: `${bootId()}/${ticks}`, isZombie: state === "Z" || state === "X" };
}

let knownBootId: string | undefined;

/** Ticks begin again at every boot, so that a pid with its ticks can come back; the boot's own id cannot. */
function bootId(): string {
  knownBootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  return knownBootId;
}

function readPs(pid: number): ProcessFacts | undefined {
  const ps = spawnSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], {
    encoding: "utf8",
    env: { PATH: "/bin:/usr/bin", LC_ALL: "C", TZ: "UTC" },
    timeout: 2_000,
  });
  const line = ps.stdout?.trim() ?? "";
  if (ps.status !== 0 || line === "") return undefined;
  const [state = "", ...started] = line.split(/\s+/);
  return { startTime: started.join(" "), isZombie: state.startsWith("Z") };
}
