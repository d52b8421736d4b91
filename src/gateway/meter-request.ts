import { NexusError } from "../base/errors.ts";
import type { UsedAmounts } from "../keys/usage.ts";
import { requireAllowed } from "./authenticate.ts";
import type { Question } from "./dispatch.ts";

/** Bytes of a request that are at least one token: most text has three to five a token, JSON around it costs little. */
const bytesPerToken = 3;
/** What an answer is held to be at most when the request does not bound it. */
const answerTokens = 1_024;

/**
 * Holds a request to what its key may do and use, and counts what it will have used when the exchange ends. Called once
 * it is known that the model exists.
 * @throws NexusError `permission_denied`, `rate_limit_exceeded` or `insufficient_quota`.
 */
export async function meterRequest(question: Question): Promise<void> {
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
  const decision = metered instanceof Promise ? await metered : metered;
  for (const name of Object.keys(decision.headers)) exchange.reply.setHeader(name, decision.headers[name] ?? "");
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
