import { NexusError } from "../base/errors.ts";
import { AttemptFailure, type AttemptFailureKind } from "../resilience/attempt-failure.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

/** Answers that another instance may better. 500 is not one: a request that crashes a server would crash them all. */
export function refusalOf(answer: Pick<UpstreamAnswer, "status" | "headers">): AttemptFailure | undefined {
  const { status } = answer;
  const detail = `status ${status}`;
  const make = (error: NexusError, kind: AttemptFailureKind = "status") => new AttemptFailure(kind, error, status);
  const options = { detail, source: "service" } as const;
  switch (status) {
    case 401:
    case 403:
      return make(new NexusError("backend_error", "The service does not accept the platform's key for it.", options));
    case 404:
      return make(
        new NexusError("model_not_found", "The service no longer offers this model.", { ...options, param: "model" }),
      );
    case 429: {
      const retryAfterSeconds = retryAfterOf(answer) ?? 1;
      return make(
        new NexusError("rate_limit_exceeded", "The service is at its limit.", { ...options, retryAfterSeconds }),
      );
    }
    // llama.cpp without `--embeddings` or `--reranking`, for one.
    case 501:
      return make(
        new NexusError(
          "unsupported_feature",
          "The service says that it does not do this: it may have to be started with an option for it.",
          options,
        ),
      );
    case 502:
    case 504:
      return make(new NexusError("backend_error", `The service answered with status ${status}.`, options));
    // Anthropic says 529 when it has too much to do.
    case 529:
    case 503: {
      const retryAfterSeconds = retryAfterOf(answer) ?? 2;
      return make(
        new NexusError("no_instance_available", "The service is not ready.", { ...options, retryAfterSeconds }),
      );
    }
    default:
      return undefined;
  }
}

function retryAfterOf(answer: Pick<UpstreamAnswer, "headers">): number | undefined {
  const seconds = Number(answer.headers["retry-after"]);
  return Number.isInteger(seconds) && seconds >= 0 && seconds <= 86_400 ? seconds : undefined;
}
