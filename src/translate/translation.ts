import type { ErrorBody } from "../base/error-body.ts";
import type { Framing, StreamEvent } from "../openai/stream-events.ts";

export type { StreamEvent } from "../openai/stream-events.ts";

/** Turns the events of one stream into those of another dialect. Lives as long as the stream. */
export interface StreamTranslator {
  /** Takes one whole event, the backend's end marker included, and answers those that go out because of it. */
  push(event: StreamEvent): readonly StreamEvent[];
  /** The backend's stream ended completely: what is still owed to the client. */
  end(): readonly StreamEvent[];
  /** The backend's stream broke: what the client gets instead of the rest. Absent: the dialect's `errorEvent`. */
  fail?(error: ErrorBody, status: number): readonly StreamEvent[];
}

/** One request in the words of another operation, and the way back for its answer. */
export interface Translation {
  /** The request's body for the backend, JSON. Its `model` is the one that the client asked for. */
  readonly body: Buffer;
  /** The body for the model that is asked in the end, where more than its name depends on it. */
  bodyFor?(model: string): Buffer;
  /**
   * A whole answer in the client's dialect.
   * @throws NexusError `backend_error` when the backend's answer is not what its operation promises.
   */
  whole(body: Buffer): Buffer;
  stream(): StreamTranslator;
}

/** What a translation may need besides the request. */
export interface TranslationContext {
  /** For ids in answers: a fresh one for each call. `newId("msg")` is `msg_` and something random. */
  readonly newId: (prefix: string) => string;
  /** Seconds since 1970 when the request came. */
  readonly nowSeconds: number;
  /** Milliseconds since the request came. */
  readonly elapsedMs: () => number;
  /** Whether the fleet has a model, or an alias, of exactly this name. */
  readonly hasModel: (name: string) => boolean;
}

/** Serves one operation by asking for another. Pure. */
export interface Translator {
  /** The operation that the client asked for. */
  readonly from: string;
  /** The operation that the backend is asked for. */
  readonly to: string;
  /** Whether this is the way for a request, where an operation has several. Absent: for every one. */
  suits?(request: Readonly<Record<string, unknown>>): boolean;
  /** @throws NexusError `invalid_request` or `unsupported_feature`, with the field at fault as `param`. */
  translate(request: Readonly<Record<string, unknown>>, context: TranslationContext): Translation;
}

/** How a client's dialect looks apart from the operations: what an error looks like, and how a stream is framed. */
export interface ClientDialect {
  readonly id: "openai" | "anthropic" | "ollama";
  /** `sse`: server-sent events. `ndjson`: one JSON document a line. */
  readonly framing: Framing;
  /** The header in which its clients look for the request's id, besides `x-request-id`. */
  readonly requestIdHeader?: string;
  /** The body of a refused request. */
  errorBody(error: ErrorBody, status: number, requestId?: string): object;
  /** What ends a stream that broke. */
  errorEvent(error: ErrorBody, status: number, requestId?: string): StreamEvent;
}
