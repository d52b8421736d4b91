import { Agent, type Dispatcher, request } from "undici";
import type { Clock } from "../base/clock.ts";
import { describeError, type ErrorCode, errorTable, NexusError } from "../base/errors.ts";

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

/** The control API's calls, each with a deadline. */
export class ControlClient {
  readonly #options: ControlClientOptions;
  readonly #agent: Agent;
  readonly #base: string;
  readonly #headers: Record<string, string>;

  /** @throws NexusError `invalid_request` when the URL is of no kind that it knows. */
  constructor(options: ControlClientOptions) {
    this.#options = options;
    const { base, socketPath } = parseControlUrl(options.url);
    this.#base = base;
    this.#headers = options.key === undefined ? {} : { authorization: `Bearer ${options.key}` };
    this.#agent = new Agent({
      connect: { timeout: connectTimeoutMs, ...(socketPath === undefined ? {} : { socketPath }) },
      connections: connectionsMax,
      // Deadlines are ours, so that they follow the clock and cover the whole call.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /**
   * One call; resolves to the answer's JSON, undefined when it has none.
   * @throws NexusError with the control API's own code, or `registry_unavailable` when it does not answer in time.
   */
  async call(method: Dispatcher.HttpMethod, path: string, body?: unknown): Promise<unknown> {
    const { clock, callTimeoutMs = 3_000 } = this.#options;
    const deadline = new AbortController();
    const cancel = clock.after(callTimeoutMs, () => deadline.abort(new Error(`no answer within ${callTimeoutMs} ms`)));
    try {
      const answer = await this.#send(method, path, body, deadline.signal);
      const text = await readText(answer.body);
      if (answer.statusCode >= 400) throw errorOf(answer.statusCode, text);
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
  async open(path: string, signal: AbortSignal): Promise<Dispatcher.ResponseData["body"]> {
    try {
      const answer = await this.#send("GET", path, undefined, signal);
      if (answer.statusCode !== 200) throw errorOf(answer.statusCode, await readText(answer.body));
      return answer.body;
    } catch (error) {
      throw error instanceof NexusError ? error : unavailable(error);
    }
  }

  /** Breaks off whatever is under way. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #send(method: Dispatcher.HttpMethod, path: string, body: unknown, signal: AbortSignal) {
    const headers = body === undefined ? this.#headers : { ...this.#headers, "content-type": "application/json" };
    const text = body === undefined ? null : JSON.stringify(body);
    return request(this.#base + path, { dispatcher: this.#agent, method, headers, body: text, signal });
  }
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
