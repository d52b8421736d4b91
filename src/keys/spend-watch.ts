import type { Clock } from "../base/clock.ts";
import { periodAt } from "./budget-period.ts";
import type { Budget } from "./key-record.ts";
import type { KnownSpend, LimitLedger } from "./limit-ledger.ts";
import { budgetCounter, type LimitedScope } from "./limiter.ts";
import type { UsageBatch, UsageRow } from "./usage.ts";
import type { Spend, SpendQuery, UsageStore } from "./usage-store.ts";

/** A scope whose requests ended longer ago is not asked about; its next request makes it be asked about again. */
const activeMs = 60_000;
/** How long a request waits to learn what is spent before it goes by what is known. */
const learnTimeoutMs = 500;
/** After a failure nobody waits for this long. */
const awayMs = 5_000;

interface Watched {
  readonly scope: LimitedScope;
  activeUntil: number;
  /** While the first answer is on its way. */
  learning: Promise<void> | undefined;
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
  readonly #store: Pick<UsageStore, "spend">;
  readonly #clock: Clock;
  readonly #watched = new Map<string, Watched>();
  #awayUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: {
    readonly ledger: LimitLedger;
    readonly store: Pick<UsageStore, "spend">;
    readonly clock: Clock;
  }) {
    this.#ledger = parts.ledger;
    this.#store = parts.store;
    this.#clock = parts.clock;
  }

  /**
   * To be called for every request, before its limits are looked at. Undefined when the ledger knows already what was
   * spent, as it does for all but the first request in a while; else a promise that never rejects, and takes half a
   * second at most.
   */
  touch(scopes: readonly LimitedScope[]): Promise<unknown> | undefined {
    const now = this.#clock.monotonic();
    const learning = scopes.flatMap((scope) => {
      if (scope.limits.budgets === undefined) return [];
      let watched = this.#watched.get(scope.id);
      if (watched?.scope !== scope) {
        watched = { scope, activeUntil: 0, learning: undefined };
        this.#watched.set(scope.id, watched);
        if (now >= this.#awayUntil) this.#learn(watched);
      }
      watched.activeUntil = now + activeMs;
      return watched.learning ?? [];
    });
    return learning.length === 0 ? undefined : Promise.all(learning);
  }

  #learn(watched: Watched): void {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(learnTimeoutMs, () => {
      this.#awayUntil = this.#clock.monotonic() + awayMs;
      resolve();
    });
    watched.learning = Promise.race([late, this.#ask(questionsOf(watched.scope, this.#clock.now()))]).finally(() => {
      watched.learning = undefined;
      cancel();
    });
  }

  async #ask(asked: readonly Asked[]): Promise<void> {
    try {
      this.#answer(asked, await this.#store.spend(asked.map(({ query }) => query)));
    } catch {
      // The recorder says so in the log; until then what this process has spent itself counts.
      this.#awayUntil = this.#clock.monotonic() + awayMs;
    }
  }

  #answer(asked: readonly Asked[], spend: readonly Spend[], batch?: UsageBatch): void {
    this.#ledger.noteSpend(asked.map((one, index) => knownSpend(one, spend[index], batch?.rows ?? [])));
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
      answer: (spend, batch) => this.#answer(asked, spend, batch),
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
