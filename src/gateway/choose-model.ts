import { NexusError } from "../base/errors.ts";
import type { Ask } from "./ask.ts";
import { modelsAllowed } from "./authenticate.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";

/** Names that an error lists. */
const listedMax = 10;

/**
 * The request with its model: the one that is named, or the only one that there is for the operation.
 * @throws NexusError `missing_model` when the client must choose, `model_not_found` when there is none.
 */
export function chooseModel(ask: Ask, exchange: Exchange, parts: Pick<GatewayParts, "index">): Ask {
  if (ask.model !== "") return ask;
  const { id } = ask.operation;
  const [model, ...others] = modelsFor(ask, exchange, parts);
  if (model === undefined) {
    throw new NexusError("model_not_found", `There is no model for ${id}. GET /v1/models lists what there is.`, {
      param: "model",
    });
  }
  if (others.length === 0) return { ...ask, model };
  const names = [model, ...others].slice(0, listedMax).map((name) => `'${name}'`);
  const more = others.length >= listedMax ? " and others" : "";
  throw new NexusError("missing_model", `Name the model: for ${id} there are ${names.join(", ")}${more}.`, {
    param: "model",
  });
}

/** Ids of the models that the caller may use for it, whether they work just now or not. */
function modelsFor({ operation }: Ask, exchange: Exchange, { index }: Pick<GatewayParts, "index">): readonly string[] {
  const isAllowed = modelsAllowed(exchange);
  const ids = new Set<string>();
  for (const offers of index().offers.values()) {
    for (const { model, record } of offers) {
      const isFit = model.domains.some((domain) => operation.domains.includes(domain));
      const isOffered = record.metadata.endpoints.some((endpoint) => endpoint.operation_id === operation.id);
      if (isFit && isOffered && isAllowed(model.id)) ids.add(model.id);
    }
  }
  return [...ids].sort();
}
