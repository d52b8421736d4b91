import { toTraceparent } from "../base/ids.ts";
import type { Candidate } from "../routing/route-plan.ts";
import { type Timeouts, timeoutsFor } from "../routing/timeouts.ts";
import { anthropicHeaders } from "../translate/anthropic-headers.ts";
import { isCounting, type Way } from "./ask.ts";
import type { Opener } from "./dispatch.ts";
import type { Question } from "./plan-request.ts";
import { refusalOf } from "./refusal-of.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** Asks over HTTP. Resolves with an answer that is no refusal. */
export function httpOpener(question: Question): Opener<UpstreamAnswer> {
  const { exchange, ask, parts } = question;
  const send = (candidate: Candidate, way: Way, signal: AbortSignal) =>
    parts.upstreams.send(candidate.record, {
      method: ask.operation.method,
      path: candidate.endpoint.path,
      headers: {
        "content-type": way.contentType,
        accept: ask.stream ? "text/event-stream" : "*/*",
        "x-request-id": exchange.id,
        traceparent: toTraceparent(exchange.trace),
        ...dialectHeaders(question, candidate),
      },
      body: way.bodyFor(candidate.model.id),
      signal,
      timeouts: timeoutsOf(question),
    });
  return {
    async open(candidate, way, signal) {
      let answer = await send(candidate, way, signal);
      if (isCounting(way) && isAboutRequest(answer)) {
        answer.discard();
        answer = await send(candidate, way.plain, signal);
        if (answer.status < 300) parts.conditions.of(candidate.key).refusesToCount = true;
      }
      const refusal = refusalOf(answer);
      if (refusal === undefined) return answer;
      answer.discard();
      throw refusal;
    },
    discard: (answer) => answer.discard(),
  };
}

/** It may be about what the client did not say. Who is told so has done no work yet. */
function isAboutRequest({ status }: UpstreamAnswer): boolean {
  return status === 400 || status === 422;
}

/** What a server that is asked in its own client's words has to know besides the body. */
function dialectHeaders({ exchange, ask }: Question, { record, operationId }: Candidate) {
  const isNative = exchange.dialect.id === "anthropic" && operationId === ask.operation.id;
  return isNative && record.dialect === "anthropic" ? anthropicHeaders(exchange.request.rawHeaders) : {};
}

function timeoutsOf({ exchange, ask, parts }: Question): Timeouts {
  const { timeouts } = parts.settings;
  const { connectMs, stallMs } = timeouts;
  const defaults = { connectMs, stallMs, firstTokenMs: ask.operation.firstTokenMs };
  return timeoutsFor(ask.operation.id, [exchange.plan?.route?.timeouts, timeouts], defaults);
}
