import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import OpenAI, { toFile } from "openai";
import { silentLogger } from "../../src/base/logger.ts";
import { filesConfigSchema } from "../../src/objects/config.ts";
import { createFileBytes } from "../../src/objects/file-bytes.ts";
import { createFileStore } from "../../src/objects/file-store.ts";
import { Files } from "../../src/objects/files.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { startTestGateway, type TestGateway } from "../support/gateway.ts";
import { openTestDatabase } from "../support/objects.ts";
import { waitFor } from "../support/wait-for.ts";

describe("OpenAI's client and files", { timeout: 60_000 }, () => {
  let directory: string;
  let gateway: TestGateway;
  let client: OpenAI;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexus-files-"));
    gateway = await startTestGateway({
      files: { directory, fileBytesMax: 4_000_000, tenantBytesMax: 6_000_000, bytesMax: 9_000_000 },
    });
    client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
  });
  afterEach(async () => {
    await gateway.close();
    await rm(directory, { recursive: true, force: true });
  });
  const upload = async (text: string | Buffer, name = "a.jsonl", from = client) =>
    from.files.create({ file: await toFile(Buffer.from(text), name), purpose: "batch" });
  const otherClient = async () => {
    const tenant = await gateway.desk.tenants.create({ name: "others" });
    const { key } = await gateway.keys.create({ name: "other", role: "user", tenant: tenant.id });
    return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: 0 });
  };

  // proves: files.kept
  it("uploads, describes, fetches and deletes", async () => {
    const text = `${JSON.stringify({ text: "Zürich 🌍" })}\n`;
    const file = await upload(text, "fragen für morgen.jsonl");
    assert.match(file.id, /^file-[0-9a-f]{32}$/);
    assert.deepEqual(
      [file.object, file.bytes, file.filename, file.purpose, file.status],
      ["file", Buffer.byteLength(text), "fragen für morgen.jsonl", "batch", "processed"],
    );
    assert.deepEqual(await client.files.retrieve(file.id), file);
    const content = await client.files.content(file.id);
    assert.equal(content.headers.get("content-type"), "application/jsonl");
    assert.equal(await content.text(), text);
    assert.deepEqual(await client.files.delete(file.id), { id: file.id, object: "file", deleted: true });
    await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
    await assert.rejects(client.files.content(file.id), OpenAI.NotFoundError);
    assert.deepEqual(readdirSync(directory), []);
  });

  // proves: files.kept
  it("lists page by page, by purpose", async () => {
    const ids: string[] = [];
    for (const name of ["a", "b", "c"]) {
      ids.push((await upload(name, name)).id);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await client.files.create({ file: await toFile(Buffer.from("x"), "x"), purpose: "user_data" });
    const listed = await Array.fromAsync(client.files.list({ purpose: "batch", limit: 2, order: "asc" }));
    assert.deepEqual(
      listed.map(({ id }) => id),
      ids,
    );
    assert.equal((await client.files.list()).data.length, 4);
    assert.equal((await gateway.fetch("/v1/files?limit=0")).status, 400);
  });

  // proves: files.kept
  it("sees nothing of another tenant's", async () => {
    const { id } = await upload("secret");
    const other = await otherClient();
    await assert.rejects(other.files.retrieve(id), OpenAI.NotFoundError);
    await assert.rejects(other.files.content(id), OpenAI.NotFoundError);
    await assert.rejects(other.files.delete(id), OpenAI.NotFoundError);
    assert.deepEqual((await other.files.list()).data, []);
    assert.equal((await client.files.retrieve(id)).id, id);
  });

  // proves: files.bounded
  it("is refused what is too large, alone or with the rest, and nothing of it is kept", async () => {
    const isFull = (error: unknown) => {
      assert.ok(error instanceof OpenAI.APIError);
      assert.deepEqual([error.status, error.code], [413, "storage_full"]);
      return true;
    };
    await assert.rejects(upload(Buffer.alloc(4_000_001)), isFull);
    await assert.rejects(upload(Buffer.alloc(5_000_000)), isFull);
    await upload(Buffer.alloc(4_000_000));
    await assert.rejects(upload(Buffer.alloc(2_000_001)), isFull);
    await upload(Buffer.alloc(2_000_000));
    const other = await otherClient();
    await assert.rejects(upload(Buffer.alloc(3_000_001), "a", other), isFull);
    await upload(Buffer.alloc(3_000_000), "a", other);
    assert.equal(readdirSync(directory).length, 3);
  });

  // proves: files.ranges
  it("fetches parts, heads, and what has not changed", async () => {
    const { id } = await upload("0123456789");
    const ask = (headers: Record<string, string>, method = "GET") =>
      gateway.fetch(`/v1/files/${id}/content`, { headers, method });
    const whole = await ask({});
    const etag = whole.headers.get("etag") ?? "";
    assert.match(etag, /^"file-[0-9a-f]{32}-\d+"$/);
    assert.deepEqual([whole.headers.get("accept-ranges"), await whole.text()], ["bytes", "0123456789"]);
    const part = await ask({ range: "bytes=2-5", "if-range": etag });
    assert.deepEqual([part.status, part.headers.get("content-range")], [206, "bytes 2-5/10"]);
    assert.deepEqual([part.headers.get("content-length"), await part.text()], ["4", "2345"]);
    assert.equal(await (await ask({ range: "bytes=-3" })).text(), "789");
    const changed = await ask({ range: "bytes=2-5", "if-range": '"another"' });
    assert.deepEqual([changed.status, await changed.text()], [200, "0123456789"]);
    const beyond = await ask({ range: "bytes=10-" });
    assert.deepEqual([beyond.status, beyond.headers.get("content-range")], [416, "bytes */10"]);
    assert.equal(((await beyond.json()) as { error: { code: string } }).error.code, "range_not_satisfiable");
    const head = await ask({ range: "bytes=2-5" }, "HEAD");
    assert.deepEqual([head.status, head.headers.get("content-length"), await head.text()], [200, "10", ""]);
    const [from, to] = [
      await client.files.content(id, { headers: { range: "bytes=0-4" } }),
      await ask({ range: "bytes=5-" }),
    ];
    assert.equal((await from.text()) + (await to.text()), "0123456789");
  });

  // proves: files.kept
  it("is told what is wrong with a form", async () => {
    const send = (form: FormData) =>
      fetch(`${gateway.url}/v1/files`, {
        method: "POST",
        headers: { authorization: `Bearer ${gateway.key}` },
        body: form,
      });
    const paramOf = async (fields: Readonly<Record<string, string | Blob>>) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      const answer = await send(form);
      const { error } = (await answer.json()) as { error: { param: string } };
      return [answer.status, error.param];
    };
    const file = new File(["x"], "x");
    assert.deepEqual(await paramOf({ purpose: "batch" }), [400, "file"]);
    assert.deepEqual(await paramOf({ purpose: "batch", file: "text" }), [400, "file"]);
    assert.deepEqual(await paramOf({ file }), [400, "purpose"]);
    assert.deepEqual(await paramOf({ file, purpose: "batch_output" }), [400, "purpose"]);
    const expiry = { "expires_after[anchor]": "created_at", "expires_after[seconds]": "1" };
    assert.deepEqual(await paramOf({ file, purpose: "batch", ...expiry }), [400, "expires_after"]);
    const json = await gateway.fetch("/v1/files", { body: { purpose: "batch" } });
    assert.equal(json.status, 415);
    assert.deepEqual(readdirSync(directory), []);
  });

  // proves: files.bounded
  it("leaves nothing when it goes in the middle", async () => {
    const { hostname, port } = new URL(gateway.url);
    const socket = connect(Number(port), hostname);
    const head = `--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n`;
    socket.write(
      `POST /v1/files HTTP/1.1\r\nhost: ${hostname}:${port}\r\nauthorization: Bearer ${gateway.key}\r\n` +
        `content-type: multipart/form-data; boundary=b\r\ncontent-length: 3000000\r\n\r\n${head}${"x".repeat(500_000)}`,
    );
    await waitFor("a part of it", () => readdirSync(directory).length === 1);
    socket.destroy();
    await waitFor("its end", () => readdirSync(directory).length === 0);
    assert.deepEqual((await client.files.list()).data, []);
  });
});

