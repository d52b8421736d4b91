import { describeError } from "../base/errors.ts";
import { CliError } from "./cli-error.ts";
import { exitCodes } from "./exit-codes.ts";
import { callHttp, type HttpCall, type HttpTarget, readText } from "./http-client.ts";
import { errorFromAnswer, parseAnswer } from "./platform.ts";

export interface GatewayQuestion extends Pick<HttpCall, "path" | "body" | "raw"> {
  readonly signal: AbortSignal;
  /** Until the head of the answer is there. Default 11 min: the gateway's own deadlines end first, with an error that says more. */
  readonly timeoutMs?: number;
}

const headTimeoutMs = 660_000;

/**
 * Asks the gateway for one JSON answer.
 * @throws CliError with the gateway's message; the signal's reason when it was stopped.
 */
export async function askGateway(gateway: HttpTarget, question: GatewayQuestion): Promise<unknown> {
  return parseAnswer(await askForText(gateway, question));
}

/** Asks the gateway for an answer as it is, such as subtitles. @throws as `askGateway`. */
export async function askForText(gateway: HttpTarget, question: GatewayQuestion): Promise<string> {
  try {
    const answer = await callHttp(gateway, { method: "POST", timeoutMs: headTimeoutMs, ...question });
    const text = await readText(answer.body);
    if (answer.status !== 200) throw errorFromAnswer(answer.status, parseAnswer(text));
    return text;
  } catch (error) {
    throw brokenOff(error, question.signal);
  }
}

/** What a verb ends with when asking failed: what was said already, or that `what` broke off. */
export function brokenOff(error: unknown, signal: AbortSignal, what = "The gateway"): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof CliError) return error;
  const message = `${what} broke off: ${describeError(error)}.`;
  return new CliError(exitCodes.failed, "backend_unreachable", message, { cause: error });
}
