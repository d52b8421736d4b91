import { NexusError } from "../base/errors.ts";
import type { BodyKind } from "../contract/operations.ts";
import { readBackendError } from "../openai/backend-error.ts";
import type { Translator } from "../translate/translation.ts";
import { type Ask, type AskedOperation, readFormAsk, readJsonAsk } from "./ask.ts";
import { ClientAnswer } from "./client-answer.ts";
import { readWishes } from "./client-wishes.ts";
import { type Begun, dispatch, httpOpener } from "./dispatch.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { readBody } from "./read-body.ts";
import { type AnswerObserver, relayAnswer } from "./relay-answer.ts";
import { translationContext } from "./translation-context.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

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
  const { operation } = understanding;
  readWishes(exchange);
  const body = await readBody(exchange, parts.settings.bodyBytesMax, { mediaTypes: mediaTypesOf[operation.body] });
  exchange.readAt = exchange.clock.monotonic();
  const contentType = exchange.request.header("content-type") ?? "";
  const ask = isForm(contentType)
    ? readFormAsk(operation, body, contentType)
    : readJsonAsk({ ...understanding, body, context: translationContext(exchange, parts) });
  await serveAsk(exchange, ask, parts);
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
  try {
    const begun = await dispatch(question, httpOpener(question), () => {
      if (exchange.stream) client.keepAlive();
    });
    await relayBegun(begun, exchange, client, observer);
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

async function relayBegun(
  begun: Begun<UpstreamAnswer>,
  exchange: Exchange,
  client: ClientAnswer,
  observer: AnswerObserver | undefined,
): Promise<void> {
  const { answer, way } = begun;
  try {
    if (answer.status < 300) await relayAnswer({ exchange, answer, client, way, observer });
    else await relayRefusal(exchange, answer, client);
    begun.succeed();
  } catch (error) {
    if (error instanceof NexusError && error.source === "service") begun.breakOff(error.message);
    throw error;
  } finally {
    begun.withdraw();
  }
}

/** Errors that the backend has with the request itself, in the client's shape whatever shape they came in. */
async function relayRefusal(exchange: Exchange, answer: UpstreamAnswer, client: ClientAnswer): Promise<void> {
  const body = await collect(answer);
  const said = readBackendError(body, answer.status);
  if (answer.status < 500) {
    client.failWith(answer.status, said);
    return;
  }
  exchange.errorDetail = said.error.message;
  client.fail(
    new NexusError("backend_error", `The service failed with status ${answer.status}.`, { source: "service" }),
  );
}

const errorBodyBytesMax = 64 * 1024;

function collect(answer: UpstreamAnswer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  answer.pipe({
    data(chunk) {
      bytes += chunk.length;
      if (bytes <= errorBodyBytesMax) chunks.push(chunk);
      return true;
    },
    end: () => resolve(Buffer.concat(chunks)),
    fail: reject,
  });
  return promise;
}
