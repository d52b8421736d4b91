import { NexusError } from "../base/errors.ts";
import { operationById } from "../contract/operations.ts";
import { collectResponse, finalResponse } from "../translate/collect-response.ts";
import { type JsonObject, parseRequest } from "../translate/request-fields.ts";
import { withoutStore } from "../translate/responses-history.ts";
import { type Ask, readJsonAsk } from "./ask.ts";
import { type Exchange, tenantOf } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { readBody } from "./read-body.ts";
import type { AnswerObserver } from "./relay-answer.ts";
import { sendJson } from "./send-json.ts";
import { serveAsk } from "./serve-operation.ts";
import type { OpenedRequest, StoredResponses } from "./stored-responses.ts";
import { translationContext } from "./translation-context.ts";
import { translators } from "./translators.ts";

/** What the answers of the Responses API need besides what every request does. */
export interface ResponsesParts extends GatewayParts {
  readonly responses: StoredResponses;
}

/** `POST /v1/responses`: with what it builds on out of the store, and kept there once it is answered. */
export async function serveResponses(exchange: Exchange, parts: ResponsesParts): Promise<void> {
  const body = await readBody(exchange, parts.settings.bodyBytesMax);
  exchange.readAt = exchange.clock.monotonic();
  const { newId } = translationContext(exchange, parts);
  const opened = await parts.responses.open(tenantOf(exchange), parseRequest(body), newId);
  await serveAsk(exchange, askFor(opened, exchange, parts), parts, keeper(opened, exchange, parts));
}

/** A backend that speaks Responses gets the conversation without our ids; a translation may repeat them. */
function askFor({ request }: OpenedRequest, exchange: Exchange, parts: GatewayParts): Ask {
  return readJsonAsk({
    operation: operationById("responses.create"),
    body: Buffer.from(JSON.stringify(withoutStore(request))),
    isNative: true,
    translators: translators.map((translator) =>
      translator.from === "responses.create"
        ? { ...translator, translate: (_, context) => translator.translate(request, context) }
        : translator,
    ),
    context: translationContext(exchange, parts),
  });
}

/** Keeps the answer when its end goes out to the client. One that cannot be kept is still an answer. */
function keeper(opened: OpenedRequest, exchange: Exchange, { responses }: ResponsesParts): AnswerObserver {
  const keep = (response: JsonObject | undefined): void => {
    if (response === undefined) return;
    responses.keep(tenantOf(exchange), opened, response).catch((error: unknown) => {
      exchange.log.warn({ error }, "the response is not stored");
    });
  };
  return {
    event: (event) => keep(finalResponse(event)),
    whole: (body) => keep(collectResponse(body)),
  };
}

/**
 * `GET` and `DELETE /v1/responses/{id}`, `POST /v1/responses/{id}/cancel`, `GET /v1/responses/{id}/input_items`.
 * @throws NexusError `not_found`, or `unknown_url` for other paths.
 */
export async function serveStoredResponse(exchange: Exchange, { responses }: ResponsesParts): Promise<void> {
  const { pathname, searchParams } = new URL(exchange.request.target, "http://gateway");
  const [id = "", ...steps] = pathname.slice("/v1/responses/".length).split("/");
  const query = Object.fromEntries(searchParams);
  const serve = storedSteps[[exchange.request.method, ...steps].join(" ")];
  if (serve === undefined) {
    throw new NexusError("unknown_url", "There is nothing here. GET /openapi.json lists what there is.");
  }
  sendJson(exchange, 200, await serve(responses, { tenant: tenantOf(exchange), id, query }));
}

interface StoredQuestion {
  readonly tenant: string;
  readonly id: string;
  readonly query: Readonly<Record<string, string>>;
}

/** By method and what comes after the id. */
const storedSteps: Readonly<Record<string, (responses: StoredResponses, question: StoredQuestion) => Promise<object>>> =
  {
    GET: (responses, { tenant, id, query }) => responses.retrieve(tenant, id, query),
    DELETE: (responses, { tenant, id }) => responses.remove(tenant, id),
    "POST cancel": (responses, { tenant, id }) => responses.cancel(tenant, id),
    "GET input_items": (responses, { tenant, id, query }) => responses.inputItems(tenant, id, query),
  };
