import type { AnswerControl, AnswerHandler } from "./answer-reader.ts";
import { type ConnectionOwner, type Origin, UpstreamConnection, type WireRequest } from "./upstream-connection.ts";

/** A request to a server, as undici's `dispatch` takes it. */
export interface PoolRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
}

export interface PoolOptions {
  readonly connectMs: number;
  /** Connections at a time. More requests than this wait for a free one. */
  readonly connectionsMax: number;
  /** For how long a connection without a request is kept, if its server does not say less. */
  readonly idleMs: number;
}

interface Waiting {
  readonly request: WireRequest;
  readonly handler: AnswerHandler;
}

const pathShape = /^\/[\x21-\x7e]*$/;
const nameShape = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const valueShape = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Connections to one server over plain HTTP/1.1, kept between requests. It does a third of the work of a general
 * client: no pipelining, no upgrades, no redirects, no decoding.
 */
export class UpstreamPool {
  readonly #origin: Origin;
  readonly #options: PoolOptions;
  readonly #owner: ConnectionOwner;
  readonly #open = new Set<UpstreamConnection>();
  /** Used last, taken first: what is not needed ages out. */
  #idle: UpstreamConnection[] = [];
  readonly #waiting: Waiting[] = [];
  #sweep: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(origin: URL, options: PoolOptions) {
    this.#origin = {
      hostname: origin.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: origin.port === "" ? 80 : Number(origin.port),
      host: origin.host,
    };
    this.#options = options;
    this.#owner = {
      connectMs: options.connectMs,
      idleMsMax: options.idleMs,
      freed: (connection) => this.#freed(connection),
      closed: (connection) => this.#closed(connection),
    };
  }

  /** Sends a request. Whatever goes wrong, the handler is told, and nothing is thrown. */
  dispatch(request: PoolRequest, handler: AnswerHandler): void {
    const wire = this.#toWire(request);
    if (wire instanceof TypeError) {
      handler.onResponseError(nothingToSteer, wire);
      return;
    }
    const connection = this.#takeIdle();
    if (connection !== undefined) connection.send(wire, handler);
    else if (this.#open.size < this.#options.connectionsMax) this.#connect().send(wire, handler);
    else this.#wait({ request: wire, handler });
  }

  /** Takes no new requests; connections close as soon as their requests have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#dropIdle(Number.POSITIVE_INFINITY);
  }

  /** Cuts everything. */
  async destroy(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#sweep);
    const error = new Error("the pool was closed");
    for (const { handler } of this.#waiting.splice(0)) handler.onResponseError(nothingToSteer, error);
    for (const connection of this.#open) connection.destroy();
  }

  /** Whoever gives up while it waits leaves at once, and costs no connection. */
  #wait(waiting: Waiting): void {
    this.#waiting.push(waiting);
    const leave = (reason: Error) => {
      const place = this.#waiting.indexOf(waiting);
      if (place === -1) return;
      this.#waiting.splice(place, 1);
      waiting.handler.onResponseError(nothingToSteer, reason);
    };
    waiting.handler.onRequestStart({ ...nothingToSteer, abort: leave });
  }

  #takeIdle(): UpstreamConnection | undefined {
    const now = performance.now();
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.isUsable(now)) return connection;
      connection.destroy();
    }
    return undefined;
  }

  #connect(): UpstreamConnection {
    const connection = new UpstreamConnection(this.#origin, this.#owner);
    this.#open.add(connection);
    return connection;
  }

  #freed(connection: UpstreamConnection): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      connection.send(next.request, next.handler);
    } else if (this.#isClosed) {
      connection.destroy();
    } else {
      this.#idle.push(connection);
      this.#sweep ??= this.#planSweep();
    }
  }

  #closed(connection: UpstreamConnection): void {
    this.#open.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
    const next = this.#waiting.shift();
    if (next !== undefined) this.#connect().send(next.request, next.handler);
  }

  #planSweep(): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#sweep = undefined;
      this.#dropIdle(performance.now());
      if (this.#idle.length > 0) this.#sweep = this.#planSweep();
    }, this.#options.idleMs / 3);
    return timer.unref();
  }

  #dropIdle(now: number): void {
    const idle = this.#idle;
    this.#idle = idle.filter((connection) => connection.isUsable(now));
    for (const connection of idle) if (!connection.isUsable(now)) connection.destroy();
  }

  /** Nothing from outside may end a line: what is not plain is not sent. */
  #toWire({ method, path, headers, body }: PoolRequest): WireRequest | TypeError {
    if (!pathShape.test(path)) return new TypeError("the path cannot be sent");
    let head = `${method} ${path} HTTP/1.1\r\nhost: ${this.#origin.host}\r\n`;
    for (const name in headers) {
      const value = headers[name] ?? "";
      if (!nameShape.test(name) || !valueShape.test(value)) return new TypeError(`the header '${name}' cannot be sent`);
      head += `${name}: ${value}\r\n`;
    }
    if (body !== null) head += `content-length: ${body.length}\r\n`;
    else if (method !== "GET" && method !== "HEAD") head += "content-length: 0\r\n";
    return { isHead: method === "HEAD", head: `${head}\r\n`, body };
  }
}

const nothingToSteer: AnswerControl = { abort: () => {}, pause: () => {}, resume: () => {} };
