import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, copyFile, cp, link, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { waitFor } from "../support/wait-for.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** Says what it was given, then does what its first argument asks for. */
const fakeMain = `
  const [verb] = process.argv.slice(2);
  if (verb === "fail") process.exitCode = 3;
  if (verb === "wait") {
    process.on("SIGTERM", () => process.exit(7));
    setInterval(() => {}, 1000);
  }
  console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), pid: process.pid }));`;

/** Counts its runs and does what NPM_DOES says. */
const fakeNpm = `#!/bin/sh
echo run >> "$NPM_LOG"
mkdir -p node_modules
echo "npm warn EBADENGINE Unsupported engine" >&2
case $NPM_DOES in
  wait) for _ in $(seq 300); do sleep 0.1; done ;;
  slow) sleep 1 ;;
  offline)
    echo "npm error code ECONNREFUSED" >&2
    echo "npm error request to http://127.0.0.1:9/zod failed, reason: connect ECONNREFUSED 127.0.0.1:9" >&2
    echo "npm error     at ClientRequest.<anonymous> (/usr/lib/node_modules/npm/x.js:130:14)" >&2
    exit 1 ;;
  unknown) echo "npm error something new" >&2; exit 1 ;;
esac
`;

function findOnPath(name: string): string {
  const candidates = (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, name));
  const found = candidates.find((path) => existsSync(path));
  assert.ok(found, `${name} is on the PATH`);
  return found;
}

