import type { IncomingHttpHeaders } from "node:http";
import { describeError, NexusError } from "../base/errors.ts";
import { AttemptFailure, clientClosed } from "../resilience/attempt-failure.ts";
import type { AnswerControl, AnswerHandler } from "./http/answer-reader.ts";
import { connectTimeoutCode } from "./http/upstream-connection.ts";

export interface UpstreamTimeouts {
  readonly firstTokenMs: number;
  readonly stallMs: number;
}

/** Takes the body of an answer. */
export interface AnswerSink {
  /** Returns false to be spared until `resume` is called on the answer. */
  data(chunk: Buffer): boolean;
  end(): void;
  /** The rest will not come: the connection broke, stalled, or the client left. */
  fail(error: NexusError): void;
}

/** An answer of which the head and the first bytes are there. Either `pipe` or `discard` it. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Hands the body over, first bytes included. */
  pipe(sink: AnswerSink): void;
  /** Goes on after the sink asked for a pause. */
  resume(): void;
  /** Throws the rest away; the connection is kept only if that costs nothing. */
  discard(): void;
}

type Phase = "waiting" | "held" | "piping" | "over";

/** An unwanted answer that is this small and quick is read to its end, so that its connection can be used again. */
const discardBytesMax = 64 * 1024;
const discardMs = 1_000;

/**
 * One request on its way, as the pool that carries it sees it. From sending to the first byte it runs against `firstTokenMs`, then each
 * gap against `stallMs`; time that the client takes to read does not count. Client gone: the request is aborted, which
 * closes the connection, which is how servers learn to stop generating.
 */
export class UpstreamCall implements AnswerHandler, UpstreamAnswer {
  readonly answer: Promise<UpstreamAnswer>;
  status = 0;
  headers: IncomingHttpHeaders = {};

  readonly #signal: AbortSignal;
  readonly #stallMs: number;
  readonly #resolvers = Promise.withResolvers<UpstreamAnswer>();
  readonly #onAbort = () => this.#fail(clientClosed());
  #phase: Phase = "waiting";
  #controller: AnswerControl | undefined;
  #sink: AnswerSink | undefined;
  /** What came before the sink was there. */
  #held: Buffer[] = [];
  #ended = false;
  #brokenBy: NexusError | undefined;
  #timer: NodeJS.Timeout;
  /** Whether `#timer` runs against `stallMs`, so that the next piece only has to set it back. */
  #expectsNext = false;
  #isPaused = false;
  #discardable = 0;

