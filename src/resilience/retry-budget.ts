export interface RetryBudgetSettings {
  /** Retries in flight as a share of requests in flight. */
  readonly ratio: number;
  /** Retries in flight that are always allowed. */
  readonly min: number;
}

/**
 * Keeps retries from becoming the load: when a fleet is down, every request would otherwise count several times.
 * After Envoy's retry budget: retries in flight are bounded by a share of the requests in flight.
 */
export class RetryBudget {
  readonly #settings: RetryBudgetSettings;
  #requests = 0;
  #retries = 0;

  constructor(settings: RetryBudgetSettings) {
    this.#settings = settings;
  }

  /** Counts a request until the returned function is called. */
  openRequest(): () => void {
    this.#requests++;
    let open = true;
    return () => {
      if (open) this.#requests--;
      open = false;
    };
  }

  /** Takes one retry, given back by the returned function; undefined when the budget is spent. */
  tryRetry(): (() => void) | undefined {
    if (this.#retries >= Math.max(this.#settings.min, this.#settings.ratio * this.#requests)) return undefined;
    this.#retries++;
    let open = true;
    return () => {
      if (open) this.#retries--;
      open = false;
    };
  }
}
