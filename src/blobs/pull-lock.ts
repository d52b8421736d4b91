import { link, open, rename, rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { identify, isAlive, type ProcessIdentity } from "../base/process-identity.ts";

/** Between two looks at a lock that another process holds. */
const lookMs = 200;

export interface PullLock {
  release(): Promise<void>;
}

/**
 * Waits until this process holds the lock at `path`. Calls `whileWaiting` at every look at somebody else's. The lock of a
 * process that is gone is taken over. Throws the signal's reason when it aborts.
 */
export async function acquirePullLock(
  path: string,
  signal: AbortSignal,
  whileWaiting: () => Promise<void>,
): Promise<PullLock> {
  // A name of this call's own: two pulls of one process must exclude each other as well.
  const mine = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  await writeFile(mine, JSON.stringify(identify(process.pid)), { mode: 0o600 });
  try {
    for (;;) {
      signal.throwIfAborted();
      if (await tryLink(mine, path)) return { release: () => rm(path, { force: true }) };
      if (!(await removeStale(path, `${mine}.stale`))) {
        await whileWaiting();
        await delay(lookMs, undefined, { signal }).catch(() => {});
      }
    }
  } finally {
    await rm(mine, { force: true });
  }
}

/** A hard link appears with its content and fails when the name is taken: a lock is never seen half written. */
async function tryLink(mine: string, path: string): Promise<boolean> {
  try {
    await link(mine, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Takes a dead process's lock away; true when there is none any more. */
async function removeStale(path: string, aside: string): Promise<boolean> {
  const seen = await readLock(path);
  if (seen === undefined) return true;
  if (seen.holder !== undefined && isAlive(seen.holder)) return false;
  // Another waiter may have been faster: if what was moved is not what was seen, it is put back.
  await rename(path, aside).catch(() => {});
  const moved = await readLock(aside);
  if (moved !== undefined && moved.inode !== seen.inode) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
  return true;
}

interface SeenLock {
  readonly inode: number;
  /** Undefined when it names no process. */
  readonly holder: ProcessIdentity | undefined;
}

/** Content and inode of one and the same file; undefined when there is none. */
async function readLock(path: string): Promise<SeenLock | undefined> {
  const file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const [{ ino }, text] = await Promise.all([file.stat(), file.readFile("utf8")]);
    return { inode: ino, holder: parseHolder(text) };
  } finally {
    await file.close();
  }
}

function parseHolder(text: string): ProcessIdentity | undefined {
  try {
    const { pid, startTime } = JSON.parse(text) as ProcessIdentity;
    return typeof pid === "number" && typeof startTime === "string" ? { pid, startTime } : undefined;
  } catch {
    return undefined;
  }
}
