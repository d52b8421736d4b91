import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { NexusError } from "../base/errors.ts";
import { identify, isAlive, type ProcessIdentity } from "../base/process-identity.ts";

/** The right to run a platform in a data directory; ends with the process at the latest. */
export interface SingleInstance {
  /** Idempotent. */
  release(): void;
}

/**
 * Takes the lock `<root>/run/parent.json`, whose directory is made when missing. A lock whose process has gone is taken
 * over. The operating system has no part in it but the atomicity of link(2), so it holds on one machine only.
 * @throws NexusError `conflict` when another platform runs in this data directory; names its pid.
 */
export function acquireSingleInstance(root: string): SingleInstance {
  const path = join(root, "run", "parent.json");
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const me = identify(process.pid);
  if (me === undefined) throw new NexusError("internal_error", "The start time of this process cannot be read.");
  const result = take(path, me, 0);
  if (result.kind === "held") {
    throw new NexusError(
      "conflict",
      `Another Nexus (pid ${result.by.pid}) already runs in ${root}. ` +
        "Stop it with `nexus down`, or give this one a `--data` and a `--port` of its own.",
    );
  }
  return result;
}

const identitySchema = z.object({ pid: z.int().positive(), startTime: z.string() });

/** `takeover` of a `takeover` of a ...: each level takes one crash within a few system calls. */
const depthMax = 4;

/** Each round more means that a lock came or went in between. */
const roundsMax = 100;

type Taking = ({ readonly kind: "taken" } & SingleInstance) | { readonly kind: "held"; readonly by: ProcessIdentity };

/**
 * The lock is a file that is linked into place complete, so that whoever finds it can read whose it is. Removing a
 * stale one must be done by one process only, or the second would remove the first one's new lock: that right is such
 * a lock itself, `<path>.takeover`, and the file is read again under it.
 */
function take(path: string, me: ProcessIdentity, depth: number): Taking {
  for (let round = 0; round < roundsMax; round++) {
    if (linkInto(path, me)) return { kind: "taken", release: () => removeOwn(path, me) };
    const holder = read(path);
    if (holder === "missing") continue;
    if (holder !== "broken" && isAlive(holder)) return { kind: "held", by: holder };
    if (depth === depthMax) break;
    const right = take(`${path}.takeover`, me, depth + 1);
    if (right.kind === "held") return right;
    try {
      const still = read(path);
      if (still === "broken" || (still !== "missing" && !isAlive(still))) rmSync(path, { force: true });
    } finally {
      right.release();
    }
  }
  throw new NexusError("conflict", `The lock ${path} cannot be taken. If no other Nexus starts there, remove it.`);
}

function linkInto(path: string, me: ProcessIdentity): boolean {
  const complete = `${path}.${randomUUID()}.tmp`;
  try {
    writeFileSync(complete, `${JSON.stringify(me)}\n`, { mode: 0o600 });
    linkSync(complete, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(complete, { force: true });
  }
}

function read(path: string): ProcessIdentity | "missing" | "broken" {
  try {
    return identitySchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "missing" : "broken";
  }
}

function removeOwn(path: string, me: ProcessIdentity): void {
  const holder = read(path);
  if (typeof holder === "object" && holder.pid === me.pid && holder.startTime === me.startTime) {
    rmSync(path, { force: true });
  }
}
