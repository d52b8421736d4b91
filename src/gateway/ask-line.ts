import type { Clock } from "../base/clock.ts";
import type { Batch, LineAnswer } from "../objects/batch-store.ts";
import { isObject } from "../translate/request-fields.ts";
import { type BatchRequest, toLineAnswer, toProblemAnswer } from "./batch-line.ts";
import type { ClientReply, ClientRequest } from "./client-io.ts";
import { type CollectedAnswer, CollectedReply } from "./collected-reply.ts";
import { OwnRequest } from "./own-request.ts";

export interface LineAsking {
  readonly serve: (request: ClientRequest, reply: ClientReply) => Promise<void>;
  readonly answerBytesMax: number;
  readonly clock: Clock;
  /** Aborted when the line need not be answered any more: the backend stops. */
  readonly signal: AbortSignal;
  /** Aborted when nothing may be begun any more: what is asked may end, and nothing is waited for. */
  readonly stopping: AbortSignal;
}

/** Times that a line is asked of instances that fail it; what only has to wait is not counted. */
const failuresMax = 3;
const pauseMs = { min: 1_000, max: 60_000 };

/**
 * Asks one line of a batch until there is an answer that counts: what is full, limited or away is waited for.
 * Undefined when it was aborted, or would have to wait when nothing may be begun any more.
 */
export async function askLine(
  batch: Batch,
  request: BatchRequest,
  asking: LineAsking,
): Promise<LineAnswer | undefined> {
  let failures = 0;
  for (let turn = 0; ; turn++) {
    const answer = await askOnce(batch, request, asking);
    if (asking.signal.aborted) return undefined;
    if (answer === undefined) {
      const message = `The answer is longer than ${asking.answerBytesMax} bytes.`;
      return toProblemAnswer({ ...request, code: "answer_too_long", message });
    }
    const again = whatNext(answer);
    if (again === "fail") failures++;
    if (again === "keep" || failures >= failuresMax) return toLineAnswer(request, answer);
    await pause(pauseAfter(answer, turn), asking);
    if (asking.stopping.aborted) return undefined;
  }
}

async function askOnce(
  { endpoint, keyId }: Batch,
  { body }: BatchRequest,
  { serve, answerBytesMax, signal }: LineAsking,
): Promise<CollectedAnswer | undefined> {
  const reply = new CollectedReply(answerBytesMax);
  const leave = () => reply.destroy();
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  try {
    const request = new OwnRequest({
      method: "POST",
      target: endpoint,
      headers: { "content-type": "application/json", "x-nexus-class": "batch" },
      body: Buffer.from(JSON.stringify(body)),
      onBehalfOf: keyId,
    });
    await serve(request, reply);
    return await reply.answer;
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

/** Whether an answer counts. What nobody has worked on can wait; what an instance failed is worth another try. */
function whatNext({ status, body }: CollectedAnswer): "keep" | "wait" | "fail" {
  if (status === 429) return codeIn(body) === "insufficient_quota" ? "keep" : "wait";
  if (status === 503) return "wait";
  return status === 502 || status === 504 ? "fail" : "keep";
}

function codeIn(body: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return isObject(value) && isObject(value.error) ? value.error.code : undefined;
  } catch {
    return undefined;
  }
}

function pauseAfter({ headers }: CollectedAnswer, turn: number): number {
  const said = Number(headers.get("retry-after")) * 1_000;
  const own = pauseMs.min * 2 ** Math.min(turn, 10);
  return Math.min(pauseMs.max, Math.max(pauseMs.min, Number.isFinite(said) ? said : own));
}

function pause(ms: number, { clock, stopping }: LineAsking): Promise<void> {
  if (stopping.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(ms, resolve);
  const stop = () => {
    cancel();
    resolve();
  };
  stopping.addEventListener("abort", stop, { once: true });
  return promise.finally(() => stopping.removeEventListener("abort", stop));
}