  constructor(signal: AbortSignal, timeouts: UpstreamTimeouts) {
    this.#signal = signal;
    this.#stallMs = timeouts.stallMs;
    this.answer = this.#resolvers.promise;
    this.#timer = setTimeout(() => this.#onSilence(), timeouts.firstTokenMs);
    if (signal.aborted) this.#fail(clientClosed());
    else signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  onRequestStart(controller: AnswerControl): void {
    this.#controller = controller;
    if (this.#phase === "over") controller.abort(clientClosed());
  }

  onResponseStart(_controller: AnswerControl, status: number, headers: IncomingHttpHeaders): void {
    // 1xx answers announce the real one.
    if (status < 200) return;
    this.status = status;
    this.headers = headers;
  }

  onResponseData(controller: AnswerControl, chunk: Buffer): void {
    if (this.#phase === "over") {
      this.#discardable -= chunk.length;
      if (this.#discardable < 0) controller.abort(clientClosed());
      return;
    }
    if (this.#sink !== undefined) {
      this.#expectNext();
      if (!this.#sink.data(chunk)) this.#pause(controller);
      return;
    }
    this.#held.push(chunk);
    this.#pause(controller);
    this.#arrive();
  }

  onResponseEnd(): void {
    if (this.#phase === "over") {
      clearTimeout(this.#timer);
      return;
    }
    this.#ended = true;
    if (this.#sink === undefined) {
      clearTimeout(this.#timer);
      this.#arrive();
    } else {
      this.#finish();
      this.#sink.end();
    }
  }

  onResponseError(_controller: AnswerControl, error: Error): void {
    if (this.#phase === "over") {
      clearTimeout(this.#timer);
      return;
    }
    if (this.#phase === "waiting") {
      this.#finish();
      this.#resolvers.reject(toAttemptFailure(error));
      return;
    }
    this.#fail(brokenOff(error));
  }

  pipe(sink: AnswerSink): void {
    this.#sink = sink;
    if (this.#brokenBy !== undefined) sink.fail(this.#brokenBy);
    if (this.#phase !== "held") return;
    this.#phase = "piping";
    const held = this.#held;
    this.#held = [];
    const wantsMore = held.every((chunk) => sink.data(chunk));
    if (this.#ended) {
      this.#finish();
      sink.end();
    } else if (wantsMore) this.resume();
  }

  resume(): void {
    if (this.#phase === "over" || this.#ended) return;
    this.#isPaused = false;
    this.#expectNext();
    this.#controller?.resume();
  }

  discard(): void {
    if (this.#phase === "over") return;
    const complete = this.#ended;
    this.#finish();
    this.#held = [];
    if (complete) return;
    this.#isPaused = false;
    this.#discardable = discardBytesMax;
    this.#timer = setTimeout(() => this.#controller?.abort(clientClosed()), discardMs);
    this.#timer.unref();
    this.#controller?.resume();
  }

  #arrive(): void {
    if (this.#phase !== "waiting") return;
    this.#phase = "held";
    this.#resolvers.resolve(this);
  }

  #pause(controller: AnswerControl): void {
    this.#isPaused = true;
    controller.pause();
  }

  #expectNext(): void {
    if (this.#expectsNext) {
      this.#timer.refresh();
      return;
    }
    this.#expectsNext = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#onSilence(), this.#stallMs);
  }

  #onSilence(): void {
    // The silence is ours: `resume` sets the time back.
    if (this.#isPaused) return;
    if (this.#phase === "waiting") {
      const error = new NexusError("first_token_timeout", "The instance sent nothing in time.", { source: "service" });
      this.#finish();
      this.#resolvers.reject(new AttemptFailure("first_token_timeout", error));
      this.#controller?.abort(error);
      return;
    }
    this.#fail(
      new NexusError("stall_timeout", `The instance stopped sending for ${this.#stallMs / 1000} s.`, {
        source: "service",
      }),
    );
  }

  #fail(error: NexusError): void {
    const { phase, sink } = { phase: this.#phase, sink: this.#sink };
    this.#brokenBy = error;
    this.#finish();
    if (phase === "waiting") this.#resolvers.reject(error);
    else sink?.fail(error);
    this.#controller?.abort(error);
  }

  #finish(): void {
    this.#phase = "over";
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}

function brokenOff(cause: Error): NexusError {
  return new NexusError("backend_disconnected", "The instance broke off in the middle of its answer.", {
    cause,
    detail: cause.message,
    source: "service",
  });
}

/** What an error of the connection says about the attempt. */
function toAttemptFailure(error: unknown): AttemptFailure {
  const code = (error as { code?: unknown }).code;
  const detail = describeError(error);
  const make = (kind: "refused" | "connect_timeout" | "reset", message: string) =>
    new AttemptFailure(
      kind,
      new NexusError("backend_unreachable", message, { detail, cause: error, source: "service" }),
    );
  if (code === connectTimeoutCode) return make("connect_timeout", "The instance took no connection in time.");
  const refusals = ["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN"];
  // Node tries several addresses of a name and wraps what each of them said.
  const codes = error instanceof AggregateError ? error.errors.map((one) => (one as { code?: unknown }).code) : [code];
  if (error instanceof TypeError) {
    const message = "The platform cannot send this request to the instance.";
    return new AttemptFailure("unsendable", new NexusError("backend_unreachable", message, { detail, cause: error }));
  }
  if (codes.some((one) => refusals.includes(String(one)))) return make("refused", "The instance takes no connections.");
  return make("reset", "The instance broke the connection before it answered.");
}
