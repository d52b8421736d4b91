import assert from "node:assert/strict";
import { appendFile, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { recordsConfigSchema } from "./config.ts";
import { type KeptRequest, RecordStore } from "./record-store.ts";
import type { RequestRecord } from "./request-record.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

function makeRecord(id: string, rest: Partial<RequestRecord> = {}): RequestRecord {
  return {
    id,
    trace_id: "0".repeat(32),
    at: "2026-01-01T00:00:00.000Z",
    gateway: "gateway-1",
    operation: "chat.completions.create",
    status: 200,
    stream: false,
    candidates: [],
    rejected: [],
    omitted: 0,
    attempts: [],
    notes: [],
    timings_ms: { total: 1 },
    bytes_in: 0,
    bytes_out: 0,
    ...rest,
  };
}

/** A request as it is kept whose record this is. */
function keep(id: string, rest: Partial<RequestRecord> = {}): KeptRequest {
  const record = makeRecord(id, rest);
  const { model, resolved_model: resolvedModel, key, code, attempts } = record;
  const isNotable = code !== undefined || attempts.length > 1;
  return { id, model, resolvedModel, key, code, isNotable, toRecord: () => record };
}

async function withDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "nexus-records-"));
  try {
    await run(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function openStore(directory: string | undefined, settings: Record<string, number> = {}, writer = "one"): RecordStore {
  return new RecordStore({
    settings: recordsConfigSchema.parse(settings),
    directory,
    writer,
    clock: systemClock,
    log: silent,
  });
}

test("the ring keeps the newest and gives them newest first", async () => {
  const store = openStore(undefined, { memoryMax: 3 });
  for (const id of ["a", "b", "c", "d"]) store.add(keep(id));
  assert.deepEqual(
    (await store.list({}, 10)).map(({ id }) => id),
    ["d", "c", "b"],
  );
  assert.equal(await store.find("a"), undefined);
  assert.equal((await store.find("b"))?.id, "b");
});

test("a filter leaves out what was not asked for", async () => {
  const store = openStore(undefined);
  store.add(keep("a", { model: "one" }));
  store.add(keep("b", { model: "two", code: "backend_error", key: "k" }));
  assert.deepEqual(
    (await store.list({ failed: true }, 9)).map(({ id }) => id),
    ["b"],
  );
  assert.deepEqual(
    (await store.list({ model: "one" }, 9)).map(({ id }) => id),
    ["a"],
  );
  assert.deepEqual(
    (await store.list({ key: "k" }, 9)).map(({ id }) => id),
    ["b"],
  );
  assert.equal((await store.list({}, 1)).length, 1);
});

test("what has left memory is found on disk, by another process too, and what is not the asker's is not", () =>
  withDirectory(async (directory) => {
    const store = openStore(directory, { memoryMax: 1 });
    store.add(keep("old", { key: "mine" }));
    store.add(keep("new"));
    await store.close();
    assert.equal((await store.find("old"))?.key, "mine");
    assert.equal((await openStore(directory, {}, "two").find("old"))?.key, "mine");
    assert.equal(await store.find("old", ({ key }) => key === "theirs"), undefined);
    assert.equal(await store.find("ol"), undefined);
  }));

test("half a line and a foreign file in the directory hide nothing", () =>
  withDirectory(async (directory) => {
    const store = openStore(directory, { memoryMax: 0 });
    store.add(keep("whole"));
    await store.close();
    const [file = ""] = await readdir(directory);
    await appendFile(join(directory, file), '{"id":"half","trace');
    await writeFile(join(directory, "README"), '{"id":"whole",');
    assert.equal((await store.find("whole"))?.status, 200);
    assert.equal(await store.find("half"), undefined);
  }));

test("above the rate only what failed is written, and that is bounded too", () =>
  withDirectory(async (directory) => {
    const store = openStore(directory, { memoryMax: 0, diskPerSecondMax: 2 });
    for (let turn = 0; turn < 5; turn++) store.add(keep(`good-${turn}`));
    for (let turn = 0; turn < 5; turn++) store.add(keep(`bad-${turn}`, { code: "backend_error" }));
    await store.close();
    assert.equal(store.dropped, 6);
    assert.notEqual(await store.find("bad-1"), undefined);
    assert.equal(await store.find("good-2"), undefined);
  }));

test("the room on disk is kept, the oldest segments go first", () =>
  withDirectory(async (directory) => {
    const big = "x".repeat(1_000_000);
    for (let turn = 0; turn < 6; turn++) {
      await writeFile(join(directory, `old-${String(turn).padStart(13, "0")}.jsonl`), big);
    }
    const store = openStore(directory, { diskBytesMax: 6_500_000 });
    store.add(keep("a"));
    await store.close();
    const names = await readdir(directory);
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
    assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 2_600_000);
    assert.notEqual(await openStore(directory, {}, "two").find("a"), undefined);
  }));

test("a disk that cannot be written costs records and nothing else", () =>
  withDirectory(async (directory) => {
    const path = join(directory, "file");
    await writeFile(path, "");
    const store = openStore(path);
    store.add(keep("a"));
    await store.close();
    assert.equal(store.dropped, 1);
    assert.equal((await store.find("a"))?.id, "a");
  }));

test("other settings keep the newest that fit, in memory at once and on disk from the next write on", () =>
  withDirectory(async (directory) => {
    const store = openStore(directory, { memoryMax: 4 });
    const idsAfter = async (settings: Record<string, number>, ...added: string[]) => {
      store.configure(recordsConfigSchema.parse(settings));
      for (const id of added) store.add(keep(id));
      return (await store.list({}, 10)).map(({ id }) => id).join("");
    };
    for (const id of ["a", "b", "c", "d", "e"]) store.add(keep(id));
    assert.equal(await idsAfter({ memoryMax: 2 }), "ed");
    assert.equal(await idsAfter({ memoryMax: 2 }, "f"), "fe");
    assert.equal(await idsAfter({ memoryMax: 4 }), "fe");
    assert.equal(await idsAfter({ memoryMax: 4 }, "g", "h", "i"), "ihgf");
    assert.equal(await idsAfter({ memoryMax: 0, diskBytesMax: 0 }, "j"), "");
    await store.close();
    assert.equal((await store.find("i"))?.id, "i");
    assert.equal(await store.find("j"), undefined);
    assert.equal(await idsAfter({ memoryMax: 1 }, "k", "l"), "l");
  }));