describe("files", { timeout: 60_000 }, () => {
  const label = { tenant: "a", purpose: "batch", filename: "a", expiresAt: null };
  async function openFiles(t: { after(run: () => unknown): void }, openFile?: Parameters<typeof createFileBytes>[1]) {
    const directory = await mkdtemp(join(tmpdir(), "nexus-files-"));
    const clock = new FakeClock();
    const database = openTestDatabase();
    const limits = filesConfigSchema.parse({});
    const store = createFileStore({ database, clock, limits: () => limits });
    const bytes = createFileBytes(directory, openFile);
    const files = new Files({ store, bytes, limits: () => limits, clock, log: silentLogger });
    t.after(async () => {
      files.close();
      await database.close();
      await rm(directory, { recursive: true, force: true });
    });
    return { directory, clock, database, files };
  }

  // proves: files.bounded
  it("say that the disk is full, and keep nothing", async (t) => {
    // The kernel's own device for this: every write to it says that there is no space left.
    const { directory, files } = await openFiles(t, () => open("/dev/full", "w"));
    const upload = await files.begin();
    const isFull = (error: unknown) => (error as { code?: unknown }).code === "disk_full";
    await assert.rejects(upload.write(Buffer.from("x")), isFull);
    assert.deepEqual(readdirSync(directory), []);
  });

  // proves: files.kept
  it("go when they expire, with what dead writers left behind", async (t) => {
    const { directory, clock, files } = await openFiles(t);
    const add = async (expiresAt: number | null) => {
      const upload = await files.begin();
      await upload.write(Buffer.from("x"));
      return await upload.finish({ ...label, expiresAt });
    };
    const kept = await add(null);
    const old = await add(clock.now() + 1_000);
    await (await files.begin()).write(Buffer.from("half"));
    await clock.tick(999);
    assert.ok(await files.find("a", old.id));
    await clock.tick(1);
    assert.equal(await files.find("a", old.id), undefined);
    await files.sweep();
    assert.equal(existsSync(join(directory, old.id)), false);
    assert.equal(readdirSync(directory).length, 2, "what is half may still be written");
    await clock.tick(Date.now() - clock.now() + 2 * 86_400_000);
    await files.sweep();
    assert.deepEqual(readdirSync(directory), [kept.id]);
  });

  // proves: files.bounded
  it("that the database does not take are not kept", async (t) => {
    const { directory, database, files } = await openFiles(t);
    const upload = await files.begin();
    await upload.write(Buffer.from("x"));
    await database.close();
    await assert.rejects(upload.finish(label));
    assert.deepEqual(readdirSync(directory), []);
  });
});
