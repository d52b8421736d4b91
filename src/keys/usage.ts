/** What one request has used. Amounts that an operation doesn't have are left out. */
export interface UsedAmounts {
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly images?: number;
  /** Of sound, heard or made. */
  readonly seconds?: number;
  /** Of text that became speech. */
  readonly characters?: number;
}

/** One request that ended, as usage counts it. */
export interface UsageEntry extends UsedAmounts {
  readonly keyId: string;
  readonly tenantId: string;
  /** Id of the model that served, or was asked for and exists. Never what a client made up. */
  readonly model: string;
  readonly operation: string;
  /** Millionths of a dollar. */
  readonly costMicroUsd: number;
  readonly isError: boolean;
}

/** Sums for one key, model and operation on one day (UTC). */
export interface UsageRow {
  /** `2026-11-23` */
  readonly day: string;
  readonly key_id: string;
  readonly tenant_id: string;
  readonly model: string;
  readonly operation: string;
  readonly requests: number;
  readonly errors: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost_micro_usd: number;
}

/** Rows that are added to the database in one transaction, exactly once. */
export interface UsageBatch {
  /** Who counted. One writer's batches are applied in the order of their numbers. */
  readonly recorder: string;
  readonly number: number;
  readonly rows: readonly UsageRow[];
}

/** Sums of usage, of whatever was asked for. */
export interface UsageSums {
  readonly requests: number;
  readonly errors: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost_micro_usd: number;
}
