import { once } from "node:events";
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { Socket } from "node:net";
import { urlToHttpOptions } from "node:url";
import type { Clock } from "../base/clock.ts";
import { describeError, type ErrorCode, errorTable, NexusError } from "../base/errors.ts";
import { http, https } from "../base/node-http.ts";

export interface ControlClientOptions {
  /** `unix:/path/control.sock`, or the http(s) URL of a gateway that relays the control API. */
  readonly url: string;
  /** Bearer key, for http only: on the socket the file's permission is the key. */
  readonly key?: string;
  readonly clock: Clock;
  /** Time for one call from its start to the last byte of its answer. Default 3 s: within a third of a lease. */
  readonly callTimeoutMs?: number;
}

/** Answers of single calls are small; whatever is larger is not the control API. */
const answerBytesMax = 1024 * 1024;
/** Same host or same network: what takes longer is not there. */
const connectTimeoutMs = 2_000;

/** One for the watch, the rest for calls; more calls wait, within their deadline. */
const connectionsMax = 16;

/** The control API's calls, each with a deadline. Over Node's own client: every process has that loaded. */
export class ControlClient {
  readonly #options: ControlClientOptions;
  readonly #agent: Agent;
  readonly #base: URL;
  readonly #socketPath: string | undefined;
  readonly #headers: Record<string, string>;
  readonly #closing = new AbortController();

  /** @throws NexusError `invalid_request` when the URL is of no kind that it knows. */
  constructor(options: ControlClientOptions) {
    this.#options = options;
    const { base, socketPath } = parseControlUrl(options.url);
    this.#base = new URL(base);
    this.#socketPath = socketPath;
    this.#headers = options.key === undefined ? {} : { authorization: `Bearer ${options.key}` };
    const { Agent } = this.#base.protocol === "https:" ? https() : http();
    this.#agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });
  }

  /**
   * One call; resolves to the answer's JSON, undefined when it has none.
   * @throws NexusError with the control API's own code, or `registry_unavailable` when it does not answer in time.
   */
  async call(method: ControlMethod, path: string, body?: unknown): Promise<unknown> {
    const { clock, callTimeoutMs = 3_000 } = this.#options;
    const deadline = new AbortController();
    const cancel = clock.after(callTimeoutMs, () => deadline.abort(new Error(`no answer within ${callTimeoutMs} ms`)));
    try {
      const answer = await this.#send(method, path, body, deadline.signal);
      const text = await readText(answer);
      const { statusCode = 0 } = answer;
      if (statusCode >= 400) throw errorOf(statusCode, text);
      return text === "" ? undefined : JSON.parse(text);
    } catch (error) {
      throw error instanceof NexusError ? error : unavailable(error);
    } finally {
      cancel();
    }
  }

  /**
   * Opens an event stream. Its end is the caller's to see and its silence the caller's to end, by `signal`.
   * @throws NexusError as `call` does.
   */
  async open(path: string, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    try {
      const answer = await this.#send("GET", path, undefined, signal);
      if (answer.statusCode !== 200) throw errorOf(answer.statusCode ?? 0, await readText(answer));
      return answer;
    } catch (error) {
      throw error instanceof NexusError ? error : unavailable(error);
    }
  }

  /** Breaks off whatever is under way. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("the client was closed"));
    this.#agent.destroy();
  }

  /** Resolves with the head of the answer. Its body breaks off when `signal` is aborted. */
  async #send(method: ControlMethod, path: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const stopped = AbortSignal.any([signal, this.#closing.signal]);
    const request = this.#open({
      method,
      path: `${this.#base.pathname.replace(/\/+$/, "")}${path}`,
      headers: {
        ...this.#headers,
        ...(text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
      },
    });
    let answer: IncomingMessage | undefined;
    const stop = () => void (answer ?? request).destroy(asError(stopped.reason));
    if (stopped.aborted) stop();
    stopped.addEventListener("abort", stop, { once: true });
    request.once("close", () => stopped.removeEventListener("abort", stop));
    // What breaks after the head is told by the body.
    request.on("error", () => {});
    request.end(text);
    [answer] = (await once(request, "response")) as [IncomingMessage];
    return answer;
  }

  #open(options: RequestOptions): ClientRequest {
    const { request } = this.#base.protocol === "https:" ? https() : http();
    const where = this.#socketPath === undefined ? urlToHttpOptions(this.#base) : { socketPath: this.#socketPath };
    const opened = request({ ...where, ...options, agent: this.#agent });
    return opened.once("socket", (socket) => limitConnect(opened, socket));
  }
}

type ControlMethod = "GET" | "POST" | "PUT" | "DELETE";

function limitConnect(request: ClientRequest, socket: Socket): void {
  if (!socket.connecting) return;
  const timer = setTimeout(
    () => request.destroy(new Error(`no connection within ${connectTimeoutMs} ms`)),
    connectTimeoutMs,
  );
  const stop = () => clearTimeout(timer);
  socket.once("connect", stop);
  request.once("close", stop);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** Base URL and, for a socket, its path. @throws NexusError `invalid_request` for any other kind of URL. */
export function parseControlUrl(url: string): { base: string; socketPath?: string } {
  if (url.startsWith("unix:/")) return { base: "http://localhost", socketPath: url.slice("unix:".length) };
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return { base: url.replace(/\/+$/, "") };
  throw new NexusError("invalid_request", "The control URL must be unix:/path/to/control.sock or an http(s) URL.");
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`the answer is larger than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function unavailable(cause: unknown): NexusError {
  const detail = describeError(cause);
  return new NexusError("registry_unavailable", "The registry does not answer; try again.", { cause, detail });
}

/** The control API's own error, or what its status says when the body is not one of ours. */
function errorOf(status: number, text: string): NexusError {
  let body: { error?: { code?: unknown; message?: unknown; param?: unknown } } | null = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Something else answers there.
  }
  const { code, message, param } = body?.error ?? {};
  if (isErrorCode(code) && typeof message === "string") {
    return new NexusError(code, message, typeof param === "string" ? { param } : {});
  }
  return new NexusError("registry_unavailable", "The registry's address answers, but not as a registry.", {
    detail: `status ${status}: ${text.slice(0, 200)}`,
  });
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errorTable, code);
}
