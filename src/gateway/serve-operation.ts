import { NexusError } from "../base/errors.ts";
import type { BodyKind } from "../contract/operations.ts";
import type { Translator } from "../translate/translation.ts";
import { answerRequest } from "./answer-request.ts";
import { type Ask, type AskedOperation, readFormAsk, readJsonAsk } from "./ask.ts";
import { chooseModel } from "./choose-model.ts";
import { ClientAnswer } from "./client-answer.ts";
import { readWishes } from "./client-wishes.ts";
import { dispatch } from "./dispatch.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { httpOpener } from "./http-opener.ts";
import { meterRequest } from "./meter-request.ts";
import type { AnswerObserver } from "./pipe-answer.ts";
import { readBody } from "./read-body.ts";
import { translationContext } from "./translation-context.ts";

/** How an operation is understood. */
export interface Understanding {
  readonly operation: AskedOperation;
  readonly isNative: boolean;
  readonly translators: readonly Translator[];
}

const json = "application/json";
const form = "multipart/form-data";
const mediaTypesOf: Readonly<Record<BodyKind, readonly string[]>> = {
  json: [json],
  multipart: [form],
  either: [json, form],
  none: [],
};

function isForm(contentType: string): boolean {
  return contentType.toLowerCase().startsWith(form);
}

/** Serves an operation that instances offer: read, scan, plan, try, relay. Streams and whole answers alike. */
export async function serveOperation(
  exchange: Exchange,
  understanding: Understanding,
  parts: GatewayParts,
): Promise<void> {
  await serveAsk(exchange, await readAsk(exchange, understanding, parts), parts);
}

/** Reads what a request asks of the fleet. @throws NexusError when it is no such request. */
export async function readAsk(exchange: Exchange, understanding: Understanding, parts: GatewayParts): Promise<Ask> {
  const { operation } = understanding;
  const body = await readRequest(exchange, operation, parts);
  const contentType = exchange.request.header("content-type") ?? "";
  const ask = isForm(contentType)
    ? readFormAsk(operation, body, contentType)
    : readJsonAsk({ ...understanding, body, context: translationContext(exchange, parts) });
  return chooseModel(ask, exchange, parts);
}

/** The body of a request for an operation, of the media type that it takes, and what the head wishes. */
export async function readRequest(
  exchange: Exchange,
  operation: Pick<AskedOperation, "body">,
  parts: GatewayParts,
): Promise<Buffer> {
  readWishes(exchange);
  const body = await readBody(exchange, parts.settings.bodyBytesMax, { mediaTypes: mediaTypesOf[operation.body] });
  exchange.readAt = exchange.clock.monotonic();
  return body;
}

/** Serves what was read: plan, wait, try, relay. `observer` sees the answer as the client gets it. */
export async function serveAsk(
  exchange: Exchange,
  ask: Ask,
  parts: GatewayParts,
  observer?: AnswerObserver,
): Promise<void> {
  exchange.stream = ask.stream;
  const question = { exchange, ask, parts };
  const client = new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs);
  const closeRequest = parts.retryBudget.openRequest();
  const keepAlive = () => {
    if (exchange.stream) client.keepAlive();
  };
  try {
    const begun = await dispatch(question, httpOpener(question), () => {
      const metering = meterRequest(question);
      return metering === undefined ? keepAlive() : metering.then(keepAlive);
    });
    await answerRequest(begun, question, client, observer);
  } catch (error) {
    if (!(error instanceof NexusError)) throw error;
    exchange.errorDetail = error.detail;
    exchange.errorCode = error.code;
    if (error.code !== "client_closed") client.fail(error);
  } finally {
    client.close();
    closeRequest();
  }
}