describe("the bootstrap", { timeout: 60_000 }, () => {
  let clone: string;
  let bin: string;
  let started: ChildProcess[];

  beforeEach(async () => {
    clone = await mkdtemp(join(tmpdir(), "nexus-bootstrap-"));
    bin = join(clone, "bin");
    started = [];
    for (const path of ["nexus", "scripts"]) await cp(join(repository, path), join(clone, path), { recursive: true });
    for (const folder of ["src", "bin"]) await mkdir(join(clone, folder));
    await writeFile(join(clone, "src", "main.ts"), fakeMain);
    await writeFile(join(clone, "package-lock.json"), "{}");
    await writeFile(join(bin, "npm"), fakeNpm);
    await chmod(join(bin, "npm"), 0o755);
    await symlink(process.execPath, join(bin, "node"));
  });
  afterEach(async () => {
    for (const child of started) child.kill("SIGKILL");
    await rm(clone, { recursive: true, force: true });
  });

  const start = (
    args: string[],
    options: { npm?: string; command?: string; cwd?: string; nodeOptions?: string } = {},
  ) => {
    const { npm = "succeed", command = join(clone, "nexus"), cwd = clone, nodeOptions = "" } = options;
    const env = {
      PATH: `${bin}:/usr/bin:/bin`,
      NPM_LOG: join(clone, "npm.log"),
      NPM_DOES: npm,
      NODE_OPTIONS: nodeOptions,
    };
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    started.push(child);
    return child;
  };
  const run = async (args: string[], options: Parameters<typeof start>[1] = {}) => {
    const child = start(args, options);
    const [stdout, stderr, [code, signal]] = await Promise.all([
      child.stdout.setEncoding("utf8").toArray(),
      child.stderr.setEncoding("utf8").toArray(),
      once(child, "close"),
    ]);
    return { stdout: stdout.join(""), stderr: stderr.join(""), code, signal };
  };
  const installations = async () => (await readFile(join(clone, "npm.log"), "utf8")).split("\n").length - 1;

  // proves: start.one-command
  it("is what `npm start` and `npm test` run", async () => {
    await cp(join(repository, "package.json"), join(clone, "package.json"));
    const npm = findOnPath("npm");
    const started = await run(["start", "--silent", "--", "--port", "1"], { command: npm });
    assert.deepEqual(JSON.parse(started.stdout).args, ["up", "--port", "1"]);
    const tested = await run(["test", "--silent"], { command: npm });
    assert.match(tested.stdout, /\n0 passed, 0 failed, 0 skipped\n$/);
  });

  // proves: start.installs-once
  it("installs on the first start only, and leaves stdout to the verb", async () => {
    const first = await run(["status", "--json"]);
    assert.deepEqual(JSON.parse(first.stdout).args, ["status", "--json"]);
    assert.match(first.stderr, /^nexus: installing packages .*\nnexus: packages installed in \d+ s\n$/);
    const second = await run(["status"]);
    assert.equal(second.stderr, "");
    assert.equal(await installations(), 1);
  });

  it("installs again when the lock file has changed", async () => {
    await run(["status"]);
    await writeFile(join(clone, "package-lock.json"), `{"packages":{}}`);
    await run(["status"]);
    assert.equal(await installations(), 2);
  });

  // proves: start.any-directory
  it("runs through symbolic links and keeps the directory it is called from", async () => {
    const links = await mkdtemp(join(tmpdir(), "nexus-links-"));
    try {
      await symlink(join(clone, "nexus"), join(links, "first"));
      await symlink("first", join(links, "second"));
      const { stdout } = await run(["status"], { command: join(links, "second"), cwd: links });
      assert.equal(JSON.parse(stdout).cwd, links);
    } finally {
      await rm(links, { recursive: true });
    }
  });

  const ways = [
    { way: "becomes Nexus", nodeOptions: "" },
    // What Node 20 lacks.
    { way: "starts Nexus as a child", nodeOptions: "--import=data:text/javascript,delete%20process.execve" },
  ];
  for (const { way, nodeOptions } of ways) {
    // proves: start.same-end
    it(`${way}: ends as the verb ends, and signals reach it`, async () => {
      assert.equal((await run(["fail"], { nodeOptions })).code, 3);
      for (const [signal, end] of [
        ["SIGTERM", [7, null]],
        ["SIGHUP", [null, "SIGHUP"]],
      ] as const) {
        const waiting = start(["wait"], { nodeOptions });
        const [said] = await once(waiting.stdout, "data");
        assert.equal(JSON.parse(said).pid === waiting.pid, way === "becomes Nexus");
        waiting.kill(signal);
        assert.deepEqual(await once(waiting, "exit"), end);
      }
    });
  }

  // proves: start.node
  it("runs on the system's Node when it is new enough, else on the pinned one", async () => {
    const pinned = join(clone, "node_modules", "pinned", "node");
    await mkdir(join(clone, "node_modules", ".bin"), { recursive: true });
    await mkdir(join(clone, "node_modules", "pinned"));
    await link(process.execPath, pinned).catch(() => copyFile(process.execPath, pinned));
    await symlink(pinned, join(clone, "node_modules", ".bin", "node"));
    const system = join(bin, "node");
    for (const [version, stdout] of [
      ["v23.9.0", /"args":\["status"\]/],
      ["v26.1.0", /^system runs .*main\.ts status\n$/],
    ] as const) {
      await rm(system, { force: true });
      await writeFile(system, `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo system runs "$@"\n`);
      await chmod(system, 0o755);
      assert.match((await run(["status"])).stdout, stdout);
    }
  });

  // proves: start.says-why
  it("shows npm's error without its noise, says what to do, and tries again on the next start", async () => {
    const { stdout, stderr, code } = await run(["status"], { npm: "offline" });
    assert.equal(stdout, "");
    assert.deepEqual(stderr.split("\n").slice(1), [
      "nexus: the packages could not be installed.",
      "  npm: request to http://127.0.0.1:9/zod failed, reason: connect ECONNREFUSED 127.0.0.1:9",
      "The package registry cannot be reached. Check the network (`npm config get registry` and `npm config get proxy` show what npm uses), then run this again.",
      "",
    ]);
    assert.equal(code, 1);
    assert.match((await run(["status"], { npm: "unknown" })).stderr, / {2}npm: something new\nMend what npm names/);
    assert.equal((await run(["status"])).code, 0);
  });

  it("says that npm is missing", async () => {
    await rm(join(bin, "npm"));
    await rm(join(bin, "node"));
    const only = join(clone, "only");
    await mkdir(only);
    await symlink(process.execPath, join(only, "node"));
    const child = spawn(process.execPath, [join(clone, "scripts", "bootstrap.mjs"), "status"], {
      env: { PATH: only },
      stdio: ["ignore", "ignore", "pipe"],
    });
    started.push(child);
    const said = await child.stderr.setEncoding("utf8").toArray();
    assert.match(said.join(""), /npm is missing\. Install it/);
  });

  // proves: start.two-at-once
  it("installs once when two start at the same time", async () => {
    const both = await Promise.all([run(["a"], { npm: "slow" }), run(["b"], { npm: "slow" })]);
    assert.deepEqual(
      both.map(({ code }) => code),
      [0, 0],
    );
    assert.equal(both.filter(({ stderr }) => stderr.includes("waiting for the installation")).length, 1);
    assert.equal(await installations(), 1);
  });

  // proves: start.interrupted
  it("stops npm when it is interrupted", async () => {
    const child = start(["status"], { npm: "wait" });
    const pid = await npmPid(child.pid);
    child.kill("SIGINT");
    assert.deepEqual(await once(child, "exit"), [130, null]);
    assert.throws(() => process.kill(pid, 0));
    assert.equal((await run(["status"])).code, 0);
  });

  it("takes over from an installation that was killed, once its npm has ended", async () => {
    const killed = start(["status"], { npm: "wait" });
    const pid = await npmPid(killed.pid);
    killed.kill("SIGKILL");
    await once(killed, "exit");
    const next = start(["status"]);
    const [said] = await once(next.stderr.setEncoding("utf8"), "data");
    assert.equal(said, `nexus: waiting for the installation that process ${pid} runs\n`);
    process.kill(pid, "SIGKILL");
    assert.deepEqual(await once(next, "exit"), [0, null]);
    assert.equal(await installations(), 2);
  });

  /** The process that the lock names beside this bootstrap; an earlier one's lock may still lie there. */
  const npmPid = (bootstrap: number | undefined) =>
    waitFor("npm", async () => {
      const [holder, pid] = JSON.parse(await readFile(join(clone, ".install.lock"), "utf8").catch(() => "[]"));
      return holder === bootstrap && typeof pid === "number" && pid;
    });
});
