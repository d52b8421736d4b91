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

/** Types that an Anthropic-speaking backend has given already. */
const ownTypes = new Set([...Object.values(typesByStatus), "invalid_request_error", "api_error"]);

/** Anthropic's API: errors say `type: "error"` at their top, and a stream that breaks ends with an event of that name. */
export const anthropicDialect: ClientDialect = {
  id: "anthropic",
  framing: "sse",
  errorBody: toErrorObject,
  errorEvent: (error, status) => ({ event: "error", data: JSON.stringify(toErrorObject(error, status)) }),
};

function toErrorObject({ error }: ErrorBody, status: number): object {
  return { type: "error", error: { type: errorType(error.type, status), message: messageOf(error) } };
}

function errorType(given: string, status: number): string {
  const byStatus = typesByStatus[status] ?? (status < 500 ? "invalid_request_error" : "api_error");
  return ownTypes.has(given) && status >= 400 && status < 500 && byStatus === "invalid_request_error"
    ? given
    : byStatus;
}

/** Clients such as Claude Code shorten a conversation by themselves when they read Anthropic's words for a full window. */
function messageOf({ code, message }: ErrorBody["error"]): string {
  const isTooLong = code === "context_length_exceeded" && !message.startsWith("prompt is too long");
  return isTooLong ? `prompt is too long: ${message}` : message;
}
