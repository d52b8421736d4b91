/** One thing that a request takes from a limit. */
export type Take =
  /** From what any 60 seconds allow. More than the limit is asked for as the limit: it needs an empty minute. */
  | { readonly kind: "minute"; readonly counter: string; readonly amount: number; readonly limit: number }
  /** One place among those at the same time, until it is settled. */
  | { readonly kind: "place"; readonly counter: string; readonly limit: number }
  /** From what a period allows, on top of what is known to be spent. Never more than the limit. */
  | {
      readonly kind: "period";
      readonly counter: string;
      /** `2026-11`: another one begins at zero. */
      readonly period: string;
      readonly amount: number;
      readonly limit: number;
      /** Milliseconds until the next one begins. */
      readonly leftMs: number;
    };

/** Where a counter stands after a take, or when it refused one. */
export interface CounterState {
  readonly remaining: number;
  /** Milliseconds until the counter is as if nothing had been taken. */
  readonly resetMs: number;
}

export type Taken =
  /** The states are in the order of the takes. */
  | { readonly ok: true; readonly receipt: number; readonly states: readonly CounterState[] }
  /** Nothing was taken. */
  | {
      readonly ok: false;
      readonly refused: number;
      readonly retryAfterMs: number;
      readonly states: readonly CounterState[];
    };

/** What a period has cost so far, from the database: whatever any gateway has written. */
export interface KnownSpend {
  readonly counter: string;
  readonly period: string;
  readonly total: number;
  /** Of this, what the ledger has counted itself: from now on it is in `total`. */
  readonly settled: number;
}

/**
 * The state behind limits, apart from what they mean: everything in it can be sent between processes, so that one
 * process may count for several. A process that counts for itself answers at once; one that asks another, later.
 */
export interface LimitLedger {
  /** All of it or nothing. */
  take(takes: readonly Take[]): Taken | Promise<Taken>;
  /**
   * Ends what a take began: places are free, and the amounts that were taken become those that were used, by counter.
   * A counter that is left out keeps what was taken. What was settled before is not settled again.
   */
  settle(receipt: number, used: Readonly<Record<string, number>>): void;
  /** Tells what is spent. Within a period the total only grows: an older one that comes late changes nothing. */
  noteSpend(spend: readonly KnownSpend[]): void;
}
