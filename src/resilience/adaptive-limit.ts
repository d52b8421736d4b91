import type { Clock } from "../base/clock.ts";

/** Requests at once that a server of unknown limits is trusted with at first, and at most. */
const firstLimit = 16;
const limitMax = 1_024;
/** After a refusal one more is tried so often. */
const probeMs = 30_000;

/**
 * How many requests at once an instance takes that does not say. It is trusted until it refuses: as long as it never
 * has, every answer of a full instance lets one more in, which doubles the limit each round, as in TCP's slow start. A
 * refusal with n under way shows that the limit is below n; from then on one more is tried twice a minute, so that
 * probing stays far below one request in a hundred. Slowness is no sign: long prompts and cold models are slow too.
 */
export class AdaptiveLimit {
  readonly #clock: Clock;
  #limit = firstLimit;
  /** No sooner than this is one more tried; undefined until the first refusal. */
  #probeAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get value(): number {
    return this.#limit;
  }

  /** A request ended well; `inFlight` counts it too. */
  succeed(inFlight: number): void {
    if (inFlight < this.#limit || this.#limit === limitMax) return;
    if (this.#probeAt !== undefined) {
      const now = this.#clock.monotonic();
      if (now < this.#probeAt) return;
      this.#probeAt = now + probeMs;
    }
    this.#limit++;
  }

  /** The instance said that it has too much to do; `inFlight` counts the refused request too. */
  refuse(inFlight: number): void {
    this.#limit = Math.max(1, Math.min(this.#limit, inFlight - 1));
    this.#probeAt = this.#clock.monotonic() + probeMs;
  }
}
