import { NexusError } from "../base/errors.ts";
import type { Metered } from "../keys/meter.ts";
import type { UsedAmounts } from "../keys/usage.ts";
import { requireAllowed } from "./authenticate.ts";
import type { Question } from "./plan-request.ts";

/** Bytes of a request that are at least one token: most text has three to five a token, JSON around it costs little. */
const bytesPerToken = 3;
/** What an answer is held to be at most when the request does not bound it. */
const answerTokens = 1_024;

/**
 * Holds a request to what its key may do and use, and counts what it will have used when the exchange ends. Called once
 * it is known that the model exists. At once, except for a key's first request in a while when it has a budget.
 * @throws NexusError `permission_denied`, `rate_limit_exceeded` or `insufficient_quota`, or rejects with it.
 */
export function meterRequest(question: Question): void | Promise<void> {
  const { exchange, ask, parts } = question;
  const { caller } = exchange;
  if (caller !== undefined) requireAllowed(caller, exchange.operation, ask.model);
  if (caller?.key !== undefined) exchange.class = caller.key.priorityOf(exchange.class);
  const metered = parts.meter.admit({
    key: caller?.key,
    operation: exchange.operation,
    model: exchange.model ?? ask.model,
    estimate: estimateOf(question),
  });
  if (metered instanceof Promise) return metered.then((decision) => take(decision, question));
  take(metered, question);
}

function take(decision: Metered, { exchange, ask }: Question): void {
  const { headers } = decision;
  for (const name in headers) exchange.reply.setHeader(name, headers[name] ?? "");
  if (!decision.ok) {
    const { code, message, retryAfterSeconds } = decision;
    throw new NexusError(code, message, { retryAfterSeconds });
  }
  exchange.onEnd(() => {
    const { served } = exchange;
    exchange.costMicroUsd = decision.finish({
      served,
      used: served === undefined ? {} : { ...exchange.usage, ...ask.amounts },
      isError: exchange.errorCode !== undefined,
    });
  });
}

/** What a request may use at most, as far as its body tells. */
function estimateOf({ ask }: Question): UsedAmounts {
  return {
    promptTokens: Math.ceil(ask.bytes / bytesPerToken),
    completionTokens: ask.answerTokensMax ?? answerTokens,
    ...ask.amounts,
  };
}
