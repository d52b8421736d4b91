/**
 * Runs the tests: all of them, or the files and folders given. The last line is `N passed, N failed, N skipped`; the
 * exit code is 1 when a test failed, a file did not load or did not end, or nothing was run.
 *
 * Each file runs in a process of its own, as many at once as there are cores; those that load the machine on purpose run
 * one by one, after the others.
 */
import { existsSync, globSync, statSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { failMissingParts, fileLines, summaryLines, totalsOf } from "./test/report.mjs";
import { runFile } from "./test/run-file.mjs";

/** @typedef {import("./test/run-file.mjs").FileResult} FileResult */

const root = fileURLToPath(new URL("..", import.meta.url));
/** Slow ones first: the cores are busy to the end. */
const everyTest = ["test/**/*.test.ts", "services/*/**/*.test.ts", "src/**/*.test.ts", "bench/*.test.ts"];

/** They build images, and kill and flood on purpose: beside them others would run into their deadlines. */
const loadingFolders = ["test/containers/", "test/resilience/"];

/** Enough for a small model on two cores; a test that needs more says so in its own `timeout`. */
const testMs = 60_000;
/** Loading a file takes under a second, closing what it opened as well. */
const idleMs = 20_000;
/** Scenarios in full are long on purpose: see `test/support/size.ts`. */
const runLimitMs = (process.env.NEXUS_RESILIENCE === "full" ? 90 : 20) * 60_000;
/** More at once compete for memory and ports rather than for cores. */
const filesAtOnceMax = 8;

/**
 * @param {string[]} patterns
 * @param {string} directory
 */
function findFiles(patterns, directory) {
  const options = { cwd: directory, exclude: (/** @type {string} */ path) => path.includes("node_modules") };
  return globSync(patterns, options).map((file) => join(directory, file));
}

/**
 * @param {string[]} given Files and folders, as the user wrote them.
 * @returns {string[]} Absolute paths.
 */
function selectFiles(given) {
  if (given.length === 0) return everyTest.flatMap((pattern) => findFiles([pattern], root).sort());
  return given.flatMap((name) => {
    const path = resolve(name);
    if (!existsSync(path)) throw new RangeError(`There is no ${name}.`);
    return statSync(path).isDirectory() ? findFiles(["**/*.test.ts"], path).sort() : [path];
  });
}

/**
 * @param {string[]} files
 * @param {AbortSignal} signal
 * @param {(result: FileResult) => void} onResult
 */
async function runAll(files, signal, onResult) {
  const { loading = [], others = [] } = Object.groupBy(files, (file) => (loads(file) ? "loading" : "others"));
  const atOnce = Math.min(availableParallelism(), filesAtOnceMax);
  const results = await runPart(others, { signal, onResult, atOnce });
  return [...results, ...(await runPart(loading, { signal, onResult, atOnce: 1 }))];
}

/** @param {string} file */
function loads(file) {
  const path = relative(root, file);
  return loadingFolders.some((folder) => path.startsWith(folder));
}

/**
 * @param {string[]} files
 * @param {{ signal: AbortSignal, onResult: (result: FileResult) => void, atOnce: number }} options
 */
async function runPart(files, { signal, onResult, atOnce }) {
  const waiting = [...files];
  /** @type {FileResult[]} */
  const results = [];
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined && !signal.aborted; file = waiting.shift()) {
      const result = { ...(await runFile(file, { testMs, idleMs, signal })), file: relative(process.cwd(), file) };
      const final = process.env.CI === "true" ? failMissingParts(result) : result;
      results.push(final);
      onResult(final);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return results;
}

/** @param {string[]} args */
async function main(args) {
  const files = selectFiles(args);
  const stop = new AbortController();
  let stoppedBy = "";
  const limit = setTimeout(() => {
    stoppedBy = `The whole run took longer than ${runLimitMs / 60_000} minutes and was stopped.`;
    stop.abort();
  }, runLimitMs);
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.once(signal, () => {
      stoppedBy = `Stopped by ${signal}.`;
      process.exitCode = 128 + constants.signals[signal];
      stop.abort();
    });
  }
  const results = await runAll(files, stop.signal, (result) => console.log(fileLines(result).join("\n")));
  clearTimeout(limit);
  const totals = totalsOf(results);
  const ran = totals.passed + totals.failed;
  for (const line of summaryLines(results)) console.log(line);
  if (stoppedBy !== "") console.log(`\n${stoppedBy} ${files.length - results.length} files did not run.`);
  else if (ran === 0) console.log("\nNo test ran.");
  console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  if (totals.failed > 0 || ran === 0 || stoppedBy !== "") process.exitCode ??= 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  console.log(`${error.message}\n\n0 passed, 0 failed, 0 skipped`);
  process.exitCode = 1;
}
