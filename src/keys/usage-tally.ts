import { dayOf } from "./budget-period.ts";
import type { UsageEntry, UsageRow } from "./usage.ts";

/** Beyond this many rows the model is no longer told apart: sums stay right, and memory bounded. */
const rowsMax = 20_000;
export const otherModels = "(other)";

type Sums = { -readonly [field in keyof UsageRow]: UsageRow[field] };

/** Adds usage up, in memory. As large as there are keys, models and operations, however many requests or hours. */
export class UsageTally {
  readonly #rows = new Map<string, Sums>();

  get isEmpty(): boolean {
    return this.#rows.size === 0;
  }

  add(entry: UsageEntry, nowMs: number): void {
    const day = dayOf(nowMs);
    const known = this.#rows.get(nameOf(entry, entry.model, day));
    const row = known ?? this.#newRow(entry, day);
    row.requests++;
    if (entry.isError) row.errors++;
    row.prompt_tokens += wholeNumber(entry.promptTokens);
    row.completion_tokens += wholeNumber(entry.completionTokens);
    row.cost_micro_usd += wholeNumber(entry.costMicroUsd);
  }

  rows(): readonly UsageRow[] {
    return [...this.#rows.values()].map((row) => ({ ...row }));
  }

  #newRow(entry: UsageEntry, day: string): Sums {
    const model = this.#rows.size < rowsMax ? entry.model : otherModels;
    const name = nameOf(entry, model, day);
    const known = this.#rows.get(name);
    if (known !== undefined) return known;
    const row: Sums = {
      day,
      key_id: entry.keyId,
      tenant_id: entry.tenantId,
      model,
      operation: entry.operation,
      requests: 0,
      errors: 0,
      prompt_tokens: 0,
      completion_tokens: 0,
      cost_micro_usd: 0,
    };
    this.#rows.set(name, row);
    return row;
  }
}

function nameOf({ keyId, tenantId, operation }: UsageEntry, model: string, day: string): string {
  return `${keyId} ${tenantId} ${operation} ${day} ${model}`;
}

/** What a backend claims may be anything. */
function wholeNumber(amount: number | undefined): number {
  return amount !== undefined && amount > 0 && amount < Number.MAX_SAFE_INTEGER ? Math.round(amount) : 0;
}
