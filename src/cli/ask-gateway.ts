import { describeError } from "../base/errors.ts";
import { CliError } from "./cli-error.ts";
import { exitCodes } from "./exit-codes.ts";
import { callHttp, type HttpTarget, readText } from "./http-client.ts";
import { errorFromAnswer, parseAnswer } from "./platform.ts";

export interface GatewayQuestion {
  readonly path: string;
  readonly body: object;
  readonly signal: AbortSignal;
}

/** The gateway's own deadlines end first, with an error that says more. */
const headTimeoutMs = 660_000;

/**
 * Asks the gateway for one JSON answer.
 * @throws CliError with the gateway's message; the signal's reason when it was stopped.
 */
export async function askGateway(gateway: HttpTarget, { path, body, signal }: GatewayQuestion): Promise<unknown> {
  try {
    const answer = await callHttp(gateway, { method: "POST", path, body, signal, timeoutMs: headTimeoutMs });
    const value = parseAnswer(await readText(answer.body));
    if (answer.status !== 200) throw errorFromAnswer(answer.status, value);
    return value;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof CliError) throw error;
    const message = `The gateway broke off: ${describeError(error)}.`;
    throw new CliError(exitCodes.failed, "backend_unreachable", message, { cause: error });
  }
}
