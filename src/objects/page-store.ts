import { type Kysely, type RawBuilder, sql } from "kysely";
import { NexusError } from "../base/errors.ts";
import type { Tables } from "../store/tables.ts";

/** Which part of a list a client asks for. */
export interface PageQuery {
  readonly limit: number;
  /** Id of the entry before the first one. */
  readonly after?: string | undefined;
  /** By the time of their making. */
  readonly order: "asc" | "desc";
}

export interface Page<T> {
  readonly entries: readonly T[];
  readonly hasMore: boolean;
}

interface PagedTable {
  readonly created_at: number;
  readonly id: string;
}

/**
 * One page of a tenant's rows. `only` narrows them further.
 * @throws NexusError `invalid_request` when there is no `after` among them.
 */
export async function readPage<N extends "jobs" | "files" | "batches">(
  db: Kysely<Tables>,
  {
    table,
    tenant,
    only = sql`true`,
  }: { readonly table: N; readonly tenant: string; readonly only?: RawBuilder<unknown> },
  { limit, after, order }: PageQuery,
): Promise<Page<Tables[N]>> {
  const mine = sql`from ${sql.table(table)} where tenant_id = ${tenant} and ${only}`;
  let beyond = sql`true`;
  if (after !== undefined) {
    const found = await sql<PagedTable>`select created_at, id ${mine} and id = ${after}`.execute(db);
    const [cursor] = found.rows;
    if (cursor === undefined) {
      throw new NexusError("invalid_request", "'after' must be the id of an entry of this list.", { param: "after" });
    }
    const side = sql.raw(order === "asc" ? ">" : "<");
    beyond = sql`(created_at, id) ${side} (${cursor.created_at}, ${cursor.id})`;
  }
  const direction = sql.raw(order);
  const { rows } = await sql<Tables[N]>`
    select * ${mine} and ${beyond} order by created_at ${direction}, id ${direction} limit ${limit + 1}`.execute(db);
  return { entries: rows.slice(0, limit), hasMore: rows.length > limit };
}
