import type { ErrorBody } from "../base/error-body.ts";
import type { ClientDialect } from "./translation.ts";

/** Anthropic's `error.type` by status. Source: its API reference (Errors). */
const typesByStatus: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  410: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
  507: "overloaded_error",
  529: "overloaded_error",
};

/** Anthropic's API: errors say `type: "error"` at their top, and a stream that breaks ends with an event of that name. */
export const anthropicDialect: ClientDialect = {
  id: "anthropic",
  framing: "sse",
  requestIdHeader: "request-id",
  errorBody,
  errorEvent: (error, status, requestId) => ({
    event: "error",
    data: JSON.stringify(errorBody(error, status, requestId)),
  }),
};

function errorBody({ error }: ErrorBody, status: number, requestId?: string): object {
  const type = typesByStatus[status] ?? (status < 500 ? "invalid_request_error" : "api_error");
  return { type: "error", error: { type, message: messageOf(error) }, request_id: requestId };
}

/** Clients such as Claude Code shorten a conversation by themselves when they read Anthropic's words for a full window. */
function messageOf({ code, message }: ErrorBody["error"]): string {
  const isTooLong = code === "context_length_exceeded" && !message.startsWith("prompt is too long");
  return isTooLong ? `prompt is too long: ${message}` : message;
}
