import type { Clock } from "../base/clock.ts";

/** It halves in this time: a bad spell is forgotten within ten seconds, or an idle fleet would never return to it. */
const halfLifeMs = 2_000;
/** Small enough to forget: among idle instances any penalty at all decides. */
const forgottenBelow = 0.1;
const penaltyMax = 8;

/**
 * How much dearer a request to an instance is held to be than its load says: 0 is nothing, 1 doubles it. An instance
 * that fails at once has nothing under way and would draw every request.
 */
export class Penalty {
  readonly #clock: Clock;
  #value = 0;
  #at = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get value(): number {
    if (this.#value === 0) return 0;
    const value = this.#value * 2 ** ((this.#at - this.#clock.monotonic()) / halfLifeMs);
    if (value < forgottenBelow) this.#value = 0;
    return this.#value === 0 ? 0 : value;
  }

  add(amount: number): void {
    this.#set(Math.min(penaltyMax, this.value + amount));
  }

  raiseTo(amount: number): void {
    if (this.value < amount) this.#set(amount);
  }

  #set(value: number): void {
    this.#value = value;
    this.#at = this.#clock.monotonic();
  }
}
