import { NexusError, toNexusError } from "../base/errors.ts";
import { readBackendError } from "../openai/backend-error.ts";
import { encodeEvent } from "../openai/stream-events.ts";
import { invalidField, type JsonObject, unsupportedField } from "../translate/request-fields.ts";
import { isFinished } from "../translate/responses-background.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { CollectedAnswer } from "./collected-reply.ts";
import { type Exchange, tenantOf } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { sendJson } from "./send-json.ts";
import { translationContext } from "./translation-context.ts";

/** `POST /v1/responses` with `background`: begun, kept, and answered at once. What it comes to is asked for later. */
export async function serveBackground(exchange: Exchange, request: JsonObject, parts: GatewayParts): Promise<void> {
  if (request.store === false) throw invalidField("store", "true where 'background' is");
  if (exchange.request.onBehalfOf !== undefined) {
    throw unsupportedField("background", "A line of a batch is in the background already. Leave out 'background'.");
  }
  const tenant = tenantOf(exchange);
  const { newId, nowSeconds } = translationContext(exchange, parts);
  const opened = await parts.responses.open(tenant, request, newId);
  const id = newId("resp");
  const begun = await parts.background.start({
    id,
    tenant,
    keyId: exchange.caller?.keyId ?? "none",
    request,
    opened,
    nowSeconds,
    class: exchange.request.header("x-nexus-class"),
    trace: exchange.trace,
  });
  if ("status" in begun) return relayRefusal(begun, exchange, parts);
  exchange.notes.push(`made in the background: ${id}`);
  // Nobody knows its name.
  if (exchange.signal.aborted) return await parts.background.cancel(tenant, id);
  if (request.stream === true) return await sendEvents(exchange, parts, { id, after: -1 });
  sendJson(exchange, 200, begun.response);
}

/** The gateway's answer to its own request, as the client would have got it. */
function relayRefusal({ status, headers, body }: CollectedAnswer, exchange: Exchange, parts: GatewayParts): void {
  for (const [name, value] of headers) {
    if (!["content-length", "content-type", "x-request-id"].includes(name)) exchange.reply.setHeader(name, value);
  }
  new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs).failWith(status, readBackendError(body, status));
}

/** `GET /v1/responses/{id}?stream=true`: what an answer has said after an event, and says from now on. */
export async function resumeBackground(
  exchange: Exchange,
  parts: GatewayParts,
  { response, startingAfter }: { readonly response: JsonObject; readonly startingAfter: string | undefined },
): Promise<void> {
  if (response.background !== true) {
    throw unsupportedField("stream", "Only answers that are made in the background can be streamed again.");
  }
  const after = startingAfter === undefined ? -1 : Number(startingAfter);
  if (!Number.isSafeInteger(after) || after < -1) throw invalidField("starting_after", "the number of an event");
  await sendEvents(exchange, parts, { id: String(response.id), after });
}

/** At the speed at which the client reads. Who leaves stops nothing. */
async function sendEvents(
  exchange: Exchange,
  parts: GatewayParts,
  { id, after }: { readonly id: string; readonly after: number },
): Promise<void> {
  exchange.stream = true;
  const client = new ClientAnswer(exchange, parts.settings.timeouts.heartbeatMs);
  client.keepAlive();
  client.openStream();
  try {
    for await (const event of parts.background.events(tenantOf(exchange), id, after)) {
      if (exchange.signal.aborted) return;
      const bytes = Buffer.from(encodeEvent({ event: String(event.type), data: JSON.stringify(event) }, "sse"));
      const { promise: isRead, resolve } = Promise.withResolvers<void>();
      if (client.write(bytes, resolve)) continue;
      exchange.signal.addEventListener("abort", () => resolve(), { once: true });
      await isRead;
    }
    client.endStream();
  } catch (error) {
    client.fail(toNexusError(error));
  } finally {
    client.close();
  }
}

/**
 * `POST /v1/responses/{id}/cancel`. One that is finished stays as it is.
 * @throws NexusError `not_found`, or `conflict` for one that was not made in the background.
 */
export async function cancelBackground(exchange: Exchange, parts: GatewayParts, path: string): Promise<void> {
  const id = path.split("/")[3] ?? "";
  const tenant = tenantOf(exchange);
  const response = await parts.responses.retrieve(tenant, id);
  if (response.background !== true) {
    throw new NexusError("conflict", "Only answers that are made in the background can be cancelled.");
  }
  if (!isFinished(response)) await parts.background.cancel(tenant, id);
  sendJson(exchange, 200, await parts.responses.retrieve(tenant, id));
}
