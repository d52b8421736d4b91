import { readFileSync } from "node:fs";
import { cpus, totalmem, type } from "node:os";
import { run } from "./processes.ts";

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gb: number;
  readonly os: string;
}

export function describeMachine(): Machine {
  const release = /^PRETTY_NAME="(.*)"$/m.exec(readIfThere("/etc/os-release"))?.[1] ?? type();
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: usableCores().length,
    memory_gb: Math.round(totalmem() / 1e9),
    os: release,
  };
}

/** Which cores a measured process, the mock and the load get: never the same ones, where there are two or more. */
export interface Cores {
  readonly gateway: readonly number[];
  readonly mock: readonly number[];
  readonly load: readonly number[];
}

export function shareCores(workers: number): Cores {
  const all = usableCores();
  const gateway = all.slice(0, workers);
  const rest = all.slice(workers);
  // With fewer cores than that the load shares the gateway's.
  if (rest.length === 0) return { gateway: all, mock: all, load: all };
  const half = Math.max(1, Math.floor(rest.length / 2));
  return { gateway, mock: rest.slice(0, half), load: rest.length === 1 ? rest : rest.slice(half) };
}

/** The cores that this process may use, such as [0, 1]. */
function usableCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(readIfThere("/proc/self/status"))?.[1] ?? "";
  const cores = list.split(",").flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split("-").map(Number);
    return Number.isNaN(first) ? [] : Array.from({ length: last - first + 1 }, (_, at) => first + at);
  });
  return cores;
}

/** The commit that is measured, with a `+` when there are changes on top of it. */
export async function describeCommit(): Promise<string> {
  try {
    const commit = await run(["git", "rev-parse", "--short=12", "HEAD"], { timeoutMs: 10_000 });
    const changes = await run(["git", "status", "--porcelain", "--untracked-files=no"], { timeoutMs: 10_000 });
    return commit.trim() + (changes.trim() === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
