import type { Clock } from "../base/clock.ts";
import { periodAt } from "./budget-period.ts";
import type { Budget } from "./key-record.ts";
import type { KnownSpend, LimitLedger } from "./limit-ledger.ts";
import { budgetCounter, type LimitedScope } from "./limiter.ts";
import type { UsageBatch, UsageRow } from "./usage.ts";
import type { Spend, SpendQuery } from "./usage-store.ts";

/** A scope whose requests ended longer ago is not asked about; its next request makes it be asked about again. */
const activeMs = 60_000;

interface Watched {
  readonly scope: LimitedScope;
  activeUntil: number;
}

/** A question, and the budget that its answer is for. */
interface Asked {
  readonly query: SpendQuery;
  readonly budget: Budget;
}

/** A round of questions about what is spent. */
export interface SpendRound {
  readonly queries: readonly SpendQuery[];
  /** Hands the answers on; `batch` is what the ledger had counted itself and the answers now include. */
  answer(spend: readonly Spend[], batch?: UsageBatch): void;
}

/**
 * Tells a ledger what was spent of budgets, by whatever gateway: of the keys and tenants that are in use here. Between
 * two rounds the ledger knows this process's own spending; that of others it learns a second or two later.
 */
export class SpendWatch {
  readonly #ledger: LimitLedger;
  readonly #clock: Clock;
  readonly #watched = new Map<string, Watched>();

  constructor(ledger: LimitLedger, clock: Clock) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** To be called for every request. Cheap for scopes without a budget. */
  touch(scopes: readonly LimitedScope[]): void {
    for (const scope of scopes) {
      if (scope.limits.budgets === undefined) continue;
      const activeUntil = this.#clock.monotonic() + activeMs;
      const known = this.#watched.get(scope.id);
      if (known?.scope === scope) known.activeUntil = activeUntil;
      else this.#watched.set(scope.id, { scope, activeUntil });
    }
  }

  round(): SpendRound {
    const now = this.#clock.monotonic();
    const asked: Asked[] = [];
    for (const [id, { scope, activeUntil }] of this.#watched) {
      if (activeUntil < now) this.#watched.delete(id);
      else asked.push(...questionsOf(scope, this.#clock.now()));
    }
    return {
      queries: asked.map(({ query }) => query),
      answer: (spend, batch) =>
        this.#ledger.noteSpend(asked.map((one, index) => knownSpend(one, spend[index], batch?.rows ?? []))),
    };
  }
}

function questionsOf({ id, kind, limits }: LimitedScope, nowMs: number): Asked[] {
  return (limits.budgets ?? []).map((budget) => ({
    query: { kind, id, since: periodAt(budget.period, nowMs).firstDay },
    budget,
  }));
}

function knownSpend({ query, budget }: Asked, spend: Spend | undefined, rows: readonly UsageRow[]): KnownSpend {
  const amountOf = ({ tokens, costMicroUsd }: Spend) => (budget.unit === "usd" ? costMicroUsd : tokens);
  let settled = 0;
  for (const row of rows) {
    if ((query.kind === "key" ? row.key_id : row.tenant_id) !== query.id || row.day < query.since) continue;
    settled += amountOf({ tokens: row.prompt_tokens + row.completion_tokens, costMicroUsd: row.cost_micro_usd });
  }
  return {
    counter: budgetCounter(query.id, budget),
    period: query.since,
    total: spend === undefined ? 0 : amountOf(spend),
    settled,
  };
}
