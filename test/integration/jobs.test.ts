import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import OpenAI from "openai";
import { type FakeBackend, startFakeBackend } from "../fakes/fake-backend.ts";
import { recordOf, startTestGateway, type TestGateway } from "../support/gateway.ts";
import { makeTestDatabaseUrl } from "../support/objects.ts";
import { waitFor } from "../support/wait-for.ts";

const models = [{ id: "film", domains: ["video" as const, "music" as const], state: "loaded" as const }];
const request = { model: "film", prompt: "a boat on the Limmat" } as const;

describe("jobs", { timeout: 60_000 }, () => {
  let backends: FakeBackend[];
  let gateway: TestGateway;
  let client: OpenAI;
  const recordsOf = (some: readonly FakeBackend[]) =>
    some.map((backend) => recordOf(backend, { models, instance: `film-${backends.indexOf(backend)}` }));
  const clientOf = ({ url, key }: TestGateway) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
  beforeEach(async () => {
    backends = [await startFakeBackend("nexus", { models }), await startFakeBackend("nexus", { models })];
    gateway = await startTestGateway({ databaseUrl: makeTestDatabaseUrl() });
    gateway.view.set(recordsOf(backends));
    client = clientOf(gateway);
  });
  afterEach(async () => {
    await gateway.close();
    for (const backend of backends) await backend.close();
  });
  /** Which instance has the job, by what its film says. */
  const makerOf = async (id: string) => {
    await client.videos.retrieve(id);
    await client.videos.retrieve(id);
    const film = Buffer.from(await (await client.videos.downloadContent(id)).arrayBuffer());
    return backends.findIndex(({ port }) => film.includes(`_${port}_`));
  };

  // proves: jobs.affinity
  it("are made, looked at and fetched where they were begun", async () => {
    const made = await Promise.all(Array.from({ length: 6 }, () => client.videos.create(request)));
    assert.equal(new Set(made.map(({ id }) => id)).size, 6);
    for (const { id, status, object } of made) {
      assert.match(id, /^video_[0-9a-f]{32}$/);
      assert.deepEqual([status, object], ["queued", "video"]);
    }
    const makers = await Promise.all(made.map(({ id }) => makerOf(id)));
    assert.deepEqual(new Set(makers), new Set([0, 1]));
    const done = await client.videos.retrieve(made[0]?.id ?? "");
    assert.deepEqual([done.id, done.status], [made[0]?.id, "completed"]);
    const thumbnail = await client.videos.downloadContent(done.id, { variant: "thumbnail" });
    assert.equal(thumbnail.headers.get("content-type"), "image/webp");
  });

  // proves: jobs.affinity
  it("wait for their instance and go to no other", async () => {
    const { id } = await client.videos.create(request);
    const maker = await makerOf(id);
    const other = backends[1 - maker];
    assert.ok(other !== undefined);
    const asked = other.requests.filter(({ operation }) => operation?.startsWith("videos.")).length;
    const isAway = (error: unknown) => {
      assert.ok(error instanceof OpenAI.InternalServerError);
      assert.deepEqual([error.status, error.code], [503, "no_instance_available"]);
      assert.match(error.message, /is away; the video is there again when it comes back/);
      assert.ok(Number(error.headers.get("retry-after")) > 0);
      return true;
    };
    gateway.view.set(recordsOf([other]));
    await assert.rejects(client.videos.retrieve(id), isAway);
    await assert.rejects(client.videos.delete(id), isAway);
    const [listed] = (await client.videos.list()).data;
    assert.deepEqual([listed?.id, listed?.status], [id, "completed"]);
    assert.equal(other.requests.filter(({ operation }) => operation?.startsWith("videos.")).length, asked);
    gateway.view.set(recordsOf(backends));
    assert.equal((await client.videos.retrieve(id)).status, "completed");
    await backends[maker]?.close();
    await assert.rejects(client.videos.retrieve(id), isAway);
    assert.equal(other.requests.filter(({ operation }) => operation?.startsWith("videos.")).length, asked);
  });

  // proves: jobs.private, jobs.list
  it("are their tenant's, on every gateway that shares the database", async (t) => {
    const { url } = gateway.desk;
    const second = await startTestGateway({ databaseUrl: url });
    t.after(() => second.close());
    second.view.set(recordsOf(backends));
    const { id } = await client.videos.create(request);
    assert.equal((await clientOf(second).videos.retrieve(id)).id, id);
    const tenant = await gateway.desk.tenants.create({ name: "others" });
    const { key } = await gateway.keys.create({ name: "other", role: "user", tenant: tenant.id });
    for (const { url: baseUrl } of [gateway, second]) {
      const other = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: key, maxRetries: 0 });
      await assert.rejects(other.videos.retrieve(id), OpenAI.NotFoundError);
      await assert.rejects(other.videos.delete(id), OpenAI.NotFoundError);
      await assert.rejects(other.videos.downloadContent(id), OpenAI.NotFoundError);
      assert.deepEqual((await other.videos.list()).data, []);
    }
    const music = await second.fetch(`/v1/music/${id}`);
    assert.equal(music.status, 404, "a film is no piece of music");
    assert.equal((await client.videos.retrieve(id)).id, id);
  });

  // proves: jobs.list
  it("are listed from all instances, page by page, the newest first", async () => {
    const ids: string[] = [];
    for (let turn = 0; turn < 5; turn++) {
      ids.push((await client.videos.create(request)).id);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const listed = await Array.fromAsync(client.videos.list({ limit: 2 }));
    assert.deepEqual(
      listed.map(({ id }) => id),
      ids.toReversed(),
    );
    const ascending = await client.videos.list({ order: "asc", after: ids[0] ?? "", limit: 2 });
    assert.deepEqual(
      ascending.data.map(({ id }) => id),
      ids.slice(1, 3),
    );
    const wrong = await gateway.fetch("/v1/videos?after=video_unknown");
    assert.equal(wrong.status, 400);
  });

  // proves: jobs.affinity
  it("are stopped by deleting them", async () => {
    const { id } = await client.videos.create(request);
    assert.deepEqual(await client.videos.delete(id), { id, object: "video.deleted", deleted: true });
    const deleted = backends.flatMap(({ requests }) => requests.filter(({ method }) => method === "DELETE"));
    assert.equal(deleted.length, 1);
    await assert.rejects(client.videos.retrieve(id), OpenAI.NotFoundError);
    assert.deepEqual((await client.videos.list()).data, []);
  });

  // proves: jobs.affinity
  it("pass on the client's range, and what the instance says of a job that is not ready", async () => {
    const { id } = await client.videos.create(request);
    await assert.rejects(client.videos.downloadContent(id), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.match(error.message, /not ready/);
      return true;
    });
    const maker = backends[await makerOf(id)];
    const backendPath = maker?.requests.find(({ operation }) => operation === "videos.download_content")?.path;
    maker?.set({
      overrides: {
        [`GET ${backendPath}`]: {
          status: 206,
          headers: { "content-type": "video/mp4", "content-range": "bytes 2-5/10", "accept-ranges": "bytes" },
          body: Buffer.from("2345"),
        },
      },
    });
    const part = await gateway.fetch(`/v1/videos/${id}/content`, { headers: { range: "bytes=2-5" } });
    assert.equal(maker?.requests.at(-1)?.headers.range, "bytes=2-5");
    assert.deepEqual([part.status, part.headers.get("content-range")], [206, "bytes 2-5/10"]);
    assert.equal(await part.text(), "2345");
  });

  // proves: jobs.private
  it("that cannot be kept are stopped, and said to be", async () => {
    assert.equal((await gateway.fetch("/v1/models")).status, 200, "the key is known from now on");
    await gateway.desk.close();
    const answer = await gateway.fetch("/v1/videos", { body: request });
    assert.equal(answer.status, 503);
    assert.equal(((await answer.json()) as { error: { code: string } }).error.code, "database_unavailable");
    const [made] = backends.flatMap(({ requests }) =>
      requests.filter(({ operation }) => operation === "videos.create"),
    );
    const [stopped] = backends.flatMap(({ requests }) => requests.filter(({ method }) => method === "DELETE"));
    assert.ok(made !== undefined && stopped !== undefined);
  });

  /** A film of four kilobytes that its instance says in a way of its own. */
  const finished = async (headers: Readonly<Record<string, string>> = {}) => {
    const { id } = await client.videos.create(request);
    const maker = backends[await makerOf(id)];
    assert.ok(maker !== undefined);
    const path = maker.requests.find(({ operation }) => operation === "videos.download_content")?.path;
    const film = Buffer.from(Array.from({ length: 4_000 }, (_, index) => index % 251));
    const answer = { status: 200, headers: { "content-type": "video/mp4", ...headers }, body: film };
    maker.set({ overrides: { [`GET ${path}`]: answer } });
    return { id, maker, film, ask: (more: object) => gateway.fetch(`/v1/videos/${id}/content`, more) };
  };
  const bytesOf = async (answer: Response) => Buffer.from(await answer.arrayBuffer());

  // proves: jobs.ranges
  it("are fetched in part from an instance that knows no ranges", async () => {
    const { film, ask } = await finished();
    const whole = await ask({});
    const etag = whole.headers.get("etag") ?? "";
    assert.deepEqual([whole.status, whole.headers.get("accept-ranges")], [200, "bytes"]);
    assert.deepEqual(await bytesOf(whole), film);
    for (const condition of [{}, { "if-range": etag }]) {
      const part = await ask({ headers: { range: "bytes=1000-1999", ...condition } });
      assert.deepEqual([part.status, part.headers.get("content-range")], [206, "bytes 1000-1999/4000"]);
      assert.deepEqual([part.headers.get("content-length"), part.headers.get("etag")], ["1000", etag]);
      assert.deepEqual(await bytesOf(part), film.subarray(1_000, 2_000));
    }
    const end = await ask({ headers: { range: "bytes=-10" } });
    assert.deepEqual(await bytesOf(end), film.subarray(-10));
    const changed = await ask({ headers: { range: "bytes=0-9", "if-range": '"another"' } });
    assert.deepEqual([changed.status, await bytesOf(changed)], [200, film]);
    const beyond = await ask({ headers: { range: "bytes=4000-" } });
    assert.deepEqual([beyond.status, beyond.headers.get("content-range")], [416, "bytes */4000"]);
    assert.equal(((await beyond.json()) as { error: { code: string } }).error.code, "range_not_satisfiable");
  });

  // proves: jobs.ranges
  it("have the tag of their instance, and a head that says how large they are", async () => {
    const { film, ask, maker } = await finished({ etag: '"its own"' });
    const head = await ask({ method: "HEAD", headers: { range: "bytes=0-9" } });
    assert.deepEqual(
      [head.status, head.headers.get("content-length"), head.headers.get("etag"), await head.text()],
      [200, "4000", '"its own"', ""],
    );
    assert.equal(maker.requests.at(-1)?.headers.range, undefined);
    const part = await ask({ headers: { range: "bytes=0-9", "if-range": '"its own"' } });
    assert.deepEqual([part.status, await bytesOf(part)], [206, film.subarray(0, 10)]);
    const refused = { status: 416, headers: { "content-range": "bytes */4000" }, body: { error: { message: "no" } } };
    const path = maker.requests.find(({ operation }) => operation === "videos.download_content")?.path;
    maker.set({ overrides: { [`GET ${path}`]: refused } });
    const beyond = await ask({ headers: { range: "bytes=5000-" } });
    assert.deepEqual([beyond.status, beyond.headers.get("content-range")], [416, "bytes */4000"]);
  });

  // proves: jobs.remix
  it("are made of others where those were made", async () => {
    const source = await client.videos.create(request);
    const maker = backends[await makerOf(source.id)];
    const remixes = await Promise.all([1, 2, 3].map(() => client.videos.remix(source.id, { prompt: "at night" })));
    assert.equal(new Set(remixes.map(({ id }) => id)).size, 3);
    assert.equal(maker?.requests.filter(({ operation }) => operation === "videos.remix").length, 3);
    for (const { id, remixed_from_video_id: from, status } of remixes) {
      assert.match(id, /^video_[0-9a-f]{32}$/);
      assert.deepEqual([from, status], [source.id, "queued"]);
      const seen = await client.videos.retrieve(id);
      assert.deepEqual([seen.id, seen.remixed_from_video_id, seen.prompt], [id, source.id, "at night"]);
    }
    assert.equal((await Array.fromAsync(client.videos.list())).length, 4);
    await assert.rejects(client.videos.remix(source.id, { prompt: "" }), OpenAI.BadRequestError);
    await assert.rejects(client.videos.remix("video_unknown", { prompt: "x" }), OpenAI.NotFoundError);
  });

  // proves: jobs.remix
  it("are made of others by nobody else, and counted as any request", async () => {
    const { id } = await client.videos.create(request);
    const maker = await makerOf(id);
    const remix = () => client.videos.remix(id, { prompt: "at night" });
    const codeOf = (work: Promise<unknown>) =>
      work.then(
        () => "none",
        (error: { code?: string }) => error.code,
      );
    gateway.view.set(recordsOf(backends).filter((_, index) => index !== maker));
    assert.equal(await codeOf(remix()), "no_instance_available");
    const operations = ["videos.create", "videos.retrieve"];
    gateway.view.set(
      backends.map((backend, index) => recordOf(backend, { models, instance: `film-${index}`, operations })),
    );
    assert.equal(await codeOf(remix()), "unsupported_feature");
    gateway.view.set(recordsOf(backends));
    const { id: tenant } = await gateway.desk.tenants.create({ name: "others" });
    const { key } = await gateway.keys.create({ name: "other", role: "user", tenant });
    const other = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: 0 });
    await assert.rejects(other.videos.remix(id, { prompt: "x" }), OpenAI.NotFoundError);
    const limits = { requests_per_minute: 2 };
    const { key: slow } = await gateway.keys.create({ name: "slow", role: "user", limits });
    const limited = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: slow, maxRetries: 0 });
    const own = await limited.videos.create(request);
    await limited.videos.remix(own.id, { prompt: "x" });
    assert.equal(await codeOf(limited.videos.remix(own.id, { prompt: "x" })), "rate_limit_exceeded");
  });

  /** Asks for a film and leaves while an instance thinks about it. */
  const leaveWhileAsked = async () => {
    for (const backend of backends) backend.set({ faults: { delayFirstByteMs: 150 } });
    const controller = new AbortController();
    const left = gateway.fetch("/v1/videos", { body: request, signal: controller.signal });
    left.catch(() => {});
    await Promise.race(backends.map((backend) => backend.until(({ inFlight }) => inFlight === 1)));
    controller.abort();
    const [maker] = backends.filter(({ inFlight }) => inFlight === 1);
    assert.ok(maker !== undefined);
    return maker;
  };

  // proves: jobs.unheard
  it("that were begun for a client who has left are stopped", async () => {
    const maker = await leaveWhileAsked();
    await maker.until(
      ({ requests }) => requests.some(({ method, finished }) => method === "DELETE" && finished),
      1_000,
    );
    assert.equal(maker.aborted, 0, "it had said by then which one to stop");
    assert.deepEqual((await client.videos.list()).data, []);
  });

  // proves: jobs.unheard
  it("that cannot be stopped are kept and listed", async () => {
    const operations = ["videos.create", "videos.retrieve", "videos.list"];
    gateway.view.set(
      backends.map((backend, index) => recordOf(backend, { models, instance: `film-${index}`, operations })),
    );
    await leaveWhileAsked();
    const { id } = await waitFor("it is listed", async () => (await client.videos.list()).data[0]);
    assert.equal((await client.videos.retrieve(id)).id, id);
  });

  // proves: jobs.affinity
  it("make music the same way", async () => {
    const made = (await (await gateway.fetch("/v1/music", { body: request })).json()) as { id: string };
    assert.match(made.id, /^music_[0-9a-f]{32}$/);
    for (let turn = 0; turn < 2; turn++) await gateway.fetch(`/v1/music/${made.id}`);
    const sound = await gateway.fetch(`/v1/music/${made.id}/content`);
    assert.deepEqual([sound.status, sound.headers.get("content-type")], [200, "audio/wav"]);
    assert.equal(
      Buffer.from(await sound.arrayBuffer())
        .subarray(0, 4)
        .toString(),
      "RIFF",
    );
    assert.equal((await gateway.fetch(`/v1/videos/${made.id}`)).status, 404);
  });
});
