import type { Clock } from "../base/clock.ts";
import type { CounterState, KnownSpend, LimitLedger, Take, Taken } from "./limit-ledger.ts";
import { SlidingMinute } from "./sliding-minute.ts";

interface Places {
  taken: number;
}

interface Period {
  /** Its first day. */
  name: string;
  /** From the database. */
  known: number;
  /** Used, and not yet in `known`. */
  settled: number;
  /** Of requests under way. */
  reserved: number;
}

/** What a receipt gives back, or corrects, when it is settled. */
interface Held {
  readonly take: Take;
  /** Of a `minute`: what was taken, and in which second. */
  readonly amount: number;
  readonly second: number;
}

/** What somebody else used of what it was lent, by counter. All are amounts since it said so last. */
export interface LentUse {
  readonly take: Take;
  /** Was used, and is no longer lent. */
  readonly spent: number;
  /** Was not used, and is no longer lent. */
  readonly returned: number;
  /** Of a `minute`: used beyond what was taken. */
  readonly more: number;
  /** Of a `minute`: taken earlier and not used after all, with how long ago it was taken. */
  readonly back: readonly { readonly amount: number; readonly ageMs: number }[];
  /** Of a `period`: taken by requests that have ended, and what they used. */
  readonly ended: number;
  readonly settled: number;
}

/** Counters that nothing is in are forgotten this often. */
const sweepMs = 60_000;
/** A place is free when a request ends, and nobody knows when. */
const placeRetryMs = 1_000;

