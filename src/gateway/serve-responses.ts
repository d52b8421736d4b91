import { describeError } from "../base/errors.ts";
import { operationById } from "../contract/operations.ts";
import { collectResponse, finalResponse } from "../translate/collect-response.ts";
import { type JsonObject, parseRequest } from "../translate/request-fields.ts";
import { withoutStore } from "../translate/responses-history.ts";
import { asAsked } from "../translate/responses-native.ts";
import { type Ask, readJsonAsk, type Way } from "./ask.ts";
import { readWishes } from "./client-wishes.ts";
import { type Exchange, tenantOf } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { HeldReply } from "./held-reply.ts";
import { queryOf } from "./page-query.ts";
import type { AnswerObserver } from "./pipe-answer.ts";
import { readBody } from "./read-body.ts";
import type { Route } from "./routes.ts";
import { sendJson } from "./send-json.ts";
import { cancelBackground, resumeBackground, serveBackground } from "./serve-background.ts";
import { serveAsk } from "./serve-operation.ts";
import type { OpenedRequest, StoredResponses } from "./stored-responses.ts";
import { translationContext } from "./translation-context.ts";
import { translators } from "./translators.ts";

type Serve = Route["serve"];

/** `POST /v1/responses`: with what it builds on out of the store, and kept there once it is answered. */
export async function serveResponses(exchange: Exchange, parts: GatewayParts): Promise<void> {
  readWishes(exchange);
  const request = parseRequest(await readBody(exchange, parts.settings.bodyBytesMax));
  exchange.readAt = exchange.clock.monotonic();
  if (request.background === true) return await serveBackground(exchange, request, parts);
  const { newId } = translationContext(exchange, parts);
  const opened = await parts.responses.open(tenantOf(exchange), request, newId);
  await serveAsk(exchange, askFor(opened, exchange, parts), parts, keeper(opened, exchange, parts));
}

/** A backend that speaks Responses gets the conversation without our ids; a translation may repeat them. */
function askFor({ request }: OpenedRequest, exchange: Exchange, parts: GatewayParts): Ask {
  const operation = operationById("responses.create");
  const body = Buffer.from(JSON.stringify(withoutStore(request)));
  const ask = readJsonAsk({
    operation,
    body,
    isNative: true,
    translators: translators.map((translator) =>
      translator.from === "responses.create"
        ? { ...translator, translate: (_, context) => translator.translate(request, context) }
        : translator,
    ),
    context: translationContext(exchange, parts),
  });
  const back = asAsked(request, body);
  const corrected = (way: Way): Way => ({
    operationId: way.operationId,
    contentType: way.contentType,
    bodyFor: (model) => way.bodyFor(model),
    translation: () => back,
  });
  const ways = ask.ways.map((way) => (way.operationId === operation.id ? corrected(way) : way));
  return { ...ask, ways };
}

/** The next request may build on an answer as soon as it is there, so its end waits for the store; but not for long. */
const keepWithinMs = 1_500;

/** Keeps the answer before its end goes out. One that cannot be kept is still an answer, and its record says so. */
function keeper(opened: OpenedRequest, exchange: Exchange, { responses }: GatewayParts): AnswerObserver {
  const reply = new HeldReply(exchange.reply);
  exchange.reply = reply;
  const keep = async (response: JsonObject): Promise<void> => {
    const { promise: isLate, resolve } = Promise.withResolvers<"late">();
    const cancel = exchange.clock.after(keepWithinMs, () => resolve("late"));
    try {
      const outcome = await Promise.race([responses.keep(tenantOf(exchange), opened, response), isLate]);
      if (outcome === "late") exchange.notes.push("not stored: the database did not answer in time");
    } catch (error) {
      exchange.notes.push(`not stored: ${describeError(error)}`);
    } finally {
      cancel();
    }
  };
  const keepIfWhole = (response: JsonObject | undefined): void => {
    if (response !== undefined) reply.holdUntil(keep(response));
  };
  return {
    event: (event) => keepIfWhole(finalResponse(event)),
    whole: (body) => keepIfWhole(collectResponse(body)),
  };
}

interface StoredQuestion {
  readonly tenant: string;
  readonly id: string;
  readonly query: Readonly<Record<string, string>>;
}

/** An operation on the answer that the path names. */
function onStored(answer: (stored: StoredResponses, question: StoredQuestion) => Promise<object>): Serve {
  return async (exchange, { responses }, path) => {
    const query = Object.fromEntries(new URL(exchange.request.target, "http://gateway").searchParams);
    const id = path.split("/")[3] ?? "";
    sendJson(exchange, 200, await answer(responses, { tenant: tenantOf(exchange), id, query }));
  };
}

/** `GET /v1/responses/{id}`: as it stands, or what it says from now on. */
async function retrieve(exchange: Exchange, parts: GatewayParts, path: string): Promise<void> {
  const response = await parts.responses.retrieve(tenantOf(exchange), path.split("/")[3] ?? "");
  const query = queryOf(exchange);
  if (query.get("stream") !== "true") return sendJson(exchange, 200, response);
  await resumeBackground(exchange, parts, { response, startingAfter: query.get("starting_after") ?? undefined });
}

/** What clients do with stored answers, by operation. Each throws NexusError `not_found` for what is not theirs. */
export const serveStoredResponses = {
  "responses.retrieve": retrieve,
  "responses.delete": onStored((stored, { tenant, id }) => stored.remove(tenant, id)),
  "responses.cancel": cancelBackground,
  "responses.input_items.list": onStored((stored, { tenant, id, query }) => stored.inputItems(tenant, id, query)),
} as const satisfies Readonly<Record<string, Serve>>;
