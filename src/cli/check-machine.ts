import { execFile } from "node:child_process";
import { access, constants, stat, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism, freemem, totalmem } from "node:os";
import { dirname } from "node:path";
import { promisify } from "node:util";
import type { DataPaths } from "../config/paths.ts";
import type { ListenConfig } from "../gateway/config.ts";
import { type Finding, ok, problem, warning } from "./diagnosis.ts";
import { formatBytes } from "./terminal.ts";

const run = promisify(execFile);

/** A small model and its context need about this. */
const memoryBytesMin = 1_000_000_000;
/** The default model takes 0.1 GB; logs and a second model need room too. */
const diskBytesMin = 1_000_000_000;
const nodeMajorMin = 24;

export function checkNode(): Finding {
  const { node } = process.versions;
  const seen = `${node} on ${process.platform}-${process.arch}, ${availableParallelism()} cores`;
  if (Number.parseInt(node, 10) >= nodeMajorMin) return ok("node", seen);
  return problem(
    "node",
    seen,
    `Install Node.js ${nodeMajorMin} or newer, or start with ./nexus, which brings its own.`,
  );
}

export function checkMemory(): Finding {
  const seen = `${formatBytes(freemem())} free of ${formatBytes(totalmem())}`;
  if (freemem() >= memoryBytesMin) return ok("memory", seen);
  return warning("memory", seen, "End other programs, or start with --no-builtin and use models on another machine.");
}

export async function checkDisk({ root }: DataPaths): Promise<Finding> {
  const place = await existingParent(root);
  const { bavail, bsize } = await statfs(place);
  const free = bavail * bsize;
  const seen = `${formatBytes(free)} free for ${root}`;
  if (free >= diskBytesMin) return ok("disk", seen);
  return warning("disk", seen, "Make room, or put the data elsewhere with --data.");
}

/** Keys and the control socket are in it: nobody else may write there. */
export async function checkDataDirectory({ root }: DataPaths): Promise<Finding> {
  const place = await existingParent(root);
  const { mode, uid } = await stat(place);
  const isWritable = await access(place, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!isWritable) return problem("data directory", `${place} can't be written`, "Choose another with --data.");
  if (place !== root) return ok("data directory", `${root} will be made at the first start`);
  if (uid !== process.getuid?.()) {
    return problem("data directory", `${root} belongs to another user`, "Choose another with --data.");
  }
  if ((mode & 0o077) !== 0) {
    const octal = (mode & 0o777).toString(8);
    return warning("data directory", `${root} has mode ${octal}: others can look into it`, `chmod 700 ${root}`);
  }
  return ok("data directory", root);
}

async function existingParent(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined || dirname(path) === path ? path : existingParent(dirname(path));
}

/** The Python package index is one of the places that models come from. */
export async function checkPip(environment: Readonly<Record<string, string | undefined>>): Promise<Finding> {
  try {
    const { stdout } = await run("python3", ["-m", "pip", "--version"], { timeout: 10_000, env: { ...environment } });
    return ok("pip", stdout.split(" from ")[0] ?? stdout.trim());
  } catch {
    return warning(
      "pip",
      "python3 with pip is missing",
      "Only needed to fetch models from the Python package index: apt install python3-pip",
    );
  }
}

/** `running`: where the platform of this data directory listens already, whatever the settings at hand say. */
export async function checkPort({ host, port }: ListenConfig, running: ListenConfig | null): Promise<Finding> {
  if (running !== null) return ok("port", `${running.host}:${running.port} is this platform's`);
  const address = `${host}:${port}`;
  const code = await tryListen(host, port);
  if (code === undefined) return ok("port", `${address} is free`);
  return problem("port", `${address} can't be listened on (${code})`, "Choose another with --port or `listen.port`.");
}

function tryListen(host: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = createServer();
  server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  return promise;
}
