import { NexusError } from "../base/errors.ts";
import type { Page, PageQuery } from "../objects/page-store.ts";
import type { Exchange } from "./exchange.ts";

/** The query of a request's address. */
export function queryOf(exchange: Exchange): URLSearchParams {
  return new URL(exchange.request.target, "http://gateway").searchParams;
}

/** `limit`, `after` and `order` of a list, as OpenAI has them. @throws NexusError `invalid_request` */
export function readPageQuery(
  exchange: Exchange,
  { usual, max }: { readonly usual: number; readonly max: number },
): PageQuery {
  const query = queryOf(exchange);
  const limit = Number(query.get("limit") ?? usual);
  if (!Number.isInteger(limit) || limit < 1 || limit > max) throw wrong("limit", `a number from 1 to ${max}`);
  const order = query.get("order") ?? "desc";
  if (order !== "asc" && order !== "desc") throw wrong("order", '"asc" or "desc"');
  return { limit, order, after: query.get("after") ?? undefined };
}

function wrong(param: string, wanted: string): NexusError {
  return new NexusError("invalid_request", `'${param}' must be ${wanted}.`, { param });
}

/** One page as OpenAI's lists are. */
export function toList({ entries, hasMore }: Page<{ readonly id?: unknown }>): object {
  return {
    object: "list",
    data: entries,
    first_id: entries.at(0)?.id ?? null,
    last_id: entries.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}
