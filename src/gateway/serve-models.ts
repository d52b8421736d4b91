import { closeNames } from "../base/close-names.ts";
import { NexusError } from "../base/errors.ts";
import { modelsAllowed } from "./authenticate.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { findModel, listModels } from "./list-models.ts";
import { sendJson } from "./send-json.ts";

/** `GET /v1/models`: what the key may ask for. */
export function serveModels(exchange: Exchange, parts: GatewayParts): void {
  sendJson(exchange, 200, { object: "list", data: listModels(parts, modelsAllowed(exchange)) });
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
  sendJson(exchange, 200, model);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new NexusError("invalid_request", "The model id in the path is not valid percent-encoding.", { cause });
  }
}
