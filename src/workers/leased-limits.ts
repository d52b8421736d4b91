import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { CounterState, KnownSpend, LimitLedger, Take, Taken } from "../keys/limit-ledger.ts";
import type { LimitReply, LimitRequest } from "./limit-messages.ts";

export interface LeasedLimitsOptions {
  readonly send: (request: LimitRequest) => void;
  readonly clock: Clock;
}

/** What is in hand of one counter. */
interface Loan {
  take: Take;
  /** May be taken without asking. */
  free: number;
  /** As the primary said last, without what is lent to others and to us. */
  remaining: number;
  resetMs: number;
  touchedAt: number;
  /** Since the primary was told last. */
  spent: number;
  more: number;
  /** What was taken and not used after all, by the time at which it was taken. */
  back: Map<number, number>;
  ended: number;
  settled: number;
  isChanged: boolean;
}

interface LocalTake {
  readonly take: Take;
  readonly amount: number;
  readonly at: number;
}

/** A question to the primary. */
interface Asked {
  readonly takes: readonly Take[];
  readonly resolve: (taken: Taken) => void;
  readonly fail: () => void;
  isLate: boolean;
}

/** How soon the primary is told what became of what it lent. */
const tellMs = 50;
/** What is given back of a minute is added up over so long. */
const backStepMs = 200;
/** What was not touched for so long goes back. */
const idleMs = 200;
/** A primary that does not answer for so long is as good as gone. */
const answerMs = 2_000;

/**
 * Limits of which this worker has a portion in hand, lent by the primary: within it requests pass at once. What it
 * does not cover is asked for.
 */
export class LeasedLimits implements LimitLedger {
  readonly #options: LeasedLimitsOptions;
  readonly #loans = new Map<string, Loan>();
  /** Receipts below zero were written here, others by the primary. */
  readonly #local = new Map<number, readonly LocalTake[]>();
  readonly #asked = new Map<number, Asked>();
  #lastReceipt = 0;
  #lastId = 0;
  #cancelTell: (() => void) | undefined;
  #isClosed = false;

  constructor(options: LeasedLimitsOptions) {
    this.#options = options;
  }

  /** Rejects with `draining` when the primary does not answer. */
  take(takes: readonly Take[]): Taken | Promise<Taken> {
    const now = this.#options.clock.monotonic();
    const loans = takes.map((take) => this.#loanFor(take));
    if (loans.every((loan) => loan !== undefined)) return this.#takeHere(takes, loans, now);
    return this.#ask(takes);
  }

  settle(receipt: number, used: Readonly<Record<string, number>>): void {
    if (receipt >= 0) {
      this.#options.send({ kind: "settle", receipt, used });
      return;
    }
    const held = this.#local.get(receipt);
    if (held === undefined) return;
    this.#local.delete(receipt);
    for (const one of held) this.#settleHere(one, used[one.take.counter] ?? one.amount);
    this.#tellSoon();
  }

  noteSpend(spend: readonly KnownSpend[]): void {
    if (spend.length === 0) return;
    // What was settled must be known before it is said to be in the database.
    this.#tell();
    this.#options.send({ kind: "spend", spend });
  }

  receive({ id, taken, lent }: LimitReply): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    const { takes, resolve, isLate } = asked;
    takes.forEach((take, index) => {
      const state = taken.states[index];
      if (state !== undefined) this.#noteLoan(take, state, lent[index] ?? 0);
    });
    // The request has been refused meanwhile and used nothing.
    if (isLate && taken.ok) this.settle(taken.receipt, Object.fromEntries(takes.map(({ counter }) => [counter, 0])));
    resolve(taken);
  }

  /** The primary has gone: whoever waits for it is refused. */
  close(): void {
    this.#isClosed = true;
    this.#cancelTell?.();
    for (const { fail } of this.#asked.values()) fail();
    this.#asked.clear();
  }

  /** What is in hand, when it is enough. */
  #loanFor(take: Take): Loan | undefined {
    const loan = this.#loans.get(loanKey(take));
    if (loan === undefined) return undefined;
    // Somebody has changed the limit: what was lent of the old one counts no more.
    if (loan.take.limit !== take.limit) return undefined;
    return loan.free >= amountOf(take) ? loan : undefined;
  }

