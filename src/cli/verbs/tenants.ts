import type { TenantRecord } from "../../keys/key-record.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { describeLimits, type LimitFlags, toLimits } from "../limit-flags.ts";
import { findPlatform } from "../platform.ts";
import type { Verb } from "../verb.ts";

export interface TenantFlags extends DataFlag, JsonFlag, LimitFlags {}

/** `nexus tenants create NAME` */
export const createTenant: Verb<TenantFlags, [name: string]> = async ({ context }, flags, name) => {
  const limits = Object.fromEntries(Object.entries(toLimits(flags)).filter(([, limit]) => limit !== null));
  const created = await findPlatform(context, flags).call<{ record: TenantRecord }>({
    method: "POST",
    path: "/v1/nexus/tenants",
    body: { name, limits },
  });
  return {
    json: created,
    text: [`${name} is ${created.record.id}. \`nexus keys create KEY --tenant ${name}\` makes a key of its own.`],
  };
};

/** `nexus tenants ls` */
export const listTenants: Verb<DataFlag & JsonFlag, []> = async ({ context }, flags) => {
  const answer = await findPlatform(context, flags).call<{ tenants: readonly TenantRecord[] }>({
    method: "GET",
    path: "/v1/nexus/tenants",
  });
  const rows = answer.tenants.map(({ id, name, created_at, limits }) => [
    id,
    name,
    created_at.slice(0, 10),
    describeLimits(limits),
  ]);
  return { json: answer, text: context.terminal.table(rows, ["ID", "NAME", "CREATED", "LIMITS"]) };
};

/** `nexus tenants limit TENANT` */
export const limitTenant: Verb<TenantFlags, [tenant: string]> = async ({ context }, flags, tenant) => {
  const changed = await findPlatform(context, flags).call<{ record: TenantRecord }>({
    method: "PATCH",
    path: `/v1/nexus/tenants/${encodeURIComponent(tenant)}`,
    body: { limits: toLimits(flags) },
  });
  return { json: changed, text: [`Limits of ${changed.record.name}: ${describeLimits(changed.record.limits)}.`] };
};
