import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { acquireInstallLock } from "./install-lock.mjs";
import { SetupError } from "./setup-error.mjs";
import { startStage } from "./stage.mjs";

/** Signals that end an installation early. */
const endings = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);

/** npm prints what failed, not how far it came: more than this is a stack trace. */
const outputBytesMax = 64 * 1024;
const shownLinesMax = 12;

/** What npm's error codes mean here and what to do, first match first. */
const causes = [
  {
    codes: /\b(E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|NETUNREACH|HOSTUNREACH)|ERR_SOCKET_TIMEOUT)\b/,
    advice:
      "The package registry cannot be reached. Check the network (`npm config get registry` and `npm config get proxy` " +
      "show what npm uses), then run this again.",
  },
  {
    codes: /\b(SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_)/,
    advice:
      "npm does not trust the registry's certificate. Behind a proxy that inspects TLS, name its certificate with " +
      "`npm config set cafile FILE`, then run this again.",
  },
  {
    codes: /\bcode E(401|403)\b/,
    advice: "The package registry refuses access. See `npm config get registry` and `npm login`, then run this again.",
  },
  {
    codes: /\bcode E(404|TARGET)\b/,
    advice:
      "The package registry lacks a package that Nexus needs. Use one that mirrors https://registry.npmjs.org " +
      "(`npm config set registry URL`), then run this again.",
  },
  { codes: /\bENOSPC\b/, advice: "The disk is full: the packages take 700 MB. Make room, then run this again." },
  {
    codes: /\b(EACCES|EPERM|EROFS)\b/,
    advice:
      "Files cannot be written. Check who owns this folder and npm's cache (`npm config get cache`), then run this again.",
  },
  {
    codes: /\bEINTEGRITY\b/,
    advice: "A package did not arrive as it was published. Run `npm cache verify`, then run this again.",
  },
  {
    codes: /\bcode EUSAGE\b/,
    advice:
      "package.json and package-lock.json disagree. Restore both (`git checkout package.json package-lock.json`) or, if " +
      "you changed a dependency, run `npm install`.",
  },
];

/**
 * Whether the packages are those of the lock file, installed to the end, for this kind of machine.
 * @param {string} root The clone.
 */
export function isInstalled(root) {
  try {
    return readFileSync(stampPath(root), "utf8") === expectedStamp(root);
  } catch {
    return false;
  }
}

/**
 * Installs the packages of the lock file, development tools included: leaving those out saves 3 of 20 seconds, and a
 * later `npm test` would have to take the packages away from under a platform that runs.
 * @param {string} root The clone.
 * @param {NodeJS.ProcessEnv} env For npm; its PATH has the system's Node, never the one about to be replaced.
 * @throws {SetupError} when it fails; the message says why and what to do.
 */
export async function install(root, env) {
  const lock = await lockInstallation(root);
  try {
    if (isInstalled(root)) return;
    rmSync(stampPath(root), { force: true });
    const endStage = startStage("installing packages (first start only, about 240 MB)");
    try {
      await runNpm(root, env, lock.add);
    } catch (error) {
      endStage();
      throw error;
    }
    dropUnusableNode(root);
    writeFileSync(stampPath(root), expectedStamp(root));
    endStage("packages installed");
  } finally {
    lock.release();
  }
}

/** @param {string} root */
async function lockInstallation(root) {
  try {
    return await acquireInstallLock(join(root, ".install.lock"));
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw new SetupError(
      `The packages cannot be installed in ${root}: ${message}. Check who owns it, then run this again.`,
    );
  }
}

/** Inside node_modules, so that whatever empties it takes the stamp away too. @param {string} root */
function stampPath(root) {
  return join(root, "node_modules", ".nexus-installed");
}

/** @param {string} root */
function expectedStamp(root) {
  const lockFile = readFileSync(join(root, "package-lock.json"));
  return `${createHash("sha256").update(lockFile).digest("hex")} ${process.platform}-${process.arch}\n`;
}

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {(pid: number) => void} onStart
 */
async function runNpm(root, env, onStart) {
  const args = ["ci", "--ignore-scripts", "--include=dev", "--include=optional", "--no-audit", "--no-fund"];
  // Warnings about engines and users' settings are no news to whoever starts Nexus; errors are shown.
  args.push("--loglevel=error", "--no-progress", "--no-color", "--no-update-notifier");
  // npm's own pauses between tries (10 s and more) make a machine without a network wait for over a minute.
  args.push("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000");
  const npm = spawn("npm", args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  if (npm.pid !== undefined) onStart(npm.pid);
  let output = "";
  for (const stream of [npm.stdout, npm.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output = (output + text).slice(-outputBytesMax);
    });
  }
  /** @type {NodeJS.Signals | undefined} */
  let endedBy;
  /** @param {NodeJS.Signals} signal */
  const end = (signal) => {
    endedBy = signal;
    // Asked politely, npm takes ten seconds to leave. Half an installation has no stamp, so nothing is lost.
    npm.kill("SIGKILL");
  };
  for (const signal of endings) process.on(signal, end);
  try {
    /** @type {[number | null, NodeJS.Signals | null]} */
    const [code, signal] = await new Promise((resolve, reject) => {
      npm.on("error", reject).on("close", (...end) => resolve(end));
    });
    if (endedBy !== undefined) throw interrupted(endedBy);
    if (signal !== null) throw new SetupError(`npm was ended by ${signal}: run this again. Did memory run out?`);
    if (code !== 0) throw new SetupError(explainFailure(output));
  } catch (error) {
    throw error instanceof SetupError ? error : new SetupError(explainMissingNpm(error));
  } finally {
    for (const signal of endings) process.removeListener(signal, end);
  }
}

/** @param {NodeJS.Signals} signal */
function interrupted(signal) {
  return new SetupError(
    "interrupted while installing packages; the next start installs them.",
    128 + constants.signals[signal],
  );
}

/** @param {unknown} error From spawn. */
function explainMissingNpm(error) {
  const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
  if (code === "ENOENT") return "npm is missing. Install it (Debian: apt install npm), then run this again.";
  return `npm does not start: ${message}. Check that \`npm --version\` works, then run this again.`;
}

/**
 * npm's own words without warnings and stack traces, and what to do.
 * @param {string} output
 */
function explainFailure(output) {
  const lines = output
    .split("\n")
    .map((line) => line.replace(/^npm (error|ERR!) ?/, ""))
    .filter((line) => line.trim() !== "" && !/^npm warn|^\s+at |^\s+\w+: |^(code|errno|syscall) |^[{}]$/.test(line))
    .slice(0, shownLinesMax);
  const advice = causes.find(({ codes }) => codes.test(output))?.advice ?? "Mend what npm names, then run this again.";
  return ["the packages could not be installed.", ...lines.map((line) => `  npm: ${line}`), advice].join("\n");
}

/**
 * The Node among the packages is built for glibc 2.28 and newer. Where it cannot run it must not stand first on the PATH of
 * npm's scripts.
 * @param {string} root
 */
function dropUnusableNode(root) {
  const path = join(root, "node_modules", ".bin", "node");
  if (existsSync(path) && spawnSync(path, ["--version"]).status !== 0) rmSync(path);
}
