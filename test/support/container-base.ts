import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { runProgram } from "./run-program.ts";

/** What the Dockerfiles use of a Debian besides Node and npm. */
const programs = ["sh", "env", "mkdir", "chown", "chmod", "rm", "ls", "cat", "id", "ln"];
const certificates = "/etc/ssl/certs/ca-certificates.crt";
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** npm as one folder that works anywhere, as Node's own archives and images have it. Undefined where it is spread. */
function findNpm(): string | undefined {
  for (const directory of (process.env.PATH ?? "").split(delimiter)) {
    const program = join(directory, "npm");
    if (!existsSync(program)) continue;
    const folder = dirname(dirname(realpathSync(program)));
    if (existsSync(join(folder, "bin", "npm-cli.js")) && existsSync(join(folder, "node_modules"))) return folder;
  }
  return undefined;
}

const npm = findNpm();
/** Whether this machine has what a base is made of. */
export const hasBaseParts = npm !== undefined && existsSync("/usr/bin/ldd") && existsSync("/usr/bin/dash");

/**
 * Makes an image that stands for Node's own where none can be pulled: this machine's Node, npm, shell and the libraries
 * that they need, and nothing else. Laid out as Debian is, with the users of Node's image.
 * @param docker Runs docker with these arguments.
 * @param tag Of the image.
 */
export async function makeBaseImage(docker: readonly string[], tag: string): Promise<void> {
  if (npm === undefined) throw new Error("there is no npm that can be copied");
  const root = await mkdtemp(join(tmpdir(), "nexus-base-"));
  const place = (path: string, copyOf: string) => {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    cpSync(copyOf, join(root, path), { recursive: true, dereference: true });
  };
  try {
    for (const directory of ["bin", "lib", "lib64", "sbin"]) {
      mkdirSync(join(root, "usr", directory), { recursive: true });
      symlinkSync(`usr/${directory}`, join(root, directory));
    }
    for (const directory of ["proc", "sys", "dev", "root", "home/node"]) {
      mkdirSync(join(root, directory), { recursive: true });
    }
    mkdirSync(join(root, "tmp"));
    chmodSync(join(root, "tmp"), 0o1777);
    chmodSync(root, 0o755);
    const files = programs.map((name) => `/usr/bin/${name}`);
    for (const file of files) place(file, file);
    place("/usr/local/bin/node", process.execPath);
    for (const library of librariesOf([...files, process.execPath])) place(inUsr(library), library);
    place("/usr/local/lib/node_modules/npm", npm);
    symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(root, "usr/local/bin/npm"));
    mkdirSync(join(root, "etc"));
    writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n");
    writeFileSync(join(root, "etc/group"), "root:x:0:\nnode:x:1000:\n");
    // A registry that this machine trusts is trusted by what is built on it.
    if (existsSync(certificates)) place(certificates, certificates);
    const archive = `${root}.tar`;
    await runProgram(["tar", "--owner=0", "--group=0", "-C", root, "-cf", archive, "."], 60_000);
    const settings = [`ENV PATH=${searchPath}`, `ENV NODE_EXTRA_CA_CERTS=${certificates}`];
    const changes = settings.flatMap((setting) => ["--change", setting]);
    await runProgram([...docker, "import", ...changes, archive, tag], 120_000);
    await rm(archive);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** The shared libraries of programs, and what loads them. */
function librariesOf(files: readonly string[]): ReadonlySet<string> {
  const { stdout } = spawnSync("/usr/bin/ldd", [...files], { encoding: "utf8", timeout: 10_000 });
  return new Set([...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(([, path = ""]) => path));
}

/** `/lib/x.so` where `/lib` is a link to `/usr/lib`. */
function inUsr(path: string): string {
  return path.startsWith("/usr/") ? path : `/usr${path}`;
}
