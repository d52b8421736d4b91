import type { IncomingMessage } from "node:http";
import { describeError, NexusError } from "../base/errors.ts";
import { toTraceparent } from "../base/ids.ts";
import { http, https } from "../base/node-http.ts";
import { answerStream, readWhole } from "./relay-upstream.ts";
import type { ServiceRequest } from "./service.ts";

/** One request to a server that does the work of a service. */
export interface UpstreamCall {
  /** Default: POST with a body, GET without. */
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as `multipart/form-data`. */
  readonly form?: FormData;
  /** The request that this is a part of: its id and trace are sent on, so that one id finds both. */
  readonly of?: Pick<ServiceRequest, "requestId" | "trace">;
  /** Ends the request, whatever it waits for. */
  readonly signal: AbortSignal;
  /** Until the head of the answer is there. Default 10 s; work that takes minutes must say so. */
  readonly timeoutMs?: number;
  /** Between two pieces of an answer that is read whole. Default: as `timeoutMs`. */
  readonly stallMs?: number;
  /** Bytes of the answer that are read; default 64 MiB. */
  readonly bytesMax?: number;
}

/** An answer of any status, read to its end. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** A server behind a service: one base URL, perhaps a key, bounded answers, errors in Nexus's words. */
export interface Upstream {
  /**
   * Asks and reads the answer to its end, whatever its status.
   * @throws NexusError `backend_unreachable`, `backend_disconnected`, `backend_error` for an answer that is too large,
   * `first_token_timeout`, `stall_timeout`; the signal's reason when it aborts.
   */
  ask(path: string, call: UpstreamCall): Promise<UpstreamAnswer>;
  /** Asks and expects 2xx. @throws NexusError as `ask`, and what `refusal` makes of any other status. */
  fetch(path: string, call: UpstreamCall): Promise<UpstreamAnswer>;
  /** Asks and expects JSON with 2xx. @throws NexusError as `fetch`, and `backend_error` for what is no JSON. */
  json(path: string, call: UpstreamCall): Promise<unknown>;
  /** Asks for bytes that are passed on as they come. The caller reads the body to its end or destroys it. */
  open(path: string, call: UpstreamCall): Promise<IncomingMessage>;
}

export interface UpstreamOptions {
  /** With no slash at its end. */
  readonly baseUrl: string;
  /** What users call it, such as `ComfyUI`: errors name it, never its address. */
  readonly title: string;
  /** Sent as a bearer token. */
  readonly key?: string | undefined;
}

const headMs = 10_000;
const answerBytesMax = 64 * 1024 * 1024;
/** Of an answer that says no, for the log. */
const detailLengthMax = 500;

/** Over Node's own client: unlike `fetch` it gives up no answer that takes longer than five minutes. */
export function createUpstream({ baseUrl, title, key }: UpstreamOptions): Upstream {
  const open = async (path: string, call: UpstreamCall): Promise<IncomingMessage> => {
    call.signal.throwIfAborted();
    const body = await bodyOf(call);
    return await send(new URL(`${baseUrl}${path}`), { call, body, key, title });
  };
  const ask = async (path: string, call: UpstreamCall): Promise<UpstreamAnswer> => {
    const response = await open(path, call);
    const { signal, timeoutMs = headMs, stallMs = timeoutMs, bytesMax = answerBytesMax } = call;
    return {
      status: response.statusCode ?? 0,
      contentType: response.headers["content-type"] ?? "",
      bytes: await readWhole(answerStream(response, { title, stallMs, signal }), bytesMax),
    };
  };
  const fetch = async (path: string, call: UpstreamCall): Promise<UpstreamAnswer> => {
    const answer = await ask(path, call);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw refusal(title, answer);
  };
  return {
    open,
    ask,
    fetch,
    async json(path, call) {
      const { bytes } = await fetch(path, call);
      try {
        return JSON.parse(bytes.toString("utf8"));
      } catch (error) {
        throw new NexusError("backend_error", `${title} answered with something that is no JSON.`, {
          source: "service",
          cause: error,
        });
      }
    },
  };
}

/** What a status that says no means to the client: its own words are for the log only. */
function refusal(title: string, { status, bytes }: UpstreamAnswer): NexusError {
  const options = { detail: `${status}: ${bytes.toString("utf8", 0, detailLengthMax)}`, source: "service" } as const;
  if (status === 400 || status === 413 || status === 422) {
    return new NexusError(
      "invalid_request",
      `${title} does not take this request; the service's log says why.`,
      options,
    );
  }
  if (status === 404) return new NexusError("not_found", `${title} does not know what is asked for.`, options);
  if (status === 401 || status === 403) {
    return new NexusError("backend_error", `${title} does not accept the key of this service.`, options);
  }
  if (status === 429 || status === 503) {
    return new NexusError("not_ready", `${title} has no room now. Try again.`, { ...options, retryAfterSeconds: 5 });
  }
  return new NexusError("backend_error", `${title} failed with status ${status}.`, options);
}

interface Body {
  readonly bytes: Buffer;
  readonly contentType: string;
}

async function bodyOf({ json, form }: UpstreamCall): Promise<Body | undefined> {
  if (json !== undefined) return { bytes: Buffer.from(JSON.stringify(json)), contentType: "application/json" };
  if (form === undefined) return undefined;
  const written = new Response(form);
  return {
    bytes: Buffer.from(await written.arrayBuffer()),
    contentType: written.headers.get("content-type") ?? "multipart/form-data",
  };
}

function idsOf({ of }: UpstreamCall): Readonly<Record<string, string>> {
  return of === undefined ? {} : { "x-request-id": of.requestId, traceparent: toTraceparent(of.trace) };
}

interface Sending {
  readonly call: UpstreamCall;
  readonly body: Body | undefined;
  readonly key: string | undefined;
  readonly title: string;
}

function send(url: URL, { call, body, key, title }: Sending): Promise<IncomingMessage> {
  const { request } = url.protocol === "https:" ? https() : http();
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = request(url, {
    method: call.method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      accept: "*/*",
      ...idsOf(call),
      ...(body === undefined ? {} : { "content-type": body.contentType, "content-length": body.bytes.length }),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
    signal: call.signal,
    // A connection that was kept and is gone would fail a request that costs minutes.
    agent: false,
  });
  const timer = setTimeout(() => {
    sent.destroy(new NexusError("first_token_timeout", `${title} did not answer in time.`, { source: "service" }));
  }, call.timeoutMs ?? headMs);
  sent.once("response", (response) => {
    clearTimeout(timer);
    resolve(response);
  });
  sent.once("error", (error: NodeJS.ErrnoException) => {
    clearTimeout(timer);
    reject(call.signal.aborted ? call.signal.reason : unreachable(title, error));
  });
  sent.end(body?.bytes);
  return promise;
}

function unreachable(title: string, error: Error): NexusError {
  if (error instanceof NexusError) return error;
  return new NexusError("backend_unreachable", `${title} does not answer.`, {
    detail: describeError(error),
    cause: error,
    source: "service",
  });
}
