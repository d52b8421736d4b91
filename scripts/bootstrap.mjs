/**
 * The start of everything in a fresh clone: installs the packages once, picks a Node that runs TypeScript, becomes it.
 *
 *   node scripts/bootstrap.mjs VERB ...          runs `nexus VERB ...`
 *   node scripts/bootstrap.mjs --test [FILE...]  runs the tests
 *
 * Runs on Node 20 with nothing installed, so it uses Node's own modules only. Its words go to stderr: stdout belongs to
 * the verb.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SetupError } from "./setup-error.mjs";

/** The oldest Node that can run this file and npm. */
const nodeMajorToStart = 20;
/** The oldest Node that runs TypeScript without a flag and has every interface that Nexus uses. */
const nodeMajorToRun = 24;

const root = fileURLToPath(new URL("..", import.meta.url));
const pinnedNode = join(root, "node_modules", ".bin", "node");
/**
 * Where Node keeps what it has read of TypeScript: that is two fifths of the start of a short verb. Its own choice
 * would be below the temporary directory, where others could leave something for us.
 */
const compileCache = join(root, "node_modules", ".cache", "compile");

/**
 * The Node to run Nexus with: the system's when it is new enough, else the one that the packages bring.
 * @returns {string} Its path.
 * @throws {SetupError} when neither is there.
 */
function pickNode() {
  const system = systemNode();
  if (system !== undefined && system.major >= nodeMajorToRun) return system.path;
  if (existsSync(pinnedNode)) return pinnedNode;
  throw new SetupError(
    `Nexus needs Node.js ${nodeMajorToRun} or newer; here is ${system === undefined ? "none" : system.version}, and its own ` +
      `cannot run on ${process.platform}-${process.arch} with this C library. Install Node.js ${nodeMajorToRun} from ` +
      "https://nodejs.org, then run this again.",
  );
}

/**
 * The first Node on PATH that is not the clone's own: `npm start` puts the clone's own in front.
 * @returns {{ path: string, version: string, major: number } | undefined}
 */
function systemNode() {
  if (!process.execPath.startsWith(join(root, "node_modules", "/")))
    return describeNode(process.execPath, process.version);
  for (const directory of pathWithoutOwnTools().split(delimiter)) {
    const path = join(directory, "node");
    if (directory === "" || !existsSync(path)) continue;
    const { stdout, status } = spawnSync(path, ["--version"], { encoding: "utf8" });
    if (status === 0) return describeNode(path, stdout.trim());
  }
  return undefined;
}

/**
 * @param {string} path
 * @param {string} version As in `v24.1.0`.
 */
function describeNode(path, version) {
  return { path, version, major: Number.parseInt(version.slice(1), 10) };
}

function pathWithoutOwnTools() {
  const directories = (process.env.PATH ?? "").split(delimiter);
  return directories.filter((directory) => directory !== dirname(pinnedNode)).join(delimiter);
}

/**
 * Gives this process over to Node with these arguments. Where Node cannot replace its own process (before 22.15) it
 * starts a child, passes signals on and ends as the child ended.
 * @param {string} node
 * @param {string[]} args
 */
function become(node, args) {
  const env = { NODE_COMPILE_CACHE: compileCache, ...definedEnvironment() };
  if (typeof process.execve === "function") process.execve(node, [node, ...args], env);
  const child = spawn(node, args, { stdio: "inherit", env });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => {
      // Ctrl-C reaches the whole foreground group: the child has it already, and twice would mean "at once".
      if (signal === "SIGINT" && process.stdin.isTTY) return;
      child.kill(signal);
    });
  }
  child.on("error", (error) => {
    process.exitCode = report(new SetupError(`${node} does not start: ${error.message}.`));
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
    if (signal === null) return;
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** @returns {Record<string, string>} */
function definedEnvironment() {
  /** @type {Record<string, string>} */
  const environment = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) environment[name] = value;
  return environment;
}

/**
 * @param {unknown} error
 * @returns {number} The exit code.
 */
function report(error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`nexus: ${error.message}\n`);
  return error.exitCode;
}

/** @param {string[]} args */
async function main(args) {
  const major = Number.parseInt(process.versions.node, 10);
  if (major < nodeMajorToStart) {
    throw new SetupError(
      `Node.js ${process.versions.node} is too old. Install Node.js ${nodeMajorToStart} or newer, then run this again.`,
    );
  }
  const { isInstalled, install } = await import("./install.mjs");
  if (!isInstalled(root)) await install(root, { ...process.env, PATH: pathWithoutOwnTools() });
  const [first, ...rest] = args;
  if (first === "--test") become(pickNode(), [join(root, "scripts", "test.mjs"), ...rest]);
  else become(pickNode(), [join(root, "src", "main.ts"), ...args]);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = report(error);
}
