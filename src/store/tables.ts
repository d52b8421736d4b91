/** Milliseconds since the epoch. */
type Moment = number;

export interface ChangesTable {
  /** What has changed: `keys`. */
  name: string;
  /** Grows by one with every transaction that changes it. */
  counter: number;
}

export interface TenantsTable {
  id: string;
  name: string;
  /** JSON. */
  limits: string;
  created_at: Moment;
  /** The counter of the change that wrote the row. */
  revision: number;
}

export interface KeysTable {
  id: string;
  name: string;
  tenant_id: string;
  role: "user" | "admin";
  hint: string;
  is_weak: 0 | 1;
  /** JSON. */
  limits: string;
  created_at: Moment;
  expires_at: Moment | null;
  revoked_at: Moment | null;
  revision: number;
}

export interface KeySecretsTable {
  /** SHA-256, hexadecimal. */
  hash: string;
  key_id: string;
  created_at: Moment;
  valid_until: Moment | null;
}

export interface UsageDaysTable {
  day: string;
  key_id: string;
  tenant_id: string;
  model: string;
  operation: string;
  requests: number;
  errors: number;
  prompt_tokens: number;
  completion_tokens: number;
  cost_micro_usd: number;
}

export interface UsageRecordersTable {
  id: string;
  /** Its newest batch that is in `usage_days`. */
  last_batch: number;
  seen_at: Moment;
}

/** Every table. A room that keeps something adds its own, and a migration. */
export interface Tables {
  changes: ChangesTable;
  tenants: TenantsTable;
  keys: KeysTable;
  key_secrets: KeySecretsTable;
  usage_days: UsageDaysTable;
  usage_recorders: UsageRecordersTable;
}
