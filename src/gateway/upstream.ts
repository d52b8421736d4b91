import type * as Undici from "undici";
import { describeError, NexusError } from "../base/errors.ts";
import { loadLater } from "../base/load-later.ts";
import { credentialHeaders } from "../contract/credential-headers.ts";
import type { InstanceRecord } from "../contract/instance-record.ts";
import { AttemptFailure } from "../resilience/attempt-failure.ts";
import type { ProbeResult } from "../resilience/readiness-monitor.ts";
import { UpstreamPool } from "./http/upstream-pool.ts";
import { type UpstreamAnswer, UpstreamCall, type UpstreamTimeouts } from "./upstream-call.ts";

export interface UpstreamRequest {
  readonly method: Undici.Dispatcher.HttpMethod;
  /** Below the instance's base URL. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
  readonly signal: AbortSignal;
  /** Default: those of the gateway. */
  readonly timeouts?: UpstreamTimeouts;
}

export interface UpstreamSettings {
  readonly timeouts: UpstreamTimeouts & { readonly connectMs: number };
  /** Milliseconds for one probe; `keyedTimeoutMs` of a server that asks for a key. */
  readonly probes: { readonly timeoutMs: number; readonly keyedTimeoutMs: number };
}

export interface UpstreamsOptions extends UpstreamSettings {
  /** Turns `env:NAME` or `file:PATH` into the key that it stands for. */
  readonly resolveSecret: (reference: string) => Promise<string>;
}

/** Only for servers that are reached over TLS. */
const undici = loadLater<typeof Undici>("undici");

/** Connections to one instance. More requests than this wait for a free one. */
const connectionsMax = 1_024;
/**
 * Idle connections are closed after this time. Below the 5 s after which common servers (uvicorn, Node) close theirs,
 * so that a request seldom meets a connection that is just being closed.
 */
const idleMs = 3_000;

/** Sends requests to instances over pooled connections, one pool per origin. */
export class Upstreams {
  readonly #options: UpstreamsOptions;
  readonly #pools = new Map<string, Undici.Pool | UpstreamPool>();
  #settings: UpstreamSettings;

  constructor(options: UpstreamsOptions) {
    this.#options = options;
    this.#settings = options;
  }

  /** For requests to come. Connections are made anew when they are made in another way; requests on old ones end there. */
  configure(settings: UpstreamSettings): void {
    const isSameWay = settings.timeouts.connectMs === this.#settings.timeouts.connectMs;
    this.#settings = settings;
    if (!isSameWay) this.retain([]);
  }

  /**
   * Sends one request and resolves when the first byte of the answer's body is there (or its end).
   * @throws AttemptFailure when no answer came; whatever the answer's status is, it is an answer.
   */
  send(record: InstanceRecord, request: UpstreamRequest): Promise<UpstreamAnswer> {
    if (record.secret !== null) return this.#sendWithKey(record, request);
    return this.#dispatch(record, request, { ...request.headers, ...credentialHeaders(record.dialect, undefined) });
  }

  async #sendWithKey(record: InstanceRecord, request: UpstreamRequest): Promise<UpstreamAnswer> {
    return this.#dispatch(record, request, await this.headersFor(record, request.headers));
  }

  #dispatch(
    record: InstanceRecord,
    request: UpstreamRequest,
    headers: Record<string, string>,
  ): Promise<UpstreamAnswer> {
    const base = baseOf(record);
    const call = new UpstreamCall(request.signal, request.timeouts ?? this.#settings.timeouts);
    this.#pool(base).dispatch(
      {
        method: request.method,
        path: base.pathname === "/" ? request.path : base.pathname + request.path,
        headers,
        body: request.body,
        // The call keeps its own time: one clock from sending to the first byte, one between two chunks.
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      call,
    );
    return call.answer;
  }

  /** Asks an instance whether it can take requests. Never throws. */
  async probe(record: InstanceRecord): Promise<ProbeResult> {
    const { timeoutMs, keyedTimeoutMs } = this.#settings.probes;
    const signal = AbortSignal.timeout(record.secret === null ? timeoutMs : keyedTimeoutMs);
    try {
      const request = { method: "GET", path: record.readiness_path, headers: {}, body: null, signal } as const;
      const answer = await this.send(record, request);
      answer.discard();
      if (answer.status < 300) return { kind: "ready" };
      return { kind: "unready", reason: `answers ${record.readiness_path} with status ${answer.status}` };
    } catch (error) {
      const failure = error instanceof AttemptFailure ? error : undefined;
      if (failure?.kind === "refused") return { kind: "refused", reason: "refuses connections" };
      if (failure?.kind === "unsendable") return { kind: "unready", reason: failure.error.message };
      return { kind: "silent", reason: signal.aborted ? "does not answer its probe" : publicReason(failure) };
    }
  }

  /** Closes the connections to origins that no instance uses any more, once their requests have ended. */
  retain(records: Iterable<InstanceRecord>): void {
    const wanted = new Set<string>();
    for (const record of records) wanted.add(baseOf(record).origin);
    for (const [origin, pool] of this.#pools) {
      if (wanted.has(origin)) continue;
      this.#pools.delete(origin);
      void pool.close();
    }
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #pool(base: URL): Undici.Pool | UpstreamPool {
    let pool = this.#pools.get(base.origin);
    if (pool === undefined) {
      pool = this.#openPool(base);
      this.#pools.set(base.origin, pool);
    }
    return pool;
  }

  /** Plain HTTP, which is nearly everything, has a pool of its own that costs a third of undici's. */
  #openPool(base: URL): Undici.Pool | UpstreamPool {
    const { connectMs } = this.#settings.timeouts;
    if (base.protocol === "http:") return new UpstreamPool(base, { connectMs, connectionsMax, idleMs });
    return new (undici().Pool)(base.origin, {
      connections: connectionsMax,
      pipelining: 1,
      connect: { timeout: connectMs },
      keepAliveTimeout: idleMs,
      keepAliveMaxTimeout: idleMs,
    });
  }

  /**
   * The headers of a request to an instance, its key among them; what an instance expects besides, such as the version of
   * its API, only where `headers` does not say it.
   * @throws AttemptFailure when the key cannot be read.
   */
  async headersFor(record: InstanceRecord, headers: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    if (record.secret === null) return { ...credentialHeaders(record.dialect, undefined), ...headers };
    try {
      const key = await this.#options.resolveSecret(record.secret);
      return { ...credentialHeaders(record.dialect, key), ...headers };
    } catch (cause) {
      const error = new NexusError("backend_unreachable", "The platform cannot read the key of this instance.", {
        cause,
        detail: `${record.secret}: ${describeError(cause)}`,
      });
      throw new AttemptFailure("unsendable", error);
    }
  }
}

/** Records are immutable, so the URL of one is parsed once in its life and not for every request. */
const bases = new WeakMap<InstanceRecord, URL>();

function baseOf(record: InstanceRecord): URL {
  let base = bases.get(record);
  if (base === undefined) {
    base = new URL(record.base_url);
    bases.set(record, base);
  }
  return base;
}

/** Clients read it when nothing works: a code says what to look for, the whole error may name addresses and paths. */
function publicReason(failure: AttemptFailure | undefined): string {
  if (failure === undefined) return "cannot be asked";
  const { message, cause } = failure.error;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? `${message.replace(/\.$/, "")} (${code}).` : message;
}
