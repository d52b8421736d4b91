import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Client } from "pg";
import { waitFor } from "./wait-for.ts";

/** A PostgreSQL of a test's own, on a Unix socket in a directory of its own. */
export interface TestPostgres {
  /** Makes an empty database; its address. */
  makeDatabase(): Promise<string>;
  /** `kill -9` of all its processes. */
  kill(): Promise<void>;
  /** After `kill`: the same data again. Resolves when it answers. */
  start(): Promise<void>;
  /** SIGSTOP of all its processes: connections stay open, and nothing answers. */
  freeze(): void;
  thaw(): void;
  close(): Promise<void>;
}

/** Debian keeps the server's programs out of PATH. */
function findPrograms(): string | undefined {
  const directories = [
    ...(process.env.PATH ?? "").split(delimiter),
    ...globSync("/usr/lib/postgresql/*/bin").sort().reverse(),
  ];
  return directories.find(
    (directory) => existsSync(join(directory, "initdb")) && existsSync(join(directory, "postgres")),
  );
}

const programs = findPrograms();
export const hasPostgres = programs !== undefined;

const port = 5432;
const startTimeoutMs = 30_000;

/** PostgreSQL refuses to run as root: there, it runs as its own user, or as nobody. */
function findUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  const line = lines.find((one) => one.startsWith("postgres:")) ?? lines.find((one) => one.startsWith("nobody:"));
  const [, , uid, gid] = (line ?? "").split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

/** Makes an empty cluster and starts it. */
export async function startPostgres(): Promise<TestPostgres> {
  if (programs === undefined) throw new Error("there is no PostgreSQL here");
  const user = findUser();
  const directory = await mkdtemp(join(tmpdir(), "nexus-pg-"));
  if (user !== undefined) await chown(directory, user.uid, user.gid);
  const data = join(directory, "data");
  const made = spawnSync(
    join(programs, "initdb"),
    ["-D", data, "-U", "nexus", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
    { ...user, cwd: directory, encoding: "utf8", timeout: startTimeoutMs },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);

  let server: ChildProcess | undefined;
  const all = () => (server?.pid === undefined ? [] : [server.pid, ...childrenOf(server.pid)]);
  const signal = (name: NodeJS.Signals) => {
    for (const pid of all()) sendSignal(pid, name);
  };
  const start = async () => {
    const deadline = performance.now() + startTimeoutMs;
    // After a kill, what is left of the old one may still hold its memory for a moment.
    for (;;) {
      server = spawn(join(programs, "postgres"), ["-D", data, "-k", directory, "-c", "listen_addresses="], {
        ...user,
        cwd: directory,
        stdio: "ignore",
      });
      if (await isUp(server, join(directory, `.s.PGSQL.${port}`))) return;
      if (performance.now() > deadline) throw new Error("PostgreSQL does not start");
    }
  };
  const kill = async () => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    signal("SIGKILL");
    await ended;
  };
  await start();
  const urlOf = (name: string) =>
    `postgres://nexus@localhost/${name}?host=${encodeURIComponent(directory)}&port=${port}`;
  let databases = 0;
  return {
    async makeDatabase() {
      const name = `test_${++databases}`;
      const client = new Client(urlOf("postgres"));
      await client.connect();
      await client.query(`create database ${name}`);
      await client.end();
      return urlOf(name);
    },
    kill,
    start,
    freeze: () => freeze(signal),
    thaw: () => signal("SIGCONT"),
    async close() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The first round stops whoever forks; the second finds whom it had just forked. */
function freeze(signal: (name: NodeJS.Signals) => void): void {
  signal("SIGSTOP");
  signal("SIGSTOP");
}

/** Each of PostgreSQL's processes leads a session of its own, so that no group holds them all. */
function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
      } catch {
        return false;
      }
    });
}

function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has just ended.
  }
}

/** Whether it accepts connections; false when it ended instead. */
async function isUp(server: ChildProcess, socketPath: string): Promise<boolean> {
  await waitFor("PostgreSQL", async () => server.exitCode !== null || (await answersStartup(socketPath)));
  return server.exitCode === null;
}

/** A startup message for the user `nexus`: `R` is the answer of a server that is ready, `E` of one that is starting. */
function answersStartup(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(socketPath);
  const parameters = Buffer.from("user\0nexus\0database\0postgres\0\0");
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + parameters.length, 0);
  head.writeInt32BE(196_608, 4);
  socket.once("connect", () => socket.write(Buffer.concat([head, parameters])));
  socket.once("data", (chunk) => resolve(chunk[0] === 0x52));
  socket.once("error", () => resolve(false));
  socket.once("close", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
