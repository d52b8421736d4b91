import { isIP } from "node:net";
import { z } from "zod";

/** What a key is for. Each role has what it needs and nothing of the others'; only `admin` has everything. */
export const keyRoles = [
  /** Calls models, and sees the records of its own requests. */
  "user",
  /** Registers services, for hosts other than the platform's own. */
  "service",
  /** Reads what the platform and its services measure; calls no model and changes nothing. */
  "monitor",
  "admin",
] as const;
export const keyRoleSchema = z.enum(keyRoles);
export type KeyRole = z.infer<typeof keyRoleSchema>;

/** Highest first. */
export const priorities = ["interactive", "default", "batch"] as const;
export type Priority = (typeof priorities)[number];

export const budgetPeriods = ["day", "week", "month"] as const;
export type BudgetPeriod = (typeof budgetPeriods)[number];

/** `80.0.0.0/8`, `2001:db8::/32` or one address. */
export function isAddressRange(text: string): boolean {
  const [address = "", bits, ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || address.includes("%")) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

const patternSchema = z.string().min(1).max(256);
const perMinute = z.int().min(1).max(1_000_000_000);

const budgetSchema = z.strictObject({
  /** `usd`: money by the price list. `tokens`: prompt and answer together. */
  unit: z.enum(["usd", "tokens"]),
  /** Dollars, or tokens. */
  amount: z.number().positive().max(1_000_000_000_000),
  /** In UTC: a day from midnight, a week from Monday's midnight, a month from the first's. */
  period: z.enum(budgetPeriods),
});
export type Budget = z.infer<typeof budgetSchema>;

function hasOneOfAKind(budgets: readonly Budget[]): boolean {
  return new Set(budgets.map(({ unit, period }) => `${unit}/${period}`)).size === budgets.length;
}

/** What a key, or all keys of a tenant together, may use. What is left out has no limit. */
export const limitsSchema = z.strictObject({
  /** Requests begun within any 60 seconds. */
  requests_per_minute: perMinute.optional(),
  /** Tokens, prompt and answer together, within any 60 seconds. */
  tokens_per_minute: perMinute.optional(),
  /** Requests at the same time. */
  concurrency: z.int().min(1).max(1_000_000).optional(),
  budgets: z.array(budgetSchema).max(6).refine(hasOneOfAKind, "has two of one unit and period").optional(),
  /** Models that may be asked for; `*` stands for any characters. */
  models: z.array(patternSchema).min(1).max(256).optional(),
  /** Operation ids, such as `chat.completions.create` or `audio.*`. */
  operations: z.array(patternSchema).min(1).max(64).optional(),
  /** Addresses that requests may come from: CIDR ranges or single ones, IPv4 or IPv6. */
  addresses: z
    .array(z.string().max(64).refine(isAddressRange, "is no address and no CIDR range"))
    .min(1)
    .max(256)
    .optional(),
  /** The highest class that may be asked for. */
  priority_max: z.enum(priorities).optional(),
});
export type Limits = z.infer<typeof limitsSchema>;

/** Changes some limits; null takes one away. */
export const limitsPatchSchema = z.strictObject({
  requests_per_minute: limitsSchema.shape.requests_per_minute.nullable(),
  tokens_per_minute: limitsSchema.shape.tokens_per_minute.nullable(),
  concurrency: limitsSchema.shape.concurrency.nullable(),
  budgets: limitsSchema.shape.budgets.nullable(),
  models: limitsSchema.shape.models.nullable(),
  operations: limitsSchema.shape.operations.nullable(),
  addresses: limitsSchema.shape.addresses.nullable(),
  priority_max: limitsSchema.shape.priority_max.nullable(),
});
export type LimitsPatch = z.infer<typeof limitsPatchSchema>;

/** Limits as a change leaves them. */
export function patchLimits(limits: Limits, patch: LimitsPatch): Limits {
  const merged = Object.entries({ ...limits, ...patch }).filter(([, limit]) => limit !== null && limit !== undefined);
  return Object.fromEntries(merged) as Limits;
}

export const nameSchema = z.string().trim().min(1).max(128);

export const tenantRecordSchema = z.strictObject({
  id: z.string(),
  name: nameSchema,
  /** For all its keys together. */
  limits: limitsSchema,
  created_at: z.iso.datetime(),
});
/** Whoever keys belong to: a team, a customer, a project. */
export type TenantRecord = z.infer<typeof tenantRecordSchema>;

const secretSchema = z.strictObject({
  /** SHA-256 of the key. Keys are 256 random bits, so a slow password hash would add nothing. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** When it stops working after a rotation; null for the newest. */
  valid_until: z.iso.datetime().nullable(),
});
/** A key was rotated: for a while the old and the new one work, as one key with one usage. */
export type KeySecret = z.infer<typeof secretSchema>;

export const keyRecordSchema = z.strictObject({
  id: z.string(),
  name: nameSchema,
  tenant_id: z.string(),
  role: keyRoleSchema,
  /** The newest first. */
  secrets: z.array(secretSchema),
  /** The first characters, so that its owner can tell it from others. */
  hint: z.string(),
  /** Chosen by somebody and easy to guess: good enough on this machine only. */
  is_weak: z.boolean(),
  limits: limitsSchema,
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime().nullable(),
  revoked_at: z.iso.datetime().nullable(),
});
/** What is kept of a key. The key itself is not. */
export type KeyRecord = z.infer<typeof keyRecordSchema>;

/** The tenant of keys that name none. It always exists. */
export const defaultTenantId = "ten_default";
