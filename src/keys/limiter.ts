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
  const rulesOf = new WeakMap<LimitedScope, readonly Rule[]>();
  const compiled = (scope: LimitedScope) => {
    const known = rulesOf.get(scope);
    if (known !== undefined) return known;
    const rules = compileRules(scope);
    rulesOf.set(scope, rules);
    return rules;
  };
  return {
    admit(scopes, estimate) {
      const rules = scopes.length === 1 && scopes[0] !== undefined ? compiled(scopes[0]) : scopes.flatMap(compiled);
      if (rules.length === 0) return unlimited;
      const nowMs = clock.now();
      const taken = ledger.take(rules.map((rule) => takeOf(rule, estimate, nowMs)));
      return taken instanceof Promise
        ? taken.then((result) => toDecision(rules, result, ledger))
        : toDecision(rules, taken, ledger);
    },
  };
}

type Measure = "requests" | "tokens" | "usd";

/** One limit of one scope. */
interface Rule {
  readonly kind: Take["kind"];
  readonly measure: Measure;
  readonly counter: string;
  readonly limit: number;
  readonly scope: LimitedScope;
  /** Of a `period`. */
  readonly budget?: Budget;
}

function compileRules(scope: LimitedScope): readonly Rule[] {
  const { id, limits } = scope;
  const rules: (Rule | undefined)[] = [
    rule("minute", "requests", limits.requests_per_minute),
    rule("minute", "tokens", limits.tokens_per_minute),
    rule("place", "requests", limits.concurrency),
    ...(limits.budgets ?? []).map(
      (budget): Rule => ({
        kind: "period",
        measure: budget.unit,
        counter: budgetCounter(id, budget),
        limit: budgetLimit(budget),
        scope,
        budget,
      }),
    ),
  ];
  return rules.filter((one) => one !== undefined);

  function rule(kind: "minute" | "place", measure: Measure, limit: number | undefined): Rule | undefined {
    return limit === undefined ? undefined : { kind, measure, counter: `${id}:${kind}:${measure}`, limit, scope };
  }
}

function takeOf({ kind, measure, counter, limit, budget }: Rule, estimate: UsageEstimate, nowMs: number): Take {
  if (kind === "place") return { kind, counter, limit };
  const amount = amountOf(measure, estimate);
  if (kind === "minute" || budget === undefined) return { kind: "minute", counter, amount, limit };
  const { firstDay, leftMs } = periodAt(budget.period, nowMs);
  return { kind, counter, period: firstDay, amount, limit, leftMs };
}

function amountOf(measure: Measure, { tokens, costMicroUsd }: UsageEstimate): number {
  if (measure === "requests") return 1;
  return measure === "tokens" ? tokens : costMicroUsd;
}

/** The ledger's name for what a scope has spent of a budget. */
export function budgetCounter(scopeId: string, { unit, period }: Budget): string {
  return `${scopeId}:${unit}:${period}`;
}

/** In the ledger's unit: tokens, or millionths of a dollar. */
function budgetLimit({ unit, amount }: Budget): number {
  return unit === "usd" ? Math.round(amount * 1_000_000) : amount;
}

function toDecision(rules: readonly Rule[], taken: Taken, ledger: LimitLedger): LimitDecision {
  const headers = limitHeaders(rules, taken.states);
  if (taken.ok) {
    const settle = (used: UsageTotal) => ledger.settle(taken.receipt, usedByCounter(rules, used));
    return { ok: true, headers, settle };
  }
  const refused = rules[taken.refused];
  const state = taken.states[taken.refused];
  const retryAfterSeconds = Math.max(1, Math.ceil(taken.retryAfterMs / 1_000));
  return {
    ok: false,
    code: refused?.kind === "period" ? "insufficient_quota" : "rate_limit_exceeded",
    message: refused === undefined ? "A limit is reached." : describeRefusal(refused, state, retryAfterSeconds),
    retryAfterSeconds,
    headers,
  };
}

function usedByCounter(rules: readonly Rule[], used: UsageTotal): Record<string, number> {
  const amounts: Record<string, number> = {};
  for (const { counter, measure } of rules) amounts[counter] = amountOf(measure, used);
  return amounts;
}

function describeRefusal(
  { kind, limit, measure, scope, budget }: Rule,
  state: CounterState | undefined,
  seconds: number,
) {
  const whose = `The ${scope.kind} '${scope.name}'`;
  if (kind === "place") return `${whose} may have ${limit} requests at the same time.`;
  if (kind === "minute" || budget === undefined) {
    return `${whose} may use ${limit} ${measure} per minute. Come back in ${seconds} s.`;
  }
  const { amount, period, unit } = budget;
  const left = state?.remaining ?? 0;
  const rest = unit === "usd" ? dollars(left / 1_000_000) : `${Math.floor(left)} tokens`;
  const need = left > 0 ? `, of which ${rest} are left: less than the request may need` : ", which is spent";
  const whole = unit === "usd" ? dollars(amount) : `${amount} tokens`;
  return `${whose} has a budget of ${whole} a ${period}${need}. It begins anew in ${seconds} s (UTC).`;
}

function dollars(amount: number): string {
  return `$${amount.toFixed(6).replace(/\.?0+$/, "")}`;
}

const headerNames = {
  requests: {
    limit: "x-ratelimit-limit-requests",
    remaining: "x-ratelimit-remaining-requests",
    reset: "x-ratelimit-reset-requests",
  },
  tokens: {
    limit: "x-ratelimit-limit-tokens",
    remaining: "x-ratelimit-remaining-tokens",
    reset: "x-ratelimit-reset-tokens",
  },
} as const;

function limitHeaders(rules: readonly Rule[], states: readonly CounterState[]): LimitHeaders {
  const headers: Record<string, string> = {};
  for (const measure of ["requests", "tokens"] as const) {
    const nearest = nearestLimit(measure, rules, states);
    if (nearest === undefined) continue;
    const { limit, state } = nearest;
    const names = headerNames[measure];
    headers[names.limit] = String(limit);
    headers[names.remaining] = String(Math.floor(state.remaining));
    headers[names.reset] = formatReset(state.resetMs);
  }
  return headers;
}

/** Of several limits of one measure a minute, the one that will be reached first. */
function nearestLimit(measure: Measure, rules: readonly Rule[], states: readonly CounterState[]) {
  let nearest: { readonly limit: number; readonly state: CounterState } | undefined;
  for (let index = 0; index < rules.length; index++) {
    const [rule, state] = [rules[index], states[index]];
    if (rule?.kind !== "minute" || rule.measure !== measure || state === undefined) continue;
    if (nearest === undefined || state.remaining < nearest.state.remaining) nearest = { limit: rule.limit, state };
  }
  return nearest;
}

/** `120ms`, `1s`, `1m1s`, as OpenAI writes them. */
function formatReset(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.ceil(milliseconds)}ms`;
  const seconds = Math.ceil(milliseconds / 1_000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
