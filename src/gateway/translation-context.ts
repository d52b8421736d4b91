import { randomBytes } from "node:crypto";
import type { TranslationContext } from "../translate/translation.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayParts } from "./gateway-parts.ts";

/** What translations of an exchange's request may know of the world. */
export function translationContext(exchange: Exchange, parts: GatewayParts): TranslationContext {
  const { clock, startedAt } = exchange;
  return {
    newId: (prefix) => `${prefix}_${randomBytes(12).toString("hex")}`,
    nowSeconds: Math.floor(clock.now() / 1_000),
    elapsedMs: () => clock.monotonic() - startedAt,
    hasModel: (name) =>
      parts.index().offers.has(name) || Object.hasOwn(parts.aliases, name) || parts.routes.exact.has(name),
  };
}
