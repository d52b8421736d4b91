import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { startStage } from "./stage.mjs";

const pollPeriodMs = 200;
/** Longer than two processes can lie apart that saw the same dead lock. */
const settleMs = 100;

/**
 * @typedef {object} InstallLock
 * @property {(pid: number) => void} add Names another process that installs: the lock lives as long as one of them.
 * @property {() => void} release
 */

/**
 * Waits until this process alone may install. A lock file names the processes that install; when all of them are dead
 * (power cut, `kill -9`) the next one takes it over. npm is named too because it outlives a killed parent.
 * @param {string} path
 * @returns {Promise<InstallLock>}
 */
export async function acquireInstallLock(path) {
  /** @type {((result?: string) => void) | undefined} */
  let endStage;
  try {
    for (;;) {
      if (tryCreate(path)) return held(path);
      const holders = readHolders(path);
      const living = holders?.find(isInstalling);
      if (living !== undefined) {
        endStage ??= startStage(`waiting for the installation that process ${living} runs`);
        await sleep(pollPeriodMs);
      } else if (holders !== undefined && (await takeOver(path))) {
        return held(path);
      }
    }
  } finally {
    endStage?.();
  }
}

/**
 * @param {string} path
 * @returns {InstallLock}
 */
function held(path) {
  return { add: (pid) => write(path, [process.pid, pid]), release: () => rmSync(path, { force: true }) };
}

/**
 * Several may see the same dead lock and put their own in its place: the last one stays and has it.
 * @param {string} path
 */
async function takeOver(path) {
  write(path, [process.pid]);
  await sleep(settleMs);
  return readHolders(path)?.[0] === process.pid;
}

/** @param {string} path */
function tryCreate(path) {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify([process.pid]));
  try {
    // A link appears with its content and fails when the name is taken, which no other call promises together.
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft);
  }
}

/**
 * @param {string} path
 * @param {number[]} holders
 */
function write(path, holders) {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(holders));
  renameSync(draft, path);
}

/**
 * @param {string} path
 * @returns {number[] | undefined} Undefined when the lock has just been released.
 */
function readHolders(path) {
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const holders = JSON.parse(text);
    return Array.isArray(holders) ? holders.filter(Number.isInteger) : [];
  } catch {
    return [];
  }
}

/**
 * Whether the process lives and is one of ours: after a restart of the machine its number may be another's.
 * @param {number} pid
 */
function isInstalling(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
  try {
    return /bootstrap\.mjs|npm/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    // No /proc: not Linux, or it died just now, which the next look will tell.
    return true;
  }
}
