import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { findProgram } from "../../src/base/find-program.ts";
import { runProgram } from "./run-program.ts";
import { waitFor } from "./wait-for.ts";

/** A Docker Engine of a test's own: nothing of it stays, and another one on this machine is not touched. */
export interface DockerEngine {
  /** Runs `docker` with these arguments; resolves to its stdout. */
  docker(...args: readonly string[]): Promise<string>;
  /** How `docker` is called, for whoever runs it otherwise. */
  readonly command: readonly string[];
  /** Runs `docker compose`, or Docker Compose's first version where that is what there is. */
  compose(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string>;
  /** Removes everything, ends it, and unmounts what it left mounted. */
  close(): Promise<void>;
}

const isAnswered = (program: string, ...args: readonly string[]): boolean =>
  spawnSync(program, args, { stdio: "ignore", timeout: 10_000 }).status === 0;

/** Debian keeps the server out of the PATH of others than root. */
const server = findProgram("dockerd", { path: `${process.env.PATH ?? ""}${delimiter}/usr/sbin` });
const isRoot = process.getuid?.() === 0;
const composeCommand = isAnswered("docker", "compose", "version")
  ? ["docker", "compose"]
  : isAnswered("docker-compose", "version")
    ? ["docker-compose"]
    : undefined;

/** A server of one's own needs root; what must never be touched is the one of whoever runs the tests. */
export const canStartDocker =
  isRoot && server !== undefined && composeCommand !== undefined && isAnswered("docker", "--version");

/** An image is built within. */
const commandMs = 300_000;

/** Starts it in a temporary directory. It leaves this machine's packet filter alone, so containers reach each other only. */
export async function startDockerEngine(): Promise<DockerEngine> {
  if (server === undefined || composeCommand === undefined) throw new Error("there is no Docker here");
  const directory = await mkdtemp(join(tmpdir(), "nexus-docker-"));
  const socket = `unix://${directory}/docker.sock`;
  const places = { "--data-root": "data", "--exec-root": "exec", "--pidfile": "pid" };
  const log = await open(join(directory, "log"), "a");
  const own = Object.entries(places).flatMap(([flag, name]) => [flag, join(directory, name)]);
  const network = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"];
  const child = spawn(
    // A group of its own, so that it outlives this process for as long as it takes to end in order, with its containers.
    "setpriv",
    ["--pdeathsig", "SIGTERM", server, ...own, ...network, "--host", socket],
    { stdio: ["ignore", log.fd, log.fd], detached: true },
  );
  await log.close();
  const command = ["docker", "--host", socket];
  const docker = (...args: readonly string[]) => runProgram([...command, ...args], commandMs);
  const close = async () => {
    await removeEverything(docker);
    await end(child, join(directory, "exec", "containerd", "containerd.pid"));
    await unmountBelow(directory);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await answering(child, docker);
  } catch (error) {
    const said = readFileSync(join(directory, "log"), "utf8").slice(-2_000);
    await close();
    throw new Error(`the Docker Engine does not start:\n${said}`, { cause: error });
  }
  return {
    docker,
    command,
    compose: (args, env) =>
      runProgram([...composeCommand, ...args], commandMs, { ...process.env, ...env, DOCKER_HOST: socket }),
    close,
  };
}

async function answering(child: ChildProcess, docker: DockerEngine["docker"]): Promise<void> {
  await waitFor("an answer", async () => {
    try {
      return await docker("version");
    } catch (error) {
      if (child.exitCode !== null) throw error;
      return false;
    }
  });
}

/** Networks are the machine's: they would outlive the server. */
async function removeEverything(docker: DockerEngine["docker"]): Promise<void> {
  const list = async (...args: readonly string[]) =>
    (await docker(...args, "-q")).split("\n").filter((id) => id !== "");
  try {
    const containers = await list("ps", "-a");
    if (containers.length > 0) await docker("rm", "-f", "-v", ...containers);
    await docker("network", "prune", "-f");
  } catch {
    // It has ended already.
  }
}

async function end(child: ChildProcess, helper: string): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const isOver = await Promise.race([ended.then(() => true), pause(20_000, false, { ref: false })]);
  if (isOver) return;
  child.kill("SIGKILL");
  await ended;
  // It has ended this one itself when it ended in order.
  if (existsSync(helper)) process.kill(Number(readFileSync(helper, "utf8")), "SIGKILL");
}

async function unmountBelow(directory: string): Promise<void> {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  for (const mount of mounts.filter((path) => path.startsWith(`${directory}/`)).reverse()) {
    await runProgram(["umount", "-l", mount], 10_000).catch(() => "");
  }
}
