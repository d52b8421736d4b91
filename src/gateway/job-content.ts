import { NexusError } from "../base/errors.ts";
import type { JobCall } from "./ask-job.ts";
import { type BytePart, contentRange, contentRangeBeyond, rangeOf, wantedBytes } from "./byte-range.ts";
import { ClientAnswer } from "./client-answer.ts";
import { queryOf } from "./page-query.ts";
import { type AnswerFraming, pipeAnswer } from "./pipe-answer.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** Headers of a download that mean something to who saves or plays it. */
const contentHeaders = [
  "content-type",
  "content-length",
  "content-disposition",
  "content-range",
  "etag",
  "last-modified",
] as const;

/**
 * Passes the content of a job on as it comes. Where the instance knows no ranges, the part is cut out here. Content that
 * breaks off is cut, so that nobody takes it for whole.
 * @throws NexusError `range_not_satisfiable`, or what breaks the answer before it has begun.
 */
export async function relayContent(call: JobCall, answer: UpstreamAnswer): Promise<void> {
  const { exchange, parts } = call;
  const client = new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs);
  const headers = headersOf(answer, call);
  const size = answer.status === 200 ? sizeOf(answer) : undefined;
  // Of something whose end nobody knows there are no parts.
  if (size !== undefined || answer.status === 206) headers["accept-ranges"] = "bytes";
  if (exchange.request.method === "HEAD") {
    answer.discard();
    client.openBody(answer.status, headers);
    return client.endStream();
  }
  const wanted = size === undefined ? "whole" : wantedBytes(rangeOf(exchange.request, headers.etag), size);
  if (size === undefined || wanted === "whole") {
    client.openBody(answer.status, headers);
    return await pipeAnswer(answer, client, passed(client));
  }
  if (wanted === "beyond") {
    answer.discard();
    exchange.reply.setHeader("content-range", contentRangeBeyond(size));
    throw new NexusError("range_not_satisfiable", `There are ${size} bytes of this ${call.job.kind}.`);
  }
  const length = wanted.end - wanted.start + 1;
  client.openBody(206, { ...headers, "content-length": length, "content-range": contentRange(wanted, size) });
  await pipePart(answer, client, wanted);
}

function headersOf({ headers }: UpstreamAnswer, { exchange, job }: JobCall): Record<string, string> {
  const passedOn = contentHeaders.flatMap((name) => {
    const value = headers[name];
    return typeof value === "string" ? [[name, value]] : [];
  });
  // What a job has become stays as it is: its name, and which of its files it is, say that bytes are the same.
  const etag = `"${job.id}${encodeURIComponent(queryOf(exchange).toString())}"`;
  return { etag, ...Object.fromEntries(passedOn) };
}

function sizeOf({ headers }: UpstreamAnswer): number | undefined {
  const size = Number(headers["content-length"] ?? Number.NaN);
  return Number.isSafeInteger(size) ? size : undefined;
}

function passed(client: ClientAnswer): AnswerFraming {
  return {
    push: (chunk) => chunk,
    end() {
      client.endStream();
      return undefined;
    },
  };
}

/** Passes a part on, and leaves the instance when it is through. @throws NexusError when the answer ends before. */
function pipePart(answer: UpstreamAnswer, client: ClientAnswer, { start, end }: BytePart): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let at = 0;
  let isOver = false;
  answer.pipe({
    data(chunk) {
      if (isOver) return true;
      const piece = chunk.subarray(Math.max(0, start - at), Math.max(0, end + 1 - at));
      at += chunk.length;
      const wantsMore = client.write(piece, () => answer.resume());
      if (at <= end) return wantsMore;
      isOver = true;
      answer.discard();
      client.endStream();
      resolve();
      return true;
    },
    end() {
      if (isOver) return;
      reject(new NexusError("backend_disconnected", "The service sent less than it announced.", { source: "service" }));
    },
    fail: reject,
  });
  return promise;
}
