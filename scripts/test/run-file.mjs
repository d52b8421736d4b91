import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** @typedef {import("./events.mjs").TestEvent} TestEvent */

/**
 * @typedef {object} FileResult
 * @property {string} file As given.
 * @property {TestEvent[]} events Its tests, and a failure for whatever went wrong with the file as a whole.
 * @property {string} output The end of what it wrote to stdout and stderr.
 * @property {number} durationMs
 */

/**
 * @typedef {object} Limits
 * @property {number} testMs One test; a test's own `timeout` goes before it.
 * @property {number} idleMs The time in which no test runs: the file loads, or waits for something that it left open.
 * @property {AbortSignal} signal Ends the file at once.
 */

const reporter = fileURLToPath(new URL("events.mjs", import.meta.url));
const outputBytesMax = 32 * 1024;
const pollPeriodMs = 250;

/**
 * Runs one test file in a process group of its own. Whatever it leaves running in that group is killed.
 * @param {string} file
 * @param {Limits} limits
 * @returns {Promise<FileResult>}
 */
export async function runFile(file, { testMs, idleMs, signal }) {
  const startedAt = performance.now();
  const directory = mkdtempSync(join(tmpdir(), "nexus-test-"));
  const record = join(directory, "events.ndjson");
  const reporting = [`--test-reporter=${reporter}`, `--test-reporter-destination=${record}`];
  const child = spawn(process.execPath, [...reporting, `--test-timeout=${testMs}`, file], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output = (output + text).slice(-outputBytesMax);
    });
  }
  const kill = () => killGroup(child.pid);
  signal.addEventListener("abort", kill);
  let isStuck = false;
  const stopWatching = watchIdle(record, idleMs, () => {
    isStuck = true;
    kill();
  });
  /** @type {string} */
  const ending = await new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, by) => resolve(by === null ? `code ${code}` : by));
  });
  stopWatching();
  signal.removeEventListener("abort", kill);
  kill();
  const events = readRecord(record);
  rmSync(directory, { recursive: true, force: true });
  const fault = faultOf(events, { ending, isStuck, isAborted: signal.aborted });
  if (fault !== undefined) events.push({ kind: "fail", name: "the file as a whole", error: fault });
  return { file, events, output, durationMs: performance.now() - startedAt };
}

/**
 * What is wrong with the file beyond its tests, if anything.
 * @param {TestEvent[]} events
 * @param {{ ending: string, isStuck: boolean, isAborted: boolean }} end
 */
function faultOf(events, { ending, isStuck, isAborted }) {
  if (isAborted) return "It was stopped before its end.";
  if (isStuck) return "It did not end: a test left a socket, timer, watcher or child process open.";
  if (!events.some(({ kind }) => kind === "end"))
    return `It ended (${ending}) before its tests did, did not load, or has none.`;
  if (!events.some(({ kind }) => kind === "pass" || kind === "fail" || kind === "skip")) return "It has no tests.";
  if (ending === "code 0" || events.some(({ kind }) => kind === "fail")) return undefined;
  return `Its tests passed, but it ended with ${ending}: see the notes beside its name above.`;
}

/**
 * Calls `onIdle` when no test has run for too long. One that runs is held to its own limit by Node.
 * @param {string} record
 * @param {number} idleMs
 * @param {() => void} onIdle
 * @returns {() => void} Stops watching.
 */
function watchIdle(record, idleMs, onIdle) {
  let size = 0;
  let changedAt = performance.now();
  const timer = setInterval(() => {
    const now = statSync(record, { throwIfNoEntry: false })?.size ?? 0;
    if (now !== size) [size, changedAt] = [now, performance.now()];
    else if (performance.now() - changedAt > idleMs && !isBusy(record)) onIdle();
  }, pollPeriodMs);
  return () => clearInterval(timer);
}

/** @param {string} record */
function isBusy(record) {
  return readRecord(record).findLast(({ kind }) => kind === "busy" || kind === "idle")?.kind === "busy";
}

/** @param {number | undefined} pid The group's leader. */
function killGroup(pid) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of the group is left.
  }
}

/**
 * @param {string} path
 * @returns {TestEvent[]} Without a last line that was cut off.
 */
function readRecord(path) {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.slice(0, -1).map((line) => JSON.parse(line));
}
