export interface RetryBudgetSettings {
  /** Retries in flight as a share of requests in flight. */
  readonly ratio: number;
  /** Retries in flight that are always allowed. */
  readonly min: number;
}

/** Retries that wait for their turn; more than this many are refused. */
const waitingMax = 10_000;

/**
 * Keeps retries from becoming the load: when a fleet is down, every request would otherwise count several times.
 * After Envoy's retry budget, retries in flight are bounded by a share of the requests in flight. Unlike there, a retry
 * may wait for its turn: when an instance dies, its requests are moved to the others a few at a time, and none is lost.
 */
export class RetryBudget {
  #settings: RetryBudgetSettings;
  readonly #waiting = new Set<() => void>();
  #requests = 0;
  #retries = 0;

  constructor(settings: RetryBudgetSettings) {
    this.#settings = settings;
  }

  /** Takes effect with the next retry; those under way may exceed it until they end. */
  configure(settings: RetryBudgetSettings): void {
    this.#settings = settings;
  }

  /** Counts a request until the returned function is called. */
  openRequest(): () => void {
    this.#requests++;
    return once(() => {
      this.#requests--;
    });
  }

  /** Takes one retry, given back by the returned function; undefined when the budget is spent. */
  tryRetry(): (() => void) | undefined {
    if (this.#waiting.size > 0 || !this.#hasRoom()) return undefined;
    return this.#take();
  }

  /** As `tryRetry`, but in turn once there is room. Undefined when too many wait, or once the signal aborts. */
  async waitForRetry(signal: AbortSignal): Promise<(() => void) | undefined> {
    const now = this.tryRetry();
    // Without a retry in flight nobody would ever call: retries are switched off.
    const isHopeless = this.#retries === 0 || this.#waiting.size >= waitingMax || signal.aborted;
    if (now !== undefined || isHopeless) return now;
    const { promise, resolve } = Promise.withResolvers<(() => void) | undefined>();
    const go = () => resolve(this.#take());
    const leave = () => {
      this.#waiting.delete(go);
      resolve(undefined);
    };
    this.#waiting.add(go);
    signal.addEventListener("abort", leave, { once: true });
    const taken = await promise;
    signal.removeEventListener("abort", leave);
    return taken;
  }

  #hasRoom(): boolean {
    return this.#retries < Math.max(this.#settings.min, this.#settings.ratio * this.#requests);
  }

  #take(): () => void {
    this.#retries++;
    return once(() => {
      this.#retries--;
      for (const go of this.#waiting) {
        if (!this.#hasRoom()) break;
        this.#waiting.delete(go);
        go();
      }
    });
  }
}

function once(run: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) run();
    isDone = true;
  };
}
