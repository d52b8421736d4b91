import { BlockList, isIP } from "node:net";
import { compileGlob, type NameMatcher } from "../base/glob.ts";
import { type KeyRecord, type Limits, type Priority, priorities, type TenantRecord } from "./key-record.ts";
import type { LimitedScope } from "./limiter.ts";

/** A key that works, ready for the path of a request: every answer is at once. */
export interface KnownKey {
  readonly record: KeyRecord;
  readonly tenant: TenantRecord;
  /** Whose limits count: the key's and its tenant's, as far as they have any. */
  readonly scopes: readonly LimitedScope[];
  /** What both the key and its tenant allow. */
  allowsModel(model: string): boolean;
  allowsOperation(operation: string): boolean;
  /** `address` as the connection has it. Without an allow-list every address, else only one that is on it. */
  allowsAddress(address: string): boolean;
  /** The class of a request that asks for one, or for none: never above what is allowed. */
  priorityOf(asked: Priority | undefined): Priority;
}

/** Puts a key and its tenant together. */
export function toKnownKey(record: KeyRecord, tenant: TenantRecord): KnownKey {
  const both = [record.limits, tenant.limits];
  const models = both.flatMap(({ models }) => (models === undefined ? [] : [compileGlobs(models)]));
  const operations = both.flatMap(({ operations }) => (operations === undefined ? [] : [compileGlobs(operations)]));
  const addresses = both.flatMap(({ addresses }) => (addresses === undefined ? [] : [compileAddresses(addresses)]));
  const highest = Math.max(...both.map(({ priority_max = "interactive" }) => priorities.indexOf(priority_max)));
  return {
    record,
    tenant,
    scopes: [
      { id: record.id, name: record.name, kind: "key" as const, limits: record.limits },
      { id: tenant.id, name: tenant.name, kind: "tenant" as const, limits: tenant.limits },
    ].filter(({ limits }) => hasCountedLimit(limits)),
    allowsModel: (model) => models.every((allows) => allows(model)),
    allowsOperation: (operation) => operations.every((allows) => allows(operation)),
    allowsAddress: (address) => addresses.every((allows) => allows(address)),
    priorityOf: (asked = "default") => priorities[Math.max(highest, priorities.indexOf(asked))] ?? "batch",
  };
}

/** Limits that must be counted; the others are looked up. */
function hasCountedLimit(limits: Limits): boolean {
  const { requests_per_minute, tokens_per_minute, concurrency, budgets = [] } = limits;
  return (
    [requests_per_minute, tokens_per_minute, concurrency].some((limit) => limit !== undefined) || budgets.length > 0
  );
}

function compileGlobs(patterns: readonly string[]): NameMatcher {
  const matchers = patterns.map(compileGlob);
  return (name) => matchers.some((fits) => fits(name));
}

function compileAddresses(ranges: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = "", bits] = range.split("/");
    const family = familyOf(address);
    if (family === undefined) continue;
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => {
    // A socket that listens on `::` shows IPv4 clients so (RFC 4291, 2.5.5.2).
    const bare = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
    const family = familyOf(bare);
    return family !== undefined && list.check(bare, family);
  };
}

function familyOf(address: string): "ipv4" | "ipv6" | undefined {
  const family = isIP(address);
  return family === 0 ? undefined : family === 4 ? "ipv4" : "ipv6";
}
