/** Extra headers of an answer. The kit sets content type, length, request id and trace itself. */
export type ResponseHeaders = Readonly<Record<string, string>>;

export interface JsonResponse {
  readonly kind: "json";
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly value: unknown;
}

export interface EventStreamResponse {
  readonly kind: "event-stream";
  readonly headers: ResponseHeaders;
  readonly items: AsyncIterable<object | string>;
  readonly typed: boolean;
}

export interface BytesResponse {
  readonly kind: "bytes";
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly contentType: string;
  readonly source: Uint8Array | AsyncIterable<Uint8Array>;
}

/** What a handler answers with: made by `json`, `eventStream` or `bytes`. */
export type ServiceResponse = JsonResponse | EventStreamResponse | BytesResponse;

/** One JSON document. `status` defaults to 200. */
export function json(
  value: unknown,
  options: { readonly status?: number; readonly headers?: ResponseHeaders } = {},
): JsonResponse {
  return { kind: "json", status: options.status ?? 200, headers: options.headers ?? {}, value };
}

/**
 * Server-sent events: every object is sent as JSON, every string as it is, each in one `data:` event; `[DONE]` follows
 * by itself. An error thrown before the first item is answered like any other error, with its HTTP status. One thrown
 * later becomes an `error` event in OpenAI's shape, and no `[DONE]` follows. When the client leaves, the iterator is
 * closed (`return()`), so that a generator's `finally` runs.
 *
 * With `typed`, each object's `type` is the name of its event too and no `[DONE]` follows, as in OpenAI's newer APIs
 * (responses, images, speech, transcriptions) and in Anthropic's: there the last event says that all is said.
 */
export function eventStream(
  items: AsyncIterable<object | string>,
  options: { readonly headers?: ResponseHeaders; readonly typed?: boolean } = {},
): EventStreamResponse {
  return { kind: "event-stream", headers: options.headers ?? {}, items, typed: options.typed ?? false };
}

/** Raw bytes, at once or as they are made; the receiver's pace holds the source back. `status` defaults to 200. */
export function bytes(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  contentType: string,
  options: { readonly status?: number; readonly headers?: ResponseHeaders } = {},
): BytesResponse {
  return { kind: "bytes", status: options.status ?? 200, headers: options.headers ?? {}, contentType, source };
}
