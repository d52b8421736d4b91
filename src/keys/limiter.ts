import type { Clock } from "../base/clock.ts";
import { periodAt } from "./budget-period.ts";
import type { Budget, Limits } from "./key-record.ts";
import type { CounterState, LimitLedger, Take, Taken } from "./limit-ledger.ts";

/** Somebody whose requests are counted together: a key, or a tenant with all its keys. */
export interface LimitedScope {
  readonly id: string;
  readonly name: string;
  readonly kind: "key" | "tenant";
  readonly limits: Limits;
}

/** What a request is likely to use, before it is sent. */
export interface UsageEstimate {
  /** Prompt and answer. */
  readonly tokens: number;
  /** By the price list; 0 when it has no price for the model. */
  readonly costMicroUsd: number;
}

/** What a request has used; no tokens and no cost when it never reached a model. */
export type UsageTotal = UsageEstimate;

/** `x-ratelimit-*`, as OpenAI names them. */
export type LimitHeaders = Readonly<Record<string, string>>;

export type LimitDecision =
  | {
      readonly ok: true;
      readonly headers: LimitHeaders;
      /**
       * To be called when the request has ended, however it ended: until then its place is taken. A second call changes
       * nothing.
       */
      settle(used: UsageTotal): void;
    }
  | {
      readonly ok: false;
      readonly code: "rate_limit_exceeded" | "insufficient_quota";
      /** For the client: which limit, and when to come back. */
      readonly message: string;
      readonly retryAfterSeconds: number;
      readonly headers: LimitHeaders;
    };

/** Holds requests to the limits of their key and tenant. */
export interface Limiter {
  /** At once when the ledger counts in this process, or there is no limit to count. */
  admit(scopes: readonly LimitedScope[], estimate: UsageEstimate): LimitDecision | Promise<LimitDecision>;
}

const unlimited: LimitDecision = { ok: true, headers: {}, settle: () => {} };

export function createLimiter(options: { readonly ledger: LimitLedger; readonly clock: Clock }): Limiter {
  const { ledger, clock } = options;
  return {
    admit(scopes, estimate) {
      const wanted = scopes.flatMap((scope) => takesOf(scope, estimate, clock.now()));
      if (wanted.length === 0) return unlimited;
      const taken = ledger.take(wanted.map(({ take }) => take));
      const decide = (result: Taken) => toDecision(wanted, result, ledger);
      return taken instanceof Promise ? taken.then(decide) : decide(taken);
    },
  };
}

type Measure = "requests" | "tokens" | "usd";

interface Wanted {
  readonly take: Take;
  readonly measure: Measure;
  readonly scope: LimitedScope;
  readonly budget?: Budget;
}

function takesOf(scope: LimitedScope, estimate: UsageEstimate, nowMs: number): Wanted[] {
  const { id, limits } = scope;
  const wanted: Wanted[] = [];
  const minute = (measure: Measure, amount: number, limit: number | undefined) => {
    if (limit === undefined) return;
    wanted.push({ take: { kind: "minute", counter: `${id}:${measure}`, amount, limit }, measure, scope });
  };
  minute("requests", 1, limits.requests_per_minute);
  minute("tokens", estimate.tokens, limits.tokens_per_minute);
  if (limits.concurrency !== undefined) {
    const take: Take = { kind: "place", counter: `${id}:places`, limit: limits.concurrency };
    wanted.push({ take, measure: "requests", scope });
  }
  for (const budget of limits.budgets ?? []) {
    const { firstDay, leftMs } = periodAt(budget.period, nowMs);
    const amount = budget.unit === "usd" ? estimate.costMicroUsd : estimate.tokens;
    const limit = budgetLimit(budget);
    const counter = budgetCounter(id, budget);
    wanted.push({
      take: { kind: "period", counter, period: firstDay, amount, limit, leftMs },
      measure: budget.unit,
      scope,
      budget,
    });
  }
  return wanted;
}

/** The ledger's name for what a scope has spent of a budget. */
export function budgetCounter(scopeId: string, { unit, period }: Budget): string {
  return `${scopeId}:${unit}:${period}`;
}

/** In the ledger's unit: tokens, or millionths of a dollar. */
function budgetLimit({ unit, amount }: Budget): number {
  return unit === "usd" ? Math.round(amount * 1_000_000) : amount;
}

function toDecision(wanted: readonly Wanted[], taken: Taken, ledger: LimitLedger): LimitDecision {
  const headers = limitHeaders(wanted, taken.states);
  if (taken.ok) {
    const settle = (used: UsageTotal) => ledger.settle(taken.receipt, usedByCounter(wanted, used));
    return { ok: true, headers, settle };
  }
  const refused = wanted[taken.refused];
  const state = taken.states[taken.refused];
  const retryAfterSeconds = Math.max(1, Math.ceil(taken.retryAfterMs / 1_000));
  return {
    ok: false,
    code: refused?.take.kind === "period" ? "insufficient_quota" : "rate_limit_exceeded",
    message: refused === undefined ? "A limit is reached." : describeRefusal(refused, state, retryAfterSeconds),
    retryAfterSeconds,
    headers,
  };
}

function usedByCounter(wanted: readonly Wanted[], { tokens, costMicroUsd }: UsageTotal): Record<string, number> {
  const amounts: Readonly<Record<Measure, number>> = { requests: 1, tokens, usd: costMicroUsd };
  return Object.fromEntries(wanted.map(({ take, measure }) => [take.counter, amounts[measure]]));
}

function describeRefusal({ take, measure, scope, budget }: Wanted, state: CounterState | undefined, seconds: number) {
  const whose = `The ${scope.kind} '${scope.name}'`;
  if (take.kind === "place") return `${whose} may have ${take.limit} requests at the same time.`;
  if (take.kind === "minute") {
    return `${whose} may use ${take.limit} ${measure} per minute. Come back in ${seconds} s.`;
  }
  const amount = budget === undefined ? take.limit : budget.amount;
  const text = measure === "usd" ? `$${amount}` : `${amount} tokens`;
  const left = state?.remaining ?? 0;
  const rest =
    measure === "usd" ? `$${(left / 1_000_000).toFixed(6).replace(/\.?0+$/, "")}` : `${Math.floor(left)} tokens`;
  const need = left > 0 ? `, of which ${rest} are left: less than the request may need` : ", which is spent";
  return `${whose} has a budget of ${text} a ${budget?.period ?? "period"}${need}. It begins anew in ${seconds} s (UTC).`;
}

/** Of several limits of one measure, the one that will be reached first. */
function limitHeaders(wanted: readonly Wanted[], states: readonly CounterState[]): LimitHeaders {
  const headers: Record<string, string> = {};
  for (const measure of ["requests", "tokens"] as const) {
    let tightest: { readonly limit: number; readonly state: CounterState } | undefined;
    wanted.forEach(({ take, measure: its }, index) => {
      const state = states[index];
      if (take.kind !== "minute" || its !== measure || state === undefined) return;
      if (tightest === undefined || state.remaining < tightest.state.remaining) tightest = { limit: take.limit, state };
    });
    if (tightest === undefined) continue;
    headers[`x-ratelimit-limit-${measure}`] = String(tightest.limit);
    headers[`x-ratelimit-remaining-${measure}`] = String(Math.floor(tightest.state.remaining));
    headers[`x-ratelimit-reset-${measure}`] = formatReset(tightest.state.resetMs);
  }
  return headers;
}

/** `120ms`, `1s`, `1m1s`, as OpenAI writes them. */
function formatReset(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.ceil(milliseconds)}ms`;
  const seconds = Math.ceil(milliseconds / 1_000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
