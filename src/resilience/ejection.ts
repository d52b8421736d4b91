import type { Clock } from "../base/clock.ts";

export interface EjectionSettings {
  /** Failures in a row that take an instance out. */
  readonly failures: number;
  /** First time out in milliseconds; doubles with every further ejection up to `maxMs`. */
  readonly baseMs: number;
  readonly maxMs: number;
}

type State =
  | { readonly kind: "in"; readonly failures: number }
  | { readonly kind: "out"; readonly until: number; readonly reason: string }
  | { readonly kind: "on-trial"; readonly since: number; readonly reason: string };

/**
 * Passive health of one instance: failures in a row take it out, after a while one request may try it, success brings
 * it back. The doubling is forgotten after the first success.
 */
export class Ejection {
  readonly #clock: Clock;
  #settings: EjectionSettings;
  readonly #random: () => number;
  #state: State = { kind: "in", failures: 0 };
  #times = 0;

  constructor(settings: EjectionSettings, clock: Clock, random: () => number = Math.random) {
    this.#settings = settings;
    this.#clock = clock;
    this.#random = random;
  }

  /** For ejections to come; one that holds keeps its end. */
  configure(settings: EjectionSettings): void {
    this.#settings = settings;
  }

  /** Why it is left out at present, or undefined when it may be tried. */
  get reason(): string | undefined {
    const state = this.#state;
    if (state.kind === "in") return undefined;
    if (state.kind === "out") return this.#clock.monotonic() >= state.until ? undefined : state.reason;
    // A trial whose end nobody reported must not keep the instance out for ever.
    return this.#clock.monotonic() - state.since > this.#settings.maxMs ? undefined : state.reason;
  }

  /** Milliseconds for which nobody tries it; 0 when it may be tried. */
  get outForMs(): number {
    return this.#state.kind === "out" ? Math.max(0, this.#state.until - this.#clock.monotonic()) : 0;
  }

  /** Another process has ejected it. */
  takeOut(forMs: number, reason: string): void {
    if (this.#state.kind === "out") return;
    this.#times = Math.min(this.#times + 1, 30);
    this.#state = { kind: "out", until: this.#clock.monotonic() + forMs, reason };
  }

  /** Whether a request is out that decides whether it may come back. */
  get isOnTrial(): boolean {
    return this.#state.kind === "on-trial";
  }

  /** Call when a request is sent: after an ejection the first one is the trial, and the others wait for its end. */
  begin(): void {
    if (this.#state.kind === "out" && this.reason === undefined) {
      this.#state = { kind: "on-trial", since: this.#clock.monotonic(), reason: `${this.#state.reason}; being tried` };
    }
  }

  succeed(): void {
    this.#state = { kind: "in", failures: 0 };
    this.#times = 0;
  }

  /** Call when a request ended in a way that says nothing about the instance: the client left, say. */
  withdraw(): void {
    if (this.#state.kind === "on-trial") {
      this.#state = { kind: "out", until: this.#clock.monotonic(), reason: this.#state.reason };
    }
  }

  fail(reason: string): void {
    const failures = this.#state.kind === "in" ? this.#state.failures + 1 : this.#settings.failures;
    if (failures < this.#settings.failures) {
      this.#state = { kind: "in", failures };
      return;
    }
    // Requests that were under way when it was taken out report late: they are no new evidence.
    if (this.#state.kind === "out") return;
    const backoff = Math.min(this.#settings.maxMs, this.#settings.baseMs * 2 ** this.#times);
    this.#times = Math.min(this.#times + 1, 30);
    // Up to a quarter more, so that gateways do not return all at once.
    const until = this.#clock.monotonic() + backoff * (1 + this.#random() / 4);
    this.#state = { kind: "out", until, reason: `${failures} failures in a row, the last: ${reason}` };
  }
}
