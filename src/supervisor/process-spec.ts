import { createHash } from "node:crypto";
import { NexusError } from "../base/errors.ts";

const namePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** `parent.json` in the run directory is the lock of the platform itself. */
const reservedName = "parent";

/** Said wherever a name is refused. */
export const processNameRule =
  "Use 1 to 63 lower-case letters, digits and inner hyphens; `parent` is taken by Nexus itself.";

/** Whether a process may be called so: the name is part of file names, logs and tables. */
export function isProcessName(name: string): boolean {
  return namePattern.test(name) && name !== reservedName;
}

/** How one process is to be run, and how it shows that it works. */
export interface ProcessSpec {
  /** Unique on the host; passes `isProcessName`. */
  readonly name: string;
  /** The program and its arguments. No shell reads them. */
  readonly command: readonly [string, ...string[]];
  /**
   * On top of the few variables that every process inherits (`inheritedVariables`). Must not differ from one start of
   * Nexus to the next, or the process is replaced each time instead of adopted.
   */
  readonly env: Readonly<Record<string, string>>;
  /** As `env`, but a change of these replaces nothing: they count from its next start on. */
  readonly envAtStart?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** How readily it leaves the processor to others, as nice(1) has it: 0, the default, to 19. Counts from its next start on. */
  readonly niceness?: number;
  /** Where it listens. Without it, the process tells by writing `{pid, url}` to its `NEXUS_RUN_FILE`. */
  readonly url?: string;
  /** Liveness: a path that answers 2xx while the process works. Three failures in a row replace the process. */
  readonly health?: { readonly path: string };
  /** Readiness: a path that answers 2xx while it can take work. Only reported. */
  readonly ready?: { readonly path: string };
  /** From its start on, for which failed liveness checks do not count: it may be loading. Milliseconds. */
  readonly graceMs: number;
  /** From SIGTERM to SIGKILL: the time it has to drain. Milliseconds. */
  readonly stopGraceMs: number;
}

/**
 * The fingerprint of what a process was started with. A running process of another digest is replaced; timings and
 * probe paths are left out, for they change how a process is watched and not what it is.
 */
export function specDigest(spec: ProcessSpec): string {
  const env = Object.entries(spec.env).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([spec.command, env, spec.cwd]))
    .digest("hex");
}

/** @throws NexusError `invalid_request` when a name is malformed, taken or there twice. */
export function checkSpecs(specs: readonly ProcessSpec[]): void {
  const seen = new Set<string>();
  for (const { name } of specs) {
    if (!isProcessName(name)) {
      throw new NexusError("invalid_request", `\`${name}\` cannot be the name of a service. ${processNameRule}`);
    }
    if (seen.has(name)) throw new NexusError("invalid_request", `Two services are called \`${name}\`; rename one.`);
    seen.add(name);
  }
}
