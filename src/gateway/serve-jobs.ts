import { NexusError } from "../base/errors.ts";
import { type Operation, type OperationId, operationById } from "../contract/operations.ts";
import type { Job, JobKind } from "../objects/job-store.ts";
import { newObjectId } from "../objects/object-id.ts";
import { readBackendError } from "../openai/backend-error.ts";
import { isObject, type JsonObject } from "../translate/request-fields.ts";
import { askJob, isDone, type JobCall } from "./ask-job.ts";
import { ClientAnswer } from "./client-answer.ts";
import { collectAnswer } from "./collect-answer.ts";
import { CollectedReply } from "./collected-reply.ts";
import { type Exchange, tenantOf } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { readPageQuery, toList } from "./page-query.ts";
import { pipeAnswer } from "./pipe-answer.ts";
import type { Route } from "./routes.ts";
import { sendJson } from "./send-json.ts";
import { serveOperation } from "./serve-operation.ts";
import { translators } from "./translators.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

type Serve = Route["serve"];

/** A job as its instance describes it. */
const documentBytesMax = 1024 * 1024;

/**
 * Begins a job: served like every request, then kept, so that later calls find the instance again. A job that cannot
 * be kept is stopped: its client could never ask for it.
 */
function creation(operation: Operation, kind: JobKind): Serve {
  return async (exchange, parts) => {
    const client = exchange.reply;
    const collected = new CollectedReply(documentBytesMax);
    exchange.reply = collected;
    await serveOperation(exchange, { operation, isNative: true, translators }, parts).finally(() => {
      exchange.reply = client;
    });
    // It ended, or its client left.
    collected.destroy();
    const answer = await collected.answer;
    if (answer === undefined) throw badAnswer();
    for (const [name, value] of answer.headers) if (name !== "content-length") client.setHeader(name, value);
    let { body } = answer;
    if (answer.status < 300) {
      const made = parseDocument(body);
      const { instance = "", model = "" } = exchange;
      const id = newObjectId(`${kind}_`);
      const lastSeen = { ...made, id };
      const job = { id, tenant: tenantOf(exchange), kind, instance, backendId: made.id, model, lastSeen };
      await keep(job, exchange, parts);
      body = Buffer.from(JSON.stringify(lastSeen));
    }
    client.writeHead(answer.status, { "content-length": body.length });
    client.end(body);
  };
}

async function keep(job: Job, exchange: Exchange, parts: GatewayParts): Promise<void> {
  try {
    await parts.objects.jobs.add(job);
  } catch (error) {
    const deletion = { video: "videos.delete", music: "music.delete" } as const satisfies Record<JobKind, OperationId>;
    const call = { exchange, parts, operation: operationById(deletion[job.kind]), job };
    await askJob(call).then(
      (answer) => answer.discard(),
      (cause: unknown) => exchange.log.warn({ instance: job.instance, error: cause }, "a lost job goes on"),
    );
    throw error;
  }
}

type Document = JsonObject & { readonly id: string };

/** @throws NexusError `backend_error` for what describes no job. */
function parseDocument(body: Buffer): Document {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw badAnswer(cause);
  }
  if (!isObject(value) || typeof value.id !== "string" || value.id === "") throw badAnswer();
  return { ...value, id: value.id };
}

function badAnswer(cause?: unknown): NexusError {
  return new NexusError("backend_error", "The service answered with something that is no job.", {
    source: "service",
    cause,
  });
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
    const said = readBackendError(await collectAnswer(answer, documentBytesMax), answer.status);
    if (answer.status >= 500 || answer.status < 400) {
      const message = `The service failed with status ${answer.status}.`;
      throw new NexusError("backend_error", message, { source: "service", detail: said.error.message });
    }
    new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs).failWith(answer.status, said);
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
  const document = { ...parseDocument(await collectAnswer(answer, documentBytesMax)), id: job.id };
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

const contentHeaders = [
  "content-type",
  "content-length",
  "content-disposition",
  "content-range",
  "accept-ranges",
  "etag",
  "last-modified",
] as const;

/** Goes out as it comes. One that breaks off is cut, so that nobody takes it for whole. */
async function relayContent({ exchange, parts }: JobCall, answer: UpstreamAnswer): Promise<void> {
  const client = new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs);
  const headers = Object.fromEntries(
    contentHeaders.flatMap((name) => {
      const value = answer.headers[name];
      return typeof value === "string" ? [[name, value]] : [];
    }),
  );
  client.openBody(answer.status, headers);
  await pipeAnswer(answer, client, {
    push: (chunk) => chunk,
    end() {
      client.endStream();
      return undefined;
    },
  });
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
  "videos.delete": onJob(operationById("videos.delete"), "video", relayDeletion),
  "videos.download_content": onJob(operationById("videos.download_content"), "video", relayContent),
  "music.create": creation(operationById("music.create"), "music"),
  "music.list": list(operationById("music.retrieve"), "music"),
  "music.retrieve": onJob(operationById("music.retrieve"), "music", relayDocument),
  "music.delete": onJob(operationById("music.delete"), "music", relayDeletion),
  "music.download_content": onJob(operationById("music.download_content"), "music", relayContent),
} as const satisfies Partial<Record<OperationId, Serve>>;
