import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { parseOrThrow } from "../contract/parse.ts";
import { dayOf, periodAt } from "../keys/budget-period.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { TenantStore } from "../keys/tenant-store.ts";
import type { UsageSums } from "../keys/usage.ts";
import { type UsageDimension, type UsageLine, type UsageStore, usageDimensions } from "../keys/usage-store.ts";
import type { ControlRoutes } from "./server.ts";

const day = z.iso.date();
const querySchema = z.strictObject({
  by: z
    .string()
    .default("key")
    .transform((text) => text.split(","))
    .pipe(z.array(z.enum(usageDimensions)).max(usageDimensions.length)),
  from: day.optional(),
  to: day.optional(),
  key: z.string().max(128).optional(),
  tenant: z.string().max(128).optional(),
  model: z.string().max(256).optional(),
});

/** Usage with the names that belong to the ids. */
export type NamedUsageLine = UsageLine & { readonly key_name?: string | null; readonly tenant_name?: string | null };

export interface UsageReport {
  /** Days in UTC, both inclusive. */
  readonly from: string;
  readonly to: string;
  readonly by: readonly UsageDimension[];
  readonly usage: readonly NamedUsageLine[];
  readonly total: UsageSums;
}

export interface UsageRoutesOptions {
  readonly usage: UsageStore;
  readonly keys: Pick<KeyStore, "list">;
  readonly tenants: Pick<TenantStore, "list">;
  readonly clock: Clock;
}

/** `GET /v1/nexus/usage?by=key,day&from=2026-11-01&to=2026-11-30&key=laptop`: this month by default. */
export function usageRoutes({ usage, keys, tenants, clock }: UsageRoutesOptions): ControlRoutes {
  return (server) => {
    server.get("/v1/nexus/usage", async (request): Promise<UsageReport> => {
      const query = parseOrThrow(querySchema, request.query, "invalid_request", "The query");
      const from = query.from ?? periodAt("month", clock.now()).firstDay;
      const to = query.to ?? dayOf(clock.now());
      const [keyNames, tenantNames] = [namesOf(await keys.list()), namesOf(await tenants.list())];
      const only = {
        from,
        to,
        key: idOf(query.key, keyNames),
        tenant: idOf(query.tenant, tenantNames),
        model: query.model,
      };
      const lines = await usage.report({ ...only, by: query.by });
      const [total = noUsage] = await usage.report({ ...only, by: [] });
      return {
        from,
        to,
        by: query.by,
        usage: lines.map((line) => ({
          ...line,
          ...(line.key_id === undefined ? {} : { key_name: keyNames.get(line.key_id) ?? null }),
          ...(line.tenant_id === undefined ? {} : { tenant_name: tenantNames.get(line.tenant_id) ?? null }),
        })),
        total,
      };
    });
  };
}

const noUsage: UsageSums = { requests: 0, errors: 0, prompt_tokens: 0, completion_tokens: 0, cost_micro_usd: 0 };

function namesOf(records: readonly { readonly id: string; readonly name: string }[]): ReadonlyMap<string, string> {
  return new Map(records.map(({ id, name }) => [id, name]));
}

/** Of several that had a name one after the other, the last. */
function idOf(idOrName: string | undefined, names: ReadonlyMap<string, string>): string | undefined {
  if (idOrName === undefined || names.has(idOrName) || idOrName === "none") return idOrName;
  const found = [...names].findLast(([, name]) => name === idOrName)?.[0];
  if (found === undefined) throw new NexusError("not_found", `Nothing has the id or name '${idOrName}'.`);
  return found;
}
