import type { Transaction } from "kysely";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Database } from "../store/open-database.ts";
import type { Tables } from "../store/tables.ts";
import { type Limits, type LimitsPatch, patchLimits, type TenantRecord } from "./key-record.ts";
import { beginChange, readTenants, toTenant } from "./key-rows-store.ts";
import { newId } from "./key-secret.ts";

/** Creates, changes and lists tenants. They are never deleted: their usage stays theirs. */
export interface TenantStore {
  /** @throws NexusError `conflict` when the name is taken. */
  create(input: { readonly name: string; readonly limits?: Limits | undefined }): Promise<TenantRecord>;
  /** The oldest first. */
  list(): Promise<readonly TenantRecord[]>;
  /** What is left out stays. @throws NexusError `not_found`, or `conflict` when the new name is taken. */
  change(
    idOrName: string,
    change: { readonly name?: string | undefined; readonly limits?: LimitsPatch | undefined },
  ): Promise<TenantRecord>;
}

export function createTenantStore({
  database,
  clock,
}: {
  readonly database: Database;
  readonly clock: Clock;
}): TenantStore {
  return {
    list: () =>
      database.read((db) =>
        readTenants(db, {}, (error) => {
          throw error;
        }),
      ),
    create: ({ name, limits }) =>
      database.write(async (transaction) => {
        const revision = await beginChange(transaction);
        await refuseTakenName(transaction, name);
        const row = {
          id: newId("ten"),
          name,
          limits: JSON.stringify(limits ?? {}),
          created_at: clock.now(),
          revision,
        };
        await transaction.insertInto("tenants").values(row).execute();
        return toTenant(row);
      }),
    change: (idOrName, { name, limits }) =>
      database.write(async (transaction) => {
        const revision = await beginChange(transaction);
        const found = await findTenant(transaction, idOrName);
        if (name !== undefined && name !== found.name) await refuseTakenName(transaction, name);
        const row = {
          ...found,
          name: name ?? found.name,
          limits: limits === undefined ? found.limits : JSON.stringify(patchLimits(toTenant(found).limits, limits)),
          revision,
        };
        await transaction.updateTable("tenants").set(row).where("id", "=", found.id).execute();
        return toTenant(row);
      }),
  };
}

async function findTenant(transaction: Transaction<Tables>, idOrName: string) {
  const found = await transaction
    .selectFrom("tenants")
    .selectAll()
    .where((where) => where.or([where("id", "=", idOrName), where("name", "=", idOrName)]))
    .executeTakeFirst();
  if (found === undefined) throw new NexusError("not_found", `No tenant has the id or name '${idOrName}'.`);
  return found;
}

async function refuseTakenName(transaction: Transaction<Tables>, name: string): Promise<void> {
  const taken = await transaction.selectFrom("tenants").select("id").where("name", "=", name).executeTakeFirst();
  if (taken !== undefined) throw new NexusError("conflict", `A tenant named '${name}' exists: choose another name.`);
}
