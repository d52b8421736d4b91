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
 */
export function eventStream(
  items: AsyncIterable<object | string>,
  options: { readonly headers?: ResponseHeaders } = {},
): EventStreamResponse {
  return { kind: "event-stream", headers: options.headers ?? {}, items };
}

/** Raw bytes, at once or as they are made; the receiver's pace holds the source back. `status` defaults to 200. */
export function bytes(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  contentType: string,
  options: { readonly status?: number; readonly headers?: ResponseHeaders } = {},
): BytesResponse {
  return { kind: "bytes", status: options.status ?? 200, headers: options.headers ?? {}, contentType, source };
}
