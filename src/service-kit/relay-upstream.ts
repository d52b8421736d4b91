import type { IncomingMessage } from "node:http";
import { createParser } from "eventsource-parser";
import { describeError, NexusError } from "../base/errors.ts";
import { json, type ServiceResponse } from "./response.ts";

interface StreamRules {
  readonly title: string;
  readonly stallMs: number;
  readonly signal: AbortSignal;
}

/**
 * The bytes of an answer as they come. The time between two pieces counts only while somebody waits for the next.
 * @throws NexusError `stall_timeout`, `backend_disconnected`; the signal's reason.
 */
export async function* answerStream(
  answer: IncomingMessage,
  { title, stallMs, signal }: StreamRules,
): AsyncGenerator<Buffer> {
  const iterator = (answer as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const stalled = setTimeout(() => {
        answer.destroy(new NexusError("stall_timeout", `${title} stopped in its answer.`, { source: "service" }));
      }, stallMs);
      const next = await iterator.next().finally(() => clearTimeout(stalled));
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof NexusError) throw error;
    throw new NexusError("backend_disconnected", `${title} broke off in its answer.`, {
      source: "service",
      detail: describeError(error),
      cause: error,
    });
  } finally {
    answer.destroy();
  }
}

/** Everything of a stream. Throws `backend_error` when it is more than `bytesMax`. */
export async function readWhole(stream: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stream) {
    length += piece.length;
    if (length > bytesMax) throw tooMuch();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function tooMuch(): NexusError {
  return new NexusError("backend_error", "The server behind this service answered with more than it may.", {
    source: "service",
  });
}

/** Events with their JSON changed; what is no JSON (`[DONE]`) stays as it is. None is larger than `bytesMax`. */
export async function* relayEvents(
  stream: AsyncIterable<Buffer>,
  restore: (value: unknown) => unknown,
  bytesMax: number,
): AsyncGenerator<Buffer> {
  let ready: string[] = [];
  const parser = createParser({
    maxBufferSize: bytesMax,
    onError: ({ type }) => {
      if (type === "max-buffer-size-exceeded") throw tooMuch();
    },
    onEvent: ({ event, id, data }) => {
      const head = `${event === undefined ? "" : `event: ${event}\n`}${id === undefined ? "" : `id: ${id}\n`}`;
      const lines = restoreText(data, restore).split("\n");
      ready.push(`${head}${lines.map((line) => `data: ${line}\n`).join("")}\n`);
    },
    onComment: (comment) => ready.push(`: ${comment}\n\n`),
  });
  const decoder = new TextDecoder();
  for await (const piece of stream) {
    parser.feed(decoder.decode(piece, { stream: true }));
    const text = ready.join("");
    ready = [];
    if (text !== "") yield Buffer.from(text);
  }
}

function restoreText(data: string, restore: (value: unknown) => unknown): string {
  if (!data.startsWith("{")) return data;
  try {
    return JSON.stringify(restore(JSON.parse(data)));
  } catch {
    return data;
  }
}

const refusalBytesMax = 64 * 1024;
const messageLengthMax = 500;
/** What its client can change: the server's own words help. */
const ofTheRequest: ReadonlySet<number> = new Set([400, 404, 409, 410, 413, 415, 416, 422]);

interface TheirError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

/** What a status that says no becomes: an answer in OpenAI's shape when it is about the request, or an error thrown. */
export async function refusedBy(
  answer: IncomingMessage,
  stream: AsyncIterable<Buffer>,
  title: string,
): Promise<ServiceResponse> {
  const status = answer.statusCode ?? 0;
  const text = (await readWhole(stream, refusalBytesMax)).toString("utf8");
  const theirs = readError(text);
  if (ofTheRequest.has(status)) {
    const error = theirs ?? {
      message: `${title} does not take this request; the service's log says why.`,
      type: "invalid_request_error",
      param: null,
      code: status === 404 ? "not_found" : "invalid_request",
    };
    return json({ error }, { status });
  }
  const options = { source: "service", detail: `${status}: ${text.slice(0, messageLengthMax)}` } as const;
  if (status === 401 || status === 403) {
    throw new NexusError("backend_error", `${title} does not accept the key of this service.`, options);
  }
  const seconds = Number(answer.headers["retry-after"]);
  const retryAfterSeconds = seconds > 0 && seconds <= 3_600 ? seconds : 5;
  if (status === 429) {
    throw new NexusError("rate_limit_exceeded", `${title} has no room now. Try again.`, {
      ...options,
      retryAfterSeconds,
    });
  }
  if (status === 503) {
    throw new NexusError("not_ready", `${title} is not ready. Try again.`, { ...options, retryAfterSeconds });
  }
  throw new NexusError("backend_error", `${title} failed with status ${status}.`, options);
}

function readError(text: string): TheirError | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: Partial<Record<keyof TheirError, unknown>> };
    if (typeof error?.message !== "string" || error.message === "") return undefined;
    const textOr = <T>(value: unknown, otherwise: T) => (typeof value === "string" ? value : otherwise);
    return {
      message: error.message.slice(0, messageLengthMax),
      type: textOr(error.type, "invalid_request_error"),
      param: textOr(error.param, null),
      code: textOr(error.code, null),
    };
  } catch {
    return undefined;
  }
}
