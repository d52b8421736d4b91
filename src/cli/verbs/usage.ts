import type { NamedUsageLine, UsageReport } from "../../control/usage-routes.ts";
import type { UsageSums } from "../../keys/usage.ts";
import type { UsageDimension } from "../../keys/usage-store.ts";
import type { DataFlag, JsonFlag } from "../flags.ts";
import { findPlatform } from "../platform.ts";
import type { Cell } from "../terminal.ts";
import type { Verb } from "../verb.ts";

export interface UsageFlags extends DataFlag, JsonFlag {
  readonly by?: readonly UsageDimension[];
  readonly from?: string;
  readonly to?: string;
  readonly key?: string;
  readonly tenant?: string;
  readonly model?: string;
}

/** `nexus keys usage` */
export const showUsage: Verb<UsageFlags, []> = async ({ context }, flags) => {
  const { by = ["key"], from, to, key, tenant, model } = flags;
  const query = new URLSearchParams({ by: by.join(",") });
  for (const [name, value] of Object.entries({ from, to, key, tenant, model })) {
    if (value !== undefined) query.set(name, value);
  }
  const report = await findPlatform(context, flags).call<UsageReport>({
    method: "GET",
    path: `/v1/nexus/usage?${query}`,
  });
  const header = [...by.map((dimension) => dimension.toUpperCase()), "REQUESTS", "ERRORS", "PROMPT", "ANSWER", "COST"];
  const rows = report.usage.map((line): Cell[] => [...by.map((dimension) => nameOf(line, dimension)), ...sumsOf(line)]);
  const total = by.map((_dimension, index) => (index === 0 ? "total" : ""));
  return {
    json: report,
    text: [
      `From ${report.from} to ${report.to} (UTC).`,
      ...context.terminal.table([...rows, [...total, ...sumsOf(report.total)]], header),
    ],
  };
};

function nameOf(line: NamedUsageLine, dimension: UsageDimension): string {
  switch (dimension) {
    case "key":
      return line.key_name ?? line.key_id ?? "";
    case "tenant":
      return line.tenant_name ?? line.tenant_id ?? "";
    default:
      return line[dimension] ?? "";
  }
}

function sumsOf({ requests, errors, prompt_tokens, completion_tokens, cost_micro_usd }: UsageSums): string[] {
  const cost = cost_micro_usd === 0 ? "-" : `$${(cost_micro_usd / 1_000_000).toFixed(4)}`;
  return [...[requests, errors, prompt_tokens, completion_tokens].map(String), cost];
}
