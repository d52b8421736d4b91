import type { KnownSpend, Take } from "../keys/limit-ledger.ts";
import type { LentUse, LocalLedger } from "../keys/local-ledger.ts";
import type { LimitReply, LimitRequest } from "./limit-messages.ts";

/** A worker, as the broker sees it. */
export interface LimitHolder {
  send(reply: LimitReply): void;
}

/** What a worker has of one counter, to be put right when it dies. */
interface Account {
  readonly take: Take;
  lent: number;
  /** Of a `period`: of requests under way. */
  reserved: number;
  /** Of a `period`: used, and not yet in the database. */
  settled: number;
}

interface Books {
  readonly receipts: Map<number, readonly Take[]>;
  readonly accounts: Map<string, Account>;
}

/** Of what is left of a limit, a worker is lent such a part, divided by the number of workers. */
const shareDivisor = 4;
/** Lent only if it is enough for so many requests like the one that asks; else every request is counted here. */
const worthTakes = 8;
/** Counters of a worker beyond this are looked through for forgetting. */
const accountsSweepAt = 10_000;

/**
 * Counts for all workers. What is left of a limit and plentiful is lent in portions, and counts as taken until the
 * worker says what became of it; where it is scarce every request is asked for here. So the limit is never exceeded,
 * and a request is refused wrongly only while what it needs is idle in another worker's hands: for a fifth of a second
 * and only of limits that allow more than some dozen requests.
 */
export class LimitBroker {
  readonly #ledger: LocalLedger;
  readonly #books = new Map<LimitHolder, Books>();

  constructor(ledger: LocalLedger) {
    this.#ledger = ledger;
  }

  join(holder: LimitHolder): void {
    this.#books.set(holder, { receipts: new Map(), accounts: new Map() });
  }

  /** Frees the places of a worker that has gone. What it took of a minute counts on: it was used. */
  leave(holder: LimitHolder): void {
    const books = this.#books.get(holder);
    if (books === undefined) return;
    this.#books.delete(holder);
    for (const [receipt, takes] of books.receipts) this.#ledger.settle(receipt, nothingOfPeriods(takes));
    for (const { take, lent, reserved, settled } of books.accounts.values()) {
      this.#ledger.lend(take, -lent);
      if (take.kind !== "period") continue;
      this.#ledger.noteLent({ ...noUse, take, ended: reserved });
      this.#ledger.forgetSettled(take, settled);
    }
  }

  receive(holder: LimitHolder, request: LimitRequest): void {
    const books = this.#books.get(holder);
    if (books === undefined) return;
    if (request.kind === "take") this.#take(holder, books, request);
    else if (request.kind === "settle") this.#settle(books, request);
    else if (request.kind === "use") for (const use of request.uses) this.#noteUse(books, use);
    else this.#noteSpend(books, request.spend);
  }

  #take(holder: LimitHolder, books: Books, { id, takes }: Extract<LimitRequest, { kind: "take" }>): void {
    const taken = this.#ledger.take(takes);
    let lent: readonly number[] = [];
    if (taken.ok) {
      books.receipts.set(taken.receipt, takes);
      lent = takes.map((take) => this.#lend(books, take));
    }
    holder.send({ kind: "taken", id, taken, lent });
  }

  #lend(books: Books, take: Take): number {
    const amount = take.kind === "place" ? 1 : Math.max(1, take.amount);
    const share = Math.floor(this.#ledger.remaining(take) / (shareDivisor * this.#books.size));
    if (share < worthTakes * amount) return 0;
    this.#ledger.lend(take, share);
    this.#accountOf(books, take).lent += share;
    return share;
  }

  #settle(books: Books, { receipt, used }: Extract<LimitRequest, { kind: "settle" }>): void {
    const takes = books.receipts.get(receipt);
    if (takes === undefined) return;
    books.receipts.delete(receipt);
    this.#ledger.settle(receipt, used);
    for (const take of takes) {
      if (take.kind === "period") this.#accountOf(books, take).settled += used[take.counter] ?? take.amount;
    }
  }

  #noteUse(books: Books, use: LentUse): void {
    const account = this.#accountOf(books, use.take);
    account.lent -= use.returned + (use.take.kind === "place" ? 0 : use.spent);
    if (use.take.kind === "period") {
      account.reserved += use.spent - use.ended;
      account.settled += use.settled;
    }
    this.#ledger.noteLent(use);
    if (isEmpty(account)) books.accounts.delete(accountKey(use.take));
  }

  #noteSpend(books: Books, spend: readonly KnownSpend[]): void {
    this.#ledger.noteSpend(spend);
    for (const { counter, period, settled } of spend) {
      const account = books.accounts.get(`${counter} ${period}`);
      if (account !== undefined) account.settled = Math.max(0, account.settled - settled);
    }
  }

  #accountOf({ accounts }: Books, take: Take): Account {
    const key = accountKey(take);
    let account = accounts.get(key);
    if (account === undefined) {
      if (accounts.size >= accountsSweepAt) {
        for (const [known, one] of accounts) if (isEmpty(one)) accounts.delete(known);
      }
      account = { take, lent: 0, reserved: 0, settled: 0 };
      accounts.set(key, account);
    }
    return account;
  }
}

const noUse = { spent: 0, returned: 0, more: 0, back: [], ended: 0, settled: 0 } as const;

function accountKey(take: Take): string {
  return take.kind === "period" ? `${take.counter} ${take.period}` : take.counter;
}

function isEmpty({ lent, reserved, settled }: Account): boolean {
  return lent <= 0 && reserved <= 0 && settled <= 0;
}

/** Usage that nobody will ever write to the database does not count against budgets. */
function nothingOfPeriods(takes: readonly Take[]): Record<string, number> {
  return Object.fromEntries(takes.flatMap((take) => (take.kind === "period" ? [[take.counter, 0]] : [])));
}
