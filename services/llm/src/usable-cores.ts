import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/**
 * Physical cores that this process may use: what the scheduler and the container's limits leave it, and no more than
 * the machine has cores, as two threads of one core get in each other's way in llama.cpp.
 */
export function usableCores(): number {
  const logical = availableParallelism();
  return Math.max(1, Math.min(logical, physicalCores("/sys/devices/system/cpu") ?? logical));
}

/** Counts groups of logical processors that share a core; undefined where Linux does not show them. */
export function physicalCores(directory: string): number | undefined {
  try {
    const processors = readdirSync(directory).filter((name) => /^cpu\d+$/.test(name));
    const cores = processors.map((name) =>
      readFileSync(join(directory, name, "topology", "thread_siblings_list"), "utf8"),
    );
    return cores.length === 0 ? undefined : new Set(cores).size;
  } catch {
    return undefined;
  }
}
