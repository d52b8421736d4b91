import { operationById } from "../contract/operations.ts";
import { estimatedHeader, estimateInputTokens } from "../translate/anthropic-count.ts";
import { parseRequest } from "../translate/request-fields.ts";
import { readJsonAsk } from "./ask.ts";
import { readWishes } from "./client-wishes.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { meterRequest } from "./meter-request.ts";
import { knownName, planFor } from "./plan-request.ts";
import { readBody } from "./read-body.ts";
import type { Route } from "./routes.ts";
import { sendJson } from "./send-json.ts";
import { serveAsk, serveOperation } from "./serve-operation.ts";
import { translationContext } from "./translation-context.ts";
import { translators } from "./translators.ts";

const create = operationById("messages.create");
const count = operationById("messages.count_tokens");

/** Anthropic's API: errors in its shape, whoever answers. */
export const anthropicRoutes: readonly Route[] = [
  {
    method: "POST",
    path: create.path,
    operation: create.id,
    access: "models",
    serve: (exchange, parts) => serveOperation(exchange, { operation: create, isNative: true, translators }, parts),
  },
  {
    method: "POST",
    path: count.path,
    operation: count.id,
    access: "models",
    serve: serveCount,
  },
];

/** Nothing is made for it, whoever counts. */
const nothingUsed = { promptTokens: 0, completionTokens: 0 };

/**
 * Counted by a server of the model that counts, else estimated here, which the answer says in a header. Either way it is
 * a request of its key's like any other, that uses no tokens.
 */
async function serveCount(exchange: Exchange, parts: GatewayParts): Promise<void> {
  readWishes(exchange);
  const body = await readBody(exchange, parts.settings.bodyBytesMax);
  exchange.readAt = exchange.clock.monotonic();
  const context = translationContext(exchange, parts);
  const read = readJsonAsk({ operation: count, body, isNative: true, translators: [], context });
  const ask = { ...read, amounts: nothingUsed };
  const question = { exchange, ask, parts };
  const plan = planFor(question);
  const { failure } = plan;
  // What nobody has, or this key may not use, is an error as it is everywhere.
  if (failure === undefined || failure.code === "model_not_found" || failure.code === "permission_denied") {
    await serveAsk(exchange, ask, parts);
    return;
  }
  exchange.plan = plan;
  exchange.model = knownName(question, plan);
  await meterRequest(question);
  const tokens = estimateInputTokens(parseRequest(body));
  exchange.reply.setHeader(estimatedHeader, "true");
  sendJson(exchange, 200, { input_tokens: tokens });
}
