import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toErrorBody } from "../base/error-body.ts";
import { type ErrorCode, errorTable, NexusError } from "../base/errors.ts";
import { anthropicDialect } from "./anthropic-dialect.ts";

const codes = Object.keys(errorTable) as ErrorCode[];

function typeOf(code: ErrorCode): string {
  const error = new NexusError(code, "No.");
  const body = anthropicDialect.errorBody(toErrorBody(error), error.status, "req_1") as { error: { type: string } };
  return body.error.type;
}

// proves: clients.anthropic
describe("errors in Anthropic's words", () => {
  it("have Anthropic's type for every code of the platform", () => {
    const types = Object.fromEntries(codes.map((code) => [code, typeOf(code)]));
    const known = ["invalid_request", "authentication", "billing", "permission", "not_found", "rate_limit", "timeout"];
    const names = new Set([
      ...known.map((name) => `${name}_error`),
      "request_too_large",
      "api_error",
      "overloaded_error",
    ]);
    for (const [code, type] of Object.entries(types)) assert.ok(names.has(type), `${code}: ${type}`);
    const { invalid_request, unsupported_feature, model_not_found, missing_api_key, permission_denied } = types;
    assert.deepEqual(
      [invalid_request, unsupported_feature, model_not_found, missing_api_key, permission_denied],
      ["invalid_request_error", "invalid_request_error", "not_found_error", "authentication_error", "permission_error"],
    );
    const { request_too_large, queue_full, internal_error, backend_error, no_instance_available } = types;
    assert.deepEqual(
      [request_too_large, queue_full, internal_error, backend_error, no_instance_available],
      ["request_too_large", "rate_limit_error", "api_error", "api_error", "overloaded_error"],
    );
    assert.equal(types.first_token_timeout, "timeout_error");
  });

  it("say the request's id, and are an event of their own in a stream", () => {
    const error = toErrorBody(new NexusError("queue_full", "Come back later."));
    const body = {
      type: "error",
      error: { type: "rate_limit_error", message: "Come back later." },
      request_id: "req_1",
    };
    assert.deepEqual(anthropicDialect.errorBody(error, 429, "req_1"), body);
    const event = anthropicDialect.errorEvent(error, 429, "req_1");
    assert.equal(event.event, "error");
    assert.deepEqual(JSON.parse(event.data), body);
  });

  it("tell of a full window in the words that clients look for", () => {
    const error = toErrorBody(new NexusError("context_length_exceeded", "9 tokens do not fit into 8."));
    assert.deepEqual((anthropicDialect.errorBody(error, 400, "req_1") as { error: object }).error, {
      type: "invalid_request_error",
      message: "prompt is too long: 9 tokens do not fit into 8.",
    });
  });
});
