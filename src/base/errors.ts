/** OpenAI's `error.type` values that Nexus answers with. */
export type ErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "permission_error"
  | "rate_limit_error"
  | "server_error";

/** What every error code means to a client. `docs/reference/errors.md` is held against this table by a test. */
export interface ErrorSpec {
  /** HTTP status of the answer. */
  readonly status: number;
  /** `error.type` of the answer. */
  readonly type: ErrorType;
  /** Whether the same request may succeed later or on another instance without being changed. */
  readonly retryable: boolean;
  /** One sentence for the reference page. */
  readonly meaning: string;
}

const invalid = (status: number, meaning: string): ErrorSpec => ({
  status,
  type: "invalid_request_error",
  retryable: false,
  meaning,
});
const server = (status: number, meaning: string, retryable = true): ErrorSpec => ({
  status,
  type: "server_error",
  retryable,
  meaning,
});

/** The one table of error codes. Codes are public API: they are never renamed, only added. */
export const errorTable = {
  // The request is wrong: nothing reached a backend.
  invalid_request: invalid(400, "A field is missing or has a wrong value; the message names it."),
  invalid_json: invalid(400, "The body is not valid JSON, or not a JSON object."),
  missing_model: invalid(400, "The body has no `model`, or it is not a non-empty string."),
  invalid_header: invalid(400, "A header is malformed, duplicated where it must not be, or contradicts another."),
  context_length_exceeded: invalid(400, "Prompt and answer do not fit in the model's context window."),
  unsupported_feature: invalid(400, "No instance of the model supports a feature that the request needs."),
  unsupported_media_type: invalid(415, "The content type is not one that the operation reads."),
  model_not_found: invalid(404, "No service offers this model; the message lists close names."),
  not_found: invalid(404, "The thing named in the request does not exist."),
  unknown_url: invalid(404, "No operation lives under this path."),
  method_not_allowed: invalid(405, "The path exists, the method is wrong; `Allow` names the right ones."),
  request_timeout: invalid(408, "The request was not complete in time."),
  conflict: invalid(409, "The request contradicts the present state."),
  config_refused: invalid(409, "The configuration file can't be used as it is; the message says where and why."),
  range_not_satisfiable: invalid(
    416,
    "The file ends before the range that is asked for begins; `Content-Range` says where.",
  ),
  upgrade_required: invalid(
    426,
    "The operation is a conversation over a WebSocket, which the request does not ask for.",
  ),
  request_too_large: invalid(413, "The body is larger than `gateway.bodyBytesMax`."),
  storage_full: invalid(413, "A file, or all files together, would take more room than `files` allows."),
  backend_unrecognised: invalid(422, "Something answers at the URL, but it is no server that Nexus can recognise."),
  record_invalid: invalid(422, "A registry record does not follow the contract; the message names the field."),
  lease_expired: invalid(410, "The lease is unknown or has run out: register again."),
  // Who asks.
  missing_api_key: {
    status: 401,
    type: "authentication_error",
    retryable: false,
    meaning: "The request carries no `Authorization: Bearer` key.",
  },
  invalid_api_key: {
    status: 401,
    type: "authentication_error",
    retryable: false,
    meaning: "The key is unknown, revoked or expired.",
  },
  permission_denied: {
    status: 403,
    type: "permission_error",
    retryable: false,
    meaning: "The key is valid but may not do this.",
  },
  // Too much at once.
  rate_limit_exceeded: {
    status: 429,
    type: "rate_limit_error",
    retryable: true,
    meaning: "Too many requests at once; `Retry-After` says when to come back.",
  },
  queue_full: {
    status: 429,
    type: "rate_limit_error",
    retryable: true,
    meaning: "The queue in front of the model is full; `Retry-After` says when to come back.",
  },
  deadline_exceeded: {
    status: 429,
    type: "rate_limit_error",
    retryable: true,
    meaning: "No slot came free, or would come free, by the request's deadline; `Retry-After` says when to come back.",
  },
  insufficient_quota: {
    status: 429,
    type: "rate_limit_error",
    retryable: false,
    meaning: "The budget of the key or its tenant is used up; `Retry-After` says when the next period begins.",
  },
  // The platform or a service fails.
  client_closed: server(499, "The client went away before the answer was complete (seen in logs only).", false),
  internal_error: server(500, "A defect in Nexus; the request id finds it in the log.", false),
  backend_error: server(502, "The instance answered with something that is no valid answer."),
  backend_unreachable: server(502, "No connection to the instance, or it broke before the first byte of the answer."),
  backend_disconnected: server(502, "The instance broke off in the middle of its answer."),
  no_instance_available: server(503, "The model is known, but no instance that serves it works right now."),
  not_ready: server(503, "The service is starting or loading; `/readyz` says what it waits for."),
  draining: server(503, "The service is shutting down and takes no new requests."),
  database_unavailable: server(
    503,
    "The database does not answer, and this needs it; requests with keys that are known go on.",
  ),
  registry_unavailable: server(503, "The registry does not answer; what was last seen of it keeps serving."),
  model_source_unavailable: server(503, "No source of the model could be reached; the message lists what was tried."),
  disk_full: server(507, "The disk has no room for a file; the message says which, or how much is needed.", false),
  first_token_timeout: server(504, "The instance sent nothing within the time to the first token."),
  stall_timeout: server(504, "The instance stopped sending in the middle of its answer."),
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof errorTable;

/** Which side failed: Nexus itself, or a service behind it. */
export type ErrorSource = "nexus" | "service";

export interface NexusErrorOptions {
  /** The request field at fault, as OpenAI's `error.param`. */
  readonly param?: string;
  /** For the log only: may name backends, never keys, prompts or tokens. */
  readonly detail?: string;
  readonly cause?: unknown;
  readonly source?: ErrorSource;
  /** Seconds for `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** Every instance that could serve the request was tried: sent again at once it would fail again. Default false. */
  readonly exhausted?: boolean;
}

/**
 * The one error class that crosses rooms. `message` is public and says what to do; `detail` and `cause` are for the
 * log. Thrown where the failure is known, caught at the boundary of a request or in the retry loop.
 */
export class NexusError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly type: ErrorType;
  readonly retryable: boolean;
  readonly param: string | null;
  readonly detail: string | undefined;
  readonly source: ErrorSource;
  readonly retryAfterSeconds: number | undefined;
  /** Says to clients' own retries that there is no point: `x-should-retry: false`. */
  readonly exhausted: boolean;

  constructor(code: ErrorCode, message: string, options: NexusErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "NexusError";
    const spec: ErrorSpec = errorTable[code];
    this.code = code;
    this.status = spec.status;
    this.type = spec.type;
    this.retryable = spec.retryable;
    this.param = options.param ?? null;
    this.detail = options.detail;
    this.source = options.source ?? "nexus";
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.exhausted = options.exhausted ?? false;
  }
}

/** Wraps anything thrown; what is not a `NexusError` becomes `internal_error` with the original as its cause. */
export function toNexusError(thrown: unknown): NexusError {
  if (thrown instanceof NexusError) return thrown;
  return new NexusError("internal_error", "Nexus failed on this request. The request id finds it in the log.", {
    cause: thrown,
    detail: describeError(thrown),
  });
}

/** `message (CODE)` of anything thrown, causes included, on one line. For logs and reasons. */
export function describeError(thrown: unknown): string {
  const parts: string[] = [];
  for (let error: unknown = thrown, depth = 0; error !== undefined && error !== null && depth < 4; depth++) {
    if (!(error instanceof Error)) {
      parts.push(String(error));
      break;
    }
    const code = (error as { code?: unknown }).code;
    const text = error.message === "" ? error.name : error.message;
    parts.push(typeof code === "string" && !text.includes(code) ? `${text} (${code})` : text);
    error = error.cause;
  }
  return parts.join(": ").replaceAll(/\s+/g, " ");
}
