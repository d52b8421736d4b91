import { closeNames } from "../base/close-names.ts";
import { NexusError } from "../base/errors.ts";
import { type AnthropicModelSource, anthropicModel, anthropicModelPage } from "../translate/anthropic-models.ts";
import { modelsAllowed } from "./authenticate.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { findModel, type ListedModel, listModels } from "./list-models.ts";
import { queryOf } from "./page-query.ts";
import { sendJson } from "./send-json.ts";

/** `GET /v1/models`: what the key may ask for, in the client's shape. */
export function serveModels(exchange: Exchange, parts: GatewayParts): void {
  const data = listModels(parts, modelsAllowed(exchange));
  const isAnthropic = exchange.dialect.id === "anthropic";
  sendJson(
    exchange,
    200,
    isAnthropic ? anthropicModelPage(data.map(toSource), queryOf(exchange)) : { object: "list", data },
  );
}

/** `GET /v1/models/{id}`; ids may contain slashes, escaped or not. */
export function serveModel(exchange: Exchange, parts: GatewayParts, path: string): void {
  const name = decode(path.slice("/v1/models/".length));
  const isAllowed = modelsAllowed(exchange);
  const model = isAllowed(name) ? findModel(name, parts) : undefined;
  if (model === undefined) {
    const close = closeNames(name, parts.index().offers.keys(), 10).filter(isAllowed).slice(0, 3);
    const hint = close.length === 0 ? "GET /v1/models lists what there is." : `Close: ${close.join(", ")}.`;
    throw new NexusError("model_not_found", `There is no model '${name.slice(0, 256)}'. ${hint}`, { param: "model" });
  }
  sendJson(exchange, 200, exchange.dialect.id === "anthropic" ? anthropicModel(toSource(model)) : model);
}

function toSource({ id, context_window, created, nexus }: ListedModel): AnthropicModelSource {
  return { name: id, domains: nexus.domains, contextWindow: context_window, createdSeconds: created };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new NexusError("invalid_request", "The model id in the path is not valid percent-encoding.", { cause });
  }
}
