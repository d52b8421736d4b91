import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Agent, type Dispatcher, errors, request } from "undici";
import { writeFileAtomic } from "../base/write-file-atomic.ts";
import { ensureRoom, type FetchedFile, type FetchJob } from "./fetch-job.ts";
import type { UrlSource } from "./model-source.ts";
import { readJson } from "./read-json.ts";

const redirectsMax = 5;
/** Answers in a row that broke off without bringing a byte more than the one before. */
const triesMax = 3;

/** The connection was lost in the middle of an answer: worth another try. */
class BrokenOff extends Error {}

/** Beside a part of a file: what it is a part of. */
interface PartState {
  readonly url: string;
  /** A strong validator, or null. */
  readonly etag: string | null;
}

interface Download {
  readonly source: UrlSource;
  readonly job: FetchJob;
  readonly agent: Agent;
  readonly part: string;
  readonly state: string;
}

/**
 * Downloads a URL into the work directory and goes on where an earlier try stopped. Throws with the reason when the
 * source cannot be had; the part stays for the next time.
 */
export async function fetchUrl(source: UrlSource, job: FetchJob): Promise<FetchedFile> {
  const { connectMs, stallMs } = job.timeouts;
  const agent = new Agent({ connect: { timeout: connectMs }, headersTimeout: stallMs, bodyTimeout: stallMs });
  const download = {
    source,
    job,
    agent,
    part: join(job.work, "download.part"),
    state: join(job.work, "download.json"),
  };
  const before = await resumableBytes(download);
  try {
    for (let triesLeft = triesMax; ; ) {
      const had = await resumableBytes(download);
      try {
        await downloadOnce(download, had);
        return { path: download.part, isResumed: before > 0 };
      } catch (error) {
        triesLeft = (await resumableBytes(download)) > had ? triesMax : triesLeft - 1;
        if (!(error instanceof BrokenOff) || triesLeft === 0 || job.signal.aborted) throw error;
      }
    }
  } finally {
    await agent.destroy();
  }
}

/** Bytes of an earlier try that may be kept: same URL, and either its content is named or its digest is pinned. */
async function resumableBytes({ source, part, state }: Download): Promise<number> {
  const known = await readJson<PartState>(state);
  if (known?.url !== source.url || (known.etag === null && source.sha256 === undefined)) return 0;
  return await stat(part).then(
    ({ size }) => size,
    () => 0,
  );
}

async function downloadOnce(download: Download, had: number): Promise<void> {
  const { source, job, part, state } = download;
  job.report("connect", had, source.bytes ?? null);
  if (source.bytes !== undefined && had === source.bytes) return;
  const etag = had > 0 ? ((await readJson<PartState>(state))?.etag ?? null) : null;
  const range = had > 0 ? { range: `bytes=${had}-`, ...(etag === null ? {} : { "if-range": etag }) } : {};
  const answer = await followRedirects(download, range);
  try {
    if (answer.statusCode === 416) await rm(part, { force: true });
    if (answer.statusCode !== 200 && answer.statusCode !== 206) throw new Error(`answered ${answer.statusCode}`);
    const start = answer.statusCode === 206 ? rangeStart(answer, had) : 0;
    const length = lengthOf(answer);
    const total = length === null ? null : start + length;
    if (source.bytes !== undefined && total !== null && total !== source.bytes) {
      throw new Error(`has a file of ${total} bytes, not of ${source.bytes}`);
    }
    await ensureRoom(job.work, length ?? source.bytes ?? 0);
    if (start === 0) await rm(part, { force: true });
    await writeFileAtomic(state, JSON.stringify({ url: source.url, etag: strongEtag(answer) } satisfies PartState));
    await saveBody(download, answer, start, total ?? source.bytes ?? null);
  } finally {
    answer.body.on("error", () => {}).destroy();
  }
}

/** Follows by hand: a download that began encrypted must not go on in the clear. */
async function followRedirects(download: Download, headers: Record<string, string>): Promise<Dispatcher.ResponseData> {
  const { source, job, agent } = download;
  let url = new URL(source.url);
  for (let hops = 0; ; hops++) {
    const answer = await request(url, {
      dispatcher: agent,
      signal: job.signal,
      headers: { ...headers, "accept-encoding": "identity", "user-agent": "nexus" },
    });
    const location = answer.headers.location;
    if (answer.statusCode < 300 || answer.statusCode >= 400 || typeof location !== "string") return answer;
    await answer.body.dump();
    refuseOtherContent(source, answer);
    if (hops === redirectsMax) throw new Error(`redirects more than ${redirectsMax} times`);
    url = redirectTarget(url, location);
  }
}

/** Where a redirect leads. Throws when that would be from https to an address without encryption, or no web address. */
export function redirectTarget(from: URL, location: string): URL {
  const next = new URL(location, from);
  if (next.protocol === "https:" || (next.protocol === "http:" && from.protocol === "http:")) return next;
  throw new Error("redirects to an address without encryption");
}

/** Hugging Face states a large file's SHA-256 on its redirect: a wrong file is known before it is downloaded. */
function refuseOtherContent(source: UrlSource, answer: Dispatcher.ResponseData): void {
  const stated = String(answer.headers["x-linked-etag"] ?? "").replaceAll('"', "");
  if (source.sha256 === undefined || !/^[0-9a-f]{64}$/.test(stated) || stated === source.sha256) return;
  throw new Error(`has another file: its sha256 is ${stated}, not ${source.sha256}`);
}

function strongEtag(answer: Dispatcher.ResponseData): string | null {
  const etag = answer.headers.etag;
  return typeof etag === "string" && etag.startsWith('"') ? etag : null;
}

function lengthOf(answer: Dispatcher.ResponseData): number | null {
  const length = Number(answer.headers["content-length"] ?? Number.NaN);
  return Number.isSafeInteger(length) && length >= 0 ? length : null;
}

/** Where the body of a 206 belongs. Anything but what was asked for would corrupt the file. */
function rangeStart(answer: Dispatcher.ResponseData, asked: number): number {
  const start = /^bytes (\d+)-/.exec(String(answer.headers["content-range"] ?? ""))?.[1];
  if (Number(start) === asked) return asked;
  throw new Error("answered with another range than it was asked for");
}

async function saveBody(
  { job, part }: Download,
  answer: Dispatcher.ResponseData,
  start: number,
  total: number | null,
): Promise<void> {
  const file = await open(part, start === 0 ? "w" : "r+", 0o600);
  let done = start;
  try {
    for await (const chunk of chunksOf(answer)) {
      if (total !== null && done + chunk.length > total) throw new Error(`sends more than ${total} bytes`);
      await file.write(chunk, 0, chunk.length, done);
      done += chunk.length;
      job.report("download", done, total);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  if (total !== null && done < total) throw new BrokenOff(`stopped after ${done} of ${total} bytes`);
}

async function* chunksOf(answer: Dispatcher.ResponseData): AsyncGenerator<Buffer> {
  try {
    yield* answer.body as AsyncIterable<Buffer>;
  } catch (error) {
    // Silence is no accident of the connection: the next source gets its chance.
    throw error instanceof errors.BodyTimeoutError ? error : new BrokenOff("broke off", { cause: error });
  }
}