/** Counts in this process's memory. */
export class LocalLedger implements LimitLedger {
  readonly #clock: Clock;
  readonly #minutes = new Map<string, SlidingMinute>();
  readonly #places = new Map<string, Places>();
  readonly #periods = new Map<string, Period>();
  readonly #held = new Map<number, readonly Held[]>();
  /** What others may take without asking, by counter and period. Counts as taken. */
  readonly #lent = new Map<string, number>();
  #lastReceipt = 0;
  #sweptAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sweptAt = clock.monotonic();
  }

  take(takes: readonly Take[]): Taken {
    const now = this.#clock.monotonic();
    this.#sweep(now);
    let refused = -1;
    let retryAfterMs = 0;
    for (let index = 0; index < takes.length; index++) {
      const waitMs = this.#waitFor(takes[index] as Take, now);
      // Coming back for one limit to be refused by the next would be a wasted way.
      if (waitMs > retryAfterMs) [refused, retryAfterMs] = [index, waitMs];
    }
    if (refused !== -1) {
      return { ok: false, refused, retryAfterMs, states: takes.map((take) => this.#state(take, now)) };
    }
    const receipt = ++this.#lastReceipt;
    this.#held.set(
      receipt,
      takes.map((take) => this.#hold(take, now)),
    );
    return { ok: true, receipt, states: takes.map((take) => this.#state(take, now)) };
  }

  settle(receipt: number, used: Readonly<Record<string, number>>): void {
    const held = this.#held.get(receipt);
    if (held === undefined) return;
    this.#held.delete(receipt);
    const now = this.#clock.monotonic();
    for (const one of held) this.#settleOne(one, used[one.take.counter] ?? one.amount, now);
  }

  noteSpend(spend: readonly KnownSpend[]): void {
    for (const { counter, period, total, settled } of spend) {
      const state = this.#period(counter, period);
      if (state.name !== period) continue;
      state.known = Math.max(state.known, total);
      state.settled = Math.max(0, state.settled - settled);
    }
  }

  /** What is left of a limit, if anything. */
  remaining(take: Take): number {
    return this.#state(take, this.#clock.monotonic()).remaining;
  }

  /** Sets `amount` aside for somebody who will say later what became of it. */
  lend(take: Take, amount: number): void {
    const lent = this.#lentOf(take) + amount;
    if (lent > 0) this.#lent.set(lentKey(take), lent);
    else this.#lent.delete(lentKey(take));
  }

  /** Counts what became of something that was lent. A place that is spent stays lent until it is returned. */
  noteLent({ take, spent, returned, more, back, ended, settled }: LentUse): void {
    const now = this.#clock.monotonic();
    if (take.kind === "place") {
      this.lend(take, -returned);
      return;
    }
    this.lend(take, -spent - returned);
    if (take.kind === "minute") {
      const minute = this.#minute(take.counter);
      if (spent + more > 0) minute.add(now, spent + more);
      for (const { amount, ageMs } of back) {
        const second = Math.floor((now - ageMs) / 1_000);
        // Ages are not exact to the millisecond: what is not in that second was added in the one beside it.
        let left = amount;
        for (const beside of [second, second + 1, second - 1]) left -= minute.giveBack(now, beside, left);
      }
      return;
    }
    const period = this.#period(take.counter, take.period);
    if (period.name === take.period) period.reserved += spent - ended;
    period.settled += settled;
  }

  /** Forgets usage that will never be in the database: whoever was to write it has gone. */
  forgetSettled(take: Extract<Take, { kind: "period" }>, amount: number): void {
    const period = this.#period(take.counter, take.period);
    period.settled = Math.max(0, period.settled - amount);
  }

  #lentOf(take: Take): number {
    // Most ledgers lend nothing, and a key costs a string.
    return this.#lent.size === 0 ? 0 : (this.#lent.get(lentKey(take)) ?? 0);
  }

  /** Zero when there is room. */
  #waitFor(take: Take, now: number): number {
    const lent = this.#lentOf(take);
    if (take.kind === "place") return this.#place(take.counter).taken + lent < take.limit ? 0 : placeRetryMs;
    if (take.kind === "minute") {
      return this.#minute(take.counter).untilAtMost(now, take.limit - lent - Math.min(take.amount, take.limit));
    }
    const spent = spentOf(this.#period(take.counter, take.period)) + lent;
    return spent < take.limit && spent + take.amount <= take.limit ? 0 : take.leftMs;
  }

  #hold(take: Take, now: number): Held {
    if (take.kind === "minute") {
      const amount = Math.min(take.amount, take.limit);
      return { take, amount, second: this.#minute(take.counter).add(now, amount) };
    }
    if (take.kind === "place") this.#place(take.counter).taken++;
    else this.#period(take.counter, take.period).reserved += take.amount;
    return { take, amount: take.kind === "place" ? 1 : take.amount, second: 0 };
  }

  #settleOne({ take, amount, second }: Held, used: number, now: number): void {
    if (take.kind === "place") {
      this.#place(take.counter).taken--;
    } else if (take.kind === "minute") {
      const minute = this.#minute(take.counter);
      if (used < amount) minute.giveBack(now, second, amount - used);
      else if (used > amount) minute.add(now, used - amount);
    } else {
      const period = this.#period(take.counter, take.period);
      // After midnight the request counts for the period in which it ended, as it does in the database.
      if (period.name === take.period) period.reserved -= amount;
      period.settled += used;
    }
  }

  #state(take: Take, now: number): CounterState {
    const free = take.limit - this.#lentOf(take);
    if (take.kind === "minute") {
      const minute = this.#minute(take.counter);
      return { remaining: Math.max(0, free - minute.sum(now)), resetMs: minute.untilEmpty(now) };
    }
    if (take.kind === "place") {
      return { remaining: Math.max(0, free - this.#place(take.counter).taken), resetMs: placeRetryMs };
    }
    const spent = spentOf(this.#period(take.counter, take.period));
    return { remaining: Math.max(0, free - spent), resetMs: take.leftMs };
  }

  #minute(counter: string): SlidingMinute {
    return getOrMake(this.#minutes, counter, newMinute);
  }

  #place(counter: string): Places {
    return getOrMake(this.#places, counter, newPlaces);
  }

  /** The counter of this period, or of a later one that has begun. */
  #period(counter: string, name: string): Period {
    const known = this.#periods.get(counter);
    if (known !== undefined && known.name >= name) return known;
    const fresh = { name, known: 0, settled: 0, reserved: 0 };
    this.#periods.set(counter, fresh);
    return fresh;
  }

  #sweep(now: number): void {
    if (now - this.#sweptAt < sweepMs) return;
    this.#sweptAt = now;
    for (const [counter, minute] of this.#minutes) if (minute.sum(now) <= 0) this.#minutes.delete(counter);
    for (const [counter, { taken }] of this.#places) if (taken === 0) this.#places.delete(counter);
  }
}

/** What was lent of a period has no meaning in the next. */
function lentKey(take: Take): string {
  return take.kind === "period" ? `${take.counter} ${take.period}` : take.counter;
}

function spentOf({ known, settled, reserved }: Period): number {
  return known + settled + reserved;
}

const newMinute = (): SlidingMinute => new SlidingMinute();
const newPlaces = (): Places => ({ taken: 0 });

function getOrMake<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
