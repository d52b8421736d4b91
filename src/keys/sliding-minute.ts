/** A request counts for as long as a window of 60 seconds that began with it may last, wherever its second began. */
const seconds = 61;

/**
 * How much was taken within any 60 seconds, to the second: never less than the truth, and at most a second's worth
 * more. A bucket that refills would let twice the limit through in its first minute.
 */
export class SlidingMinute {
  readonly #taken = new Float64Array(seconds);
  #newest = Number.NEGATIVE_INFINITY;
  #lastUsed = Number.NEGATIVE_INFINITY;
  #sum = 0;

  /** Amount of the window that ends now. */
  sum(nowMs: number): number {
    this.#advance(secondOf(nowMs));
    return this.#sum;
  }

  /** Adds to the present second, and returns it: a later correction names it. */
  add(nowMs: number, amount: number): number {
    const second = secondOf(nowMs);
    this.#advance(second);
    this.#change(second, amount);
    this.#lastUsed = second;
    return second;
  }

  /**
   * Gives back some of what was added in a second; nothing when that second has left the window. Returns what of it
   * there was to give.
   */
  giveBack(nowMs: number, second: number, amount: number): number {
    this.#advance(secondOf(nowMs));
    if (second <= this.#newest - seconds || second > this.#newest) return 0;
    const given = Math.min(amount, this.#at(second));
    this.#change(second, -given);
    return given;
  }

  /** Milliseconds until all that is in the window now has left it. */
  untilEmpty(nowMs: number): number {
    return this.sum(nowMs) <= 0 ? 0 : (this.#lastUsed + seconds) * 1_000 - nowMs;
  }

  /** Milliseconds until no more than `allowed` is left of what is in the window now. */
  untilAtMost(nowMs: number, allowed: number): number {
    this.#advance(secondOf(nowMs));
    let left = this.#sum;
    if (left <= allowed) return 0;
    for (let second = this.#newest - seconds + 1; second <= this.#newest; second++) {
      left -= this.#at(second);
      if (left <= allowed) return (second + seconds) * 1_000 - nowMs;
    }
    return seconds * 1_000;
  }

  #at(second: number): number {
    return this.#taken[second % seconds] ?? 0;
  }

  #change(second: number, amount: number): void {
    this.#taken[second % seconds] = this.#at(second) + amount;
    this.#sum += amount;
  }

  #advance(second: number): void {
    if (second <= this.#newest) return;
    if (second - this.#newest >= seconds) {
      this.#taken.fill(0);
      this.#sum = 0;
    } else {
      for (let next = this.#newest + 1; next <= second; next++) this.#change(next, -this.#at(next));
    }
    this.#newest = second;
  }
}

function secondOf(nowMs: number): number {
  return Math.floor(nowMs / 1_000);
}