  #takeHere(takes: readonly Take[], loans: readonly Loan[], now: number): Taken {
    const receipt = --this.#lastReceipt;
    const held = takes.map((take, index): LocalTake => {
      const loan = loans[index] as Loan;
      const amount = amountOf(take);
      loan.free -= amount;
      loan.touchedAt = now;
      if (take.kind !== "place") loan.spent += amount;
      loan.isChanged = true;
      return { take, amount, at: now };
    });
    this.#local.set(receipt, held);
    this.#tellSoon();
    const states = loans.map(({ remaining, free, resetMs }) => ({ remaining: remaining + free, resetMs }));
    return { ok: true, receipt, states };
  }

  #settleHere({ take, amount, at }: LocalTake, used: number): void {
    const loan = this.#loanOf(take);
    loan.touchedAt = this.#options.clock.monotonic();
    loan.isChanged = true;
    if (take.kind === "place") loan.free++;
    else if (take.kind === "period") {
      loan.ended += amount;
      loan.settled += used;
    } else if (used > amount) loan.more += used - amount;
    else if (used < amount) {
      const step = Math.floor(at / backStepMs);
      loan.back.set(step, (loan.back.get(step) ?? 0) + amount - used);
    }
  }

  #loanOf(take: Take): Loan {
    const key = loanKey(take);
    let loan = this.#loans.get(key);
    if (loan === undefined) {
      loan = noLoan(take);
      this.#loans.set(key, loan);
    }
    return loan;
  }

  #ask(takes: readonly Take[]): Promise<Taken> {
    const { clock, send } = this.#options;
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Taken>();
    const fail = () =>
      reject(new NexusError("draining", "The gateway is restarting. Try again.", { retryAfterSeconds: 1 }));
    if (this.#isClosed) {
      fail();
      return promise;
    }
    const asked: Asked = { takes, resolve, fail, isLate: false };
    const cancel = clock.after(answerMs, () => {
      asked.isLate = true;
      fail();
    });
    this.#asked.set(id, asked);
    // What is in hand of a limit that has changed goes back before more is asked for.
    for (const take of takes) this.#returnChanged(take);
    send({ kind: "take", id, takes });
    return promise.finally(cancel);
  }

  #returnChanged(take: Take): void {
    const loan = this.#loans.get(loanKey(take));
    if (loan === undefined || loan.take.limit === take.limit) return;
    this.#tell((one) => one === loan);
  }

  #noteLoan(take: Take, { remaining, resetMs }: CounterState, lent: number): void {
    if (lent === 0 && !this.#loans.has(loanKey(take))) return;
    const loan = this.#loanOf(take);
    loan.take = take;
    loan.free += lent;
    // What was just lent was still counted as left.
    loan.remaining = remaining - lent;
    loan.resetMs = resetMs;
    if (lent === 0) return;
    loan.touchedAt = this.#options.clock.monotonic();
    this.#tellSoon();
  }

  #tellSoon(): void {
    if (!this.#isClosed) this.#cancelTell ??= this.#options.clock.after(tellMs, () => this.#tell());
  }

  /** Says what became of what was lent, and gives back what is idle or `mustReturn` names. */
  #tell(mustReturn: (loan: Loan) => boolean = () => false): void {
    this.#cancelTell?.();
    this.#cancelTell = undefined;
    const now = this.#options.clock.monotonic();
    const idleSince = now - idleMs;
    const uses = [];
    for (const [key, loan] of this.#loans) {
      const isOver = loan.touchedAt <= idleSince || mustReturn(loan);
      const { take, spent, more, ended, settled } = loan;
      const back = [...loan.back].map(([step, amount]) => ({ amount, ageMs: now - (step + 0.5) * backStepMs }));
      const returned = isOver ? loan.free : 0;
      if (loan.isChanged || returned > 0) uses.push({ take, spent, returned, more, back, ended, settled });
      if (isOver) this.#loans.delete(key);
      else Object.assign(loan, { spent: 0, more: 0, back: new Map(), ended: 0, settled: 0, isChanged: false });
    }
    if (uses.length > 0) this.#options.send({ kind: "use", uses });
    if (this.#loans.size > 0) this.#tellSoon();
  }
}

function noLoan(take: Take): Loan {
  return {
    take,
    free: 0,
    remaining: 0,
    resetMs: 0,
    touchedAt: 0,
    spent: 0,
    more: 0,
    back: new Map(),
    ended: 0,
    settled: 0,
    isChanged: false,
  };
}

function loanKey(take: Take): string {
  return take.kind === "period" ? `${take.counter} ${take.period}` : take.counter;
}

/** More than a minute's limit is taken as the limit, as the ledger does. */
function amountOf(take: Take): number {
  if (take.kind === "place") return 1;
  return take.kind === "minute" ? Math.min(take.amount, take.limit) : take.amount;
}
