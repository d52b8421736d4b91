/** Weight of the newest answer: the mean follows a change of load within some twenty answers. */
const newest = 0.1;

/**
 * How fast a model's requests are served, by Little's law: requests under way = rate x time each takes. It needs no
 * window of time and holds at once when instances come and go or are shared with other models.
 */
export class ServiceRate {
  #held = 0;
  #holdMs: number | undefined;

  /** Requests that hold a slot at present. */
  get held(): number {
    return this.#held;
  }

  /** How long a request holds its slot, as a moving mean; undefined before the first one has ended. */
  get holdMs(): number | undefined {
    return this.#holdMs;
  }

  begin(): void {
    this.#held++;
  }

  end(heldMs: number): void {
    this.#held--;
    this.#holdMs = this.#holdMs === undefined ? heldMs : this.#holdMs + newest * (heldMs - this.#holdMs);
  }

  /** Milliseconds until a slot comes free for the one behind `ahead` others; undefined while nothing is measured. */
  waitMs(ahead: number): number | undefined {
    return this.#holdMs === undefined ? undefined : ((ahead + 1) * this.#holdMs) / Math.max(1, this.#held);
  }
}
