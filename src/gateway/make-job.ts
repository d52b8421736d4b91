import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import { type OperationId, operationById } from "../contract/operations.ts";
import type { Job, JobKind } from "../objects/job-store.ts";
import { newObjectId } from "../objects/object-id.ts";
import { askJob, placeOf } from "./ask-job.ts";
import { ClientAnswer } from "./client-answer.ts";
import { collectAnswer } from "./collect-answer.ts";
import { dispatch, type Opener } from "./dispatch.ts";
import { tenantOf } from "./exchange.ts";
import { httpOpener } from "./http-opener.ts";
import { documentBytesMax, parseJobDocument, relayRefusal, underOwnId } from "./job-document.ts";
import { meterRequest } from "./meter-request.ts";
import { planFor, type Question } from "./plan-request.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** What is to be made. */
export interface JobMaking {
  readonly kind: JobKind;
  /** The job that it is made of: only the instance that made that one can do it. */
  readonly source?: Job;
}

/**
 * Asks the fleet for a job, keeps it, so that later calls find the instance again, and answers. Nobody could ask for a
 * job whose client left before it was there, or for one that cannot be kept: both are stopped. One that cannot be stopped
 * is kept, and listed, where that is possible.
 * @throws NexusError when nobody makes it, or it cannot be kept.
 */
export async function makeJob(question: Question, making: JobMaking): Promise<void> {
  const { exchange, parts } = question;
  const answer = await askForJob(question, making);
  if (answer.status >= 300) return relayRefusal(answer, exchange, parts);
  const made = parseJobDocument(answer.body);
  const { kind, source } = making;
  const { instance = "", model = "" } = exchange;
  const id = newObjectId(`${kind}_`);
  const lastSeen = underOwnId(made, id, source?.id);
  const job = { id, tenant: tenantOf(exchange), kind, instance, backendId: made.id, model, lastSeen };
  if (exchange.signal.aborted && (await stopJob(job, question))) return;
  try {
    await parts.objects.jobs.add(job);
  } catch (error) {
    await stopJob(job, question);
    throw error;
  }
  if (exchange.signal.aborted) return;
  const body = Buffer.from(JSON.stringify(lastSeen));
  const client = new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs);
  client.end(answer.status, { "content-type": "application/json; charset=utf-8" }, body);
}

/** The instance's whole answer. Its slot is free again then: who makes jobs counts them himself. */
async function askForJob(question: Question, { source }: JobMaking): Promise<{ status: number; body: Buffer }> {
  const closeRequest = question.parts.retryBudget.openRequest();
  try {
    const opener = jobOpener(question, source);
    const begun = await dispatch(question, opener, () => meterRequest(question));
    try {
      const body = await collectAnswer(begun.answer, documentBytesMax);
      begun.succeed();
      return { status: begun.answer.status, body };
    } catch (error) {
      if (error instanceof NexusError && error.source === "service") begun.breakOff(error.message);
      throw error;
    } finally {
      begun.answer.discard();
      begun.withdraw();
    }
  } finally {
    closeRequest();
  }
}

/**
 * To the answer of an instance that is making a job for a client who has left: it comes at once, or the connection is cut
 * like any other within a second.
 */
const goneMs = 500;

/** Asks for a job. What an instance has been asked for may be there by now: its answer is waited for a moment longer. */
function jobOpener(question: Question, source: Job | undefined): Opener<UpstreamAnswer> {
  const { ask, exchange, parts } = question;
  const http = httpOpener(question);
  return {
    open(candidate, way, signal) {
      const { operation } = ask;
      const path = source === undefined ? candidate.endpoint.path : placeOf({ parts, operation, job: source }).path;
      const asked = { ...candidate, endpoint: { ...candidate.endpoint, path } };
      return http.open(asked, way, delayed(signal, exchange.clock));
    },
    discard: (answer) => http.discard(answer),
  };
}

function delayed(signal: AbortSignal, clock: Clock): AbortSignal {
  const controller = new AbortController();
  const leave = () => void clock.after(goneMs, () => controller.abort());
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
  return controller.signal;
}

const deletions = { video: "videos.delete", music: "music.delete" } as const satisfies Record<JobKind, OperationId>;

/** Whether the instance has stopped it. Asked whether the client is there or not. */
async function stopJob(job: Job, { exchange, parts }: Question): Promise<boolean> {
  const operation = operationById(deletions[job.kind]);
  const signal = new AbortController().signal;
  const names = { job: job.id, instance: job.instance };
  try {
    const answer = await askJob({ exchange, parts, operation, job, signal });
    answer.discard();
    exchange.log.info(names, "a job that nobody can ask for was stopped");
    return true;
  } catch (error) {
    exchange.log.warn({ ...names, reason: describeError(error) }, "a job that nobody waits for goes on");
    return false;
  }
}

/** @throws NexusError `no_instance_available` when the instance that has to do it cannot do it now. */
export function requireSource(question: Question, source: Job): void {
  const { ask, parts } = question;
  placeOf({ parts, operation: ask.operation, job: source });
  const { candidates, failure } = planFor(question);
  if (failure !== undefined || candidates.some(({ key }) => key === source.instance)) return;
  throw new NexusError(
    "no_instance_available",
    `The service that made this ${source.kind} cannot take it up just now. Ask later.`,
    { detail: source.instance, retryAfterSeconds: 10 },
  );
}
