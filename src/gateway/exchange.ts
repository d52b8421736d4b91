import type { Clock } from "../base/clock.ts";
import { requestIdFrom, type TraceContext, traceFrom } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { KeyRole } from "../keys/key-record.ts";
import type { KnownKey } from "../keys/known-key.ts";
import type { Usage } from "../openai/usage.ts";
import type { AdmissionClass } from "../resilience/model-queue.ts";
import type { RoutePlan } from "../routing/route-plan.ts";
import { openaiDialect } from "../translate/openai-dialect.ts";
import type { ClientDialect } from "../translate/translation.ts";
import type { ClientReply, ClientRequest } from "./client-io.ts";

/** Who asks. Without keys, everybody on the machine is the operator. */
export interface Caller {
  readonly keyId: string;
  readonly role: KeyRole;
  /** Its tenant, limits and allow-lists; undefined without keys. */
  readonly key?: KnownKey;
}

/** Whose request it is. Without keys, everybody on the machine is one tenant. */
export function tenantOf({ caller }: Pick<Exchange, "caller">): string {
  return caller?.key?.tenant.id ?? caller?.keyId ?? "none";
}

/** One try of one instance, as the record keeps it. */
export interface AttemptRecord {
  readonly instance: string;
  /** Undefined when it answered, else why not; `cancelled` until one or the other is known. */
  failure: string | undefined;
  /** From the request's arrival. */
  readonly startMs: number;
  /** Undefined while it is under way: what is then when the request ends was cancelled. */
  durationMs: number | undefined;
}

/**
 * One client request from accept to its last byte. Stages fill in what they learn; the server writes the one completion
 * record from it.
 */
export class Exchange {
  readonly id: string;
  readonly trace: TraceContext;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly #parentLog: Logger;
  #log: Logger | undefined;
  readonly startedAt: number;
  readonly request: ClientRequest;
  /** May be exchanged for one that holds the answer back or collects it. */
  reply: ClientReply;
  /** Operation id, or the route's path for the platform's own pages. Never the raw path: it becomes a label. */
  operation = "unknown";
  /** In which shape the client expects errors and streams. */
  dialect: ClientDialect = openaiDialect;
  caller: Caller | undefined;
  model: string | undefined;
  stream = false;
  /** How urgent it is. */
  class: AdmissionClass = "default";
  /** On `clock.monotonic()`: when the client gives up waiting for the first byte, if it has said so. */
  deadlineAt: number | undefined;
  /** Where it could go and why not elsewhere, once that was decided. */
  plan: RoutePlan | undefined;
  instance: string | undefined;
  /** The model and the service that answered. */
  served: { readonly model: string; readonly service: string } | undefined;
  /** Millionths of a dollar, once it has ended. */
  costMicroUsd: number | undefined;
  readonly #endings: (() => void)[] = [];
  #hasEnded = false;
  /** When the body was there. */
  readAt: number | undefined;
  /** How long it waited for a free slot. */
  queueMs: number | undefined;
  /** What happened on the way that is no attempt: hedged, continued. */
  readonly notes: string[] = [];
  readonly attempts: AttemptRecord[] = [];
  usage: Usage | undefined;
  /** Code of the error that the client was told, if any. */
  errorCode: string | undefined;
  /** For the log: what the client was not told. */
  errorDetail: string | undefined;
  bytesIn = 0;
  bytesOut = 0;
  firstByteAt: number | undefined;

  constructor(request: ClientRequest, reply: ClientReply, context: { log: Logger; clock: Clock }) {
    this.request = request;
    this.reply = reply;
    this.id = requestIdFrom(request.header("x-request-id"));
    this.trace = traceFrom(request.header("traceparent"));
    this.#parentLog = context.log;
    this.clock = context.clock;
    this.startedAt = context.clock.monotonic();
    const controller = new AbortController();
    this.signal = controller.signal;
    reply.onClose((finished) => {
      if (!finished) controller.abort();
    });
    reply.setHeader("x-request-id", this.id);
  }

  /** Names the exchange on every line. Made when it is first needed: most exchanges have nothing to say but their end. */
  get log(): Logger {
    this.#log ??= this.#parentLog.child({ request_id: this.id, trace_id: this.trace.traceId });
    return this.#log;
  }

  /**
   * Calls `run` when the exchange has ended, however it ended, before its record is made: what was begun last ends
   * first. At once when it has ended already: its client may leave while it waits for a database.
   */
  onEnd(run: () => void): void {
    if (this.#hasEnded) run();
    else this.#endings.push(run);
  }

  /** To be called once, by the server. */
  end(): void {
    this.#hasEnded = true;
    for (const run of this.#endings.splice(0).reverse()) run();
  }
}
