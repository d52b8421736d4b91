import { NexusError } from "../base/errors.ts";
import { type Operation, type OperationId, operationById } from "../contract/operations.ts";
import type { Job, JobKind } from "../objects/job-store.ts";
import type { JsonObject } from "../translate/request-fields.ts";
import type { Ask, Way } from "./ask.ts";
import { askJob, isDone, type JobCall } from "./ask-job.ts";
import { collectAnswer } from "./collect-answer.ts";
import { type Exchange, tenantOf } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { relayContent } from "./job-content.ts";
import { documentBytesMax, parseJobDocument, relayRefusal, sourceOf, underOwnId } from "./job-document.ts";
import { makeJob, requireSource } from "./make-job.ts";
import { readPageQuery, toList } from "./page-query.ts";
import type { Route } from "./routes.ts";
import { sendJson } from "./send-json.ts";
import { readAsk, readRequest } from "./serve-operation.ts";
import { translators } from "./translators.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

type Serve = Route["serve"];

/** Begins a job. */
function creation(operation: Operation, kind: JobKind): Serve {
  return async (exchange, parts) => {
    const ask = await readAsk(exchange, { operation, isNative: true, translators }, parts);
    await makeJob({ exchange, ask, parts }, { kind });
  };
}

/** Begins a job that is made of another one, where that one is. */
function derivation(operation: Operation, kind: JobKind): Serve {
  return async (exchange, parts, path) => {
    const body = await readRequest(exchange, operation, parts);
    const source = await findJob(exchange, parts, { kind, path });
    const question = { exchange, ask: askOnJob(operation, source, { exchange, body }), parts };
    requireSource(question, source);
    await makeJob(question, { kind, source });
  };
}

/** The request as it came, for the instance of a job. */
function askOnJob(
  operation: Operation,
  { model, instance }: Job,
  { exchange, body }: { readonly exchange: Exchange; readonly body: Buffer },
): Ask {
  const way: Way = {
    operationId: operation.id,
    contentType: exchange.request.header("content-type") ?? "application/json",
    bodyFor: () => body,
    translation: () => undefined,
  };
  const suits: Ask["suits"] = ({ key }) => key === instance;
  return { operation, model, stream: false, needs: {}, ways: [way], bytes: body.length, suits };
}

/** A call for one job; `answer` is the instance's, and good. */
function onJob(
  operation: Operation,
  kind: JobKind,
  relay: (call: JobCall, answer: UpstreamAnswer) => Promise<void>,
): Serve {
  return async (exchange, parts, path) => {
    exchange.readAt = exchange.clock.monotonic();
    const call = { exchange, parts, operation, job: await findJob(exchange, parts, { kind, path }) };
    const query = /\?.*$/.exec(exchange.request.target)?.[0];
    const answer = await askJob(call, query);
    if (isDone(operation, answer)) return await relay(call, answer);
    const body = await collectAnswer(answer, documentBytesMax);
    const beyond = answer.headers["content-range"];
    if (answer.status === 416 && beyond !== undefined) exchange.reply.setHeader("content-range", beyond);
    relayRefusal({ status: answer.status, body }, exchange, parts);
  };
}

async function findJob(
  exchange: Exchange,
  { objects }: GatewayParts,
  { kind, path }: { readonly kind: JobKind; readonly path: string },
): Promise<Job> {
  const id = path.split("/")[3] ?? "";
  const job = await objects.jobs.find(tenantOf(exchange), kind, id);
  if (job === undefined) throw new NexusError("not_found", `There is no ${kind} '${id.slice(0, 128)}'.`);
  exchange.instance = job.instance;
  exchange.model = job.model;
  return job;
}

/** What the instance says of the job, under the client's id. */
async function seen({ job, parts }: Omit<JobCall, "operation">, answer: UpstreamAnswer): Promise<JsonObject> {
  const said = parseJobDocument(await collectAnswer(answer, documentBytesMax));
  const document = underOwnId(said, job.id, sourceOf(job));
  if (JSON.stringify(document) !== JSON.stringify(job.lastSeen)) {
    // For lists while the instance is away: what was said last is good enough.
    await parts.objects.jobs.noteSeen(job.id, document).catch(() => {});
  }
  return document;
}

async function relayDocument(call: JobCall, answer: UpstreamAnswer): Promise<void> {
  sendJson(call.exchange, 200, await seen(call, answer));
}

/** Deleting a job that is being made stops it. */
async function relayDeletion({ exchange, parts, job }: JobCall, answer: UpstreamAnswer): Promise<void> {
  answer.discard();
  await parts.objects.jobs.remove(job.id);
  sendJson(exchange, 200, { id: job.id, object: `${job.kind}.deleted`, deleted: true });
}

/** The film, or what else there is of it, in whole or in part. */
function content(operation: Operation, kind: JobKind): Serve {
  return onJob(operation, kind, relayContent);
}

/** Jobs of one list that are asked for at the same time. */
const looksAtOnce = 8;

/** The tenant's jobs on all instances; of those whose instance is away, what it said last. */
function list(operation: Operation, kind: JobKind): Serve {
  return async (exchange, parts) => {
    const page = await parts.objects.jobs.page(
      tenantOf(exchange),
      kind,
      readPageQuery(exchange, { usual: 20, max: 100 }),
    );
    const entries: JsonObject[] = [];
    for (let start = 0; start < page.entries.length; start += looksAtOnce) {
      const some = page.entries.slice(start, start + looksAtOnce);
      entries.push(...(await Promise.all(some.map((job) => look({ exchange, parts, operation, job })))));
    }
    sendJson(exchange, 200, toList({ entries, hasMore: page.hasMore }));
  };
}

async function look(call: JobCall): Promise<JsonObject> {
  const isOver = ["completed", "failed"].includes(String(call.job.lastSeen.status));
  if (isOver) return call.job.lastSeen;
  try {
    const answer = await askJob(call);
    if (answer.status < 300) return await seen(call, answer);
    answer.discard();
  } catch (error) {
    if (call.exchange.signal.aborted) throw error;
  }
  return call.job.lastSeen;
}

/** Films and music, by operation. */
export const serveJobs = {
  "videos.create": creation(operationById("videos.create"), "video"),
  "videos.list": list(operationById("videos.retrieve"), "video"),
  "videos.retrieve": onJob(operationById("videos.retrieve"), "video", relayDocument),
  "videos.remix": derivation(operationById("videos.remix"), "video"),
  "videos.delete": onJob(operationById("videos.delete"), "video", relayDeletion),
  "videos.download_content": content(operationById("videos.download_content"), "video"),
  "music.create": creation(operationById("music.create"), "music"),
  "music.list": list(operationById("music.retrieve"), "music"),
  "music.retrieve": onJob(operationById("music.retrieve"), "music", relayDocument),
  "music.delete": onJob(operationById("music.delete"), "music", relayDeletion),
  "music.download_content": content(operationById("music.download_content"), "music"),
} as const satisfies Partial<Record<OperationId, Serve>>;
