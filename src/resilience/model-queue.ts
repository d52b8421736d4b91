import { FairLine, type Standing } from "./fair-line.ts";

/** The classes of requests, the most urgent first. */
export const admissionClasses = ["interactive", "default", "batch"] as const;
export type AdmissionClass = (typeof admissionClasses)[number];

/** Of so many turns that interactive requests could have had in a row, the last goes to a default one. */
export const interactiveInRow = 4;

/** One who waits for a slot. */
export interface Queued extends Standing {
  readonly class: AdmissionClass;
  /** Requests of one kind can use the same instances: where the first one finds no slot the others find none. */
  readonly kind: string;
}

/** Those who wait for one model: a fair line for each class. Knows nothing of slots and time. */
export class ModelQueue<W extends Queued> {
  readonly lines: Readonly<Record<AdmissionClass, FairLine<W>>> = {
    interactive: new FairLine(),
    default: new FairLine(),
    batch: new FairLine(),
  };
  /** How many of each kind wait in the foreground, which is every class but batch. Retries are each their own kind. */
  readonly #foreground = new Map<string, number>();
  /** Instances that somebody here could use, as last planned, and the kinds that have said so. */
  readonly #wanted = new Set<string>();
  readonly #plannedKinds = new Set<string>();

  get size(): number {
    return this.lines.interactive.size + this.lines.default.size + this.lines.batch.size;
  }

  join(waiter: W): void {
    this.lines[waiter.class].join(waiter);
    this.#count(waiter, 1);
  }

  /** Takes somebody out, wherever he stands; false when he is not here. */
  leave(waiter: W): boolean {
    const hasLeft = this.lines[waiter.class].leave(waiter);
    if (hasLeft) this.#count(waiter, -1);
    return hasLeft;
  }

  /** Lets somebody out to be served at a price of slot time; see `FairLine.serve`. */
  serve(waiter: W, priceMs: number): (trueMs: number) => void {
    this.#count(waiter, -1);
    return this.lines[waiter.class].serve(waiter, priceMs);
  }

  /** Whether a newcomer must stand in line: somebody before him could use the same slots. */
  isBefore(newcomer: Pick<W, "class" | "kind">): boolean {
    if (newcomer.class === "batch") return this.size > 0;
    return this.#foreground.has(newcomer.kind);
  }

  /** How many will be served before a newcomer, as far as the numbers of those who wait tell. */
  ahead({ class: name, tenant, isRetry }: Pick<W, "class" | "tenant" | "isRetry">): number {
    const { interactive, default: ordinary } = this.lines;
    const own = isRetry ? 0 : this.lines[name].ahead(tenant);
    if (name === "interactive") return own + Math.min(ordinary.size, Math.floor(own / interactiveInRow));
    if (name === "default") return own + Math.min(interactive.size, (own + 1) * interactiveInRow);
    return own + interactive.size + ordinary.size;
  }

  /**
   * Who makes room for a newcomer when the queue is full: a batch request; one of the class that has more than its
   * share of the places; one of a tenant that has more of them than the newcomer's would have. Always the newest. One
   * who floods a queue keeps nobody else out of it.
   */
  lastBehind({ class: name, tenant }: Pick<W, "class" | "tenant">): W | undefined {
    const { interactive, default: ordinary, batch } = this.lines;
    if (name !== "batch" && batch.size > 0) return batch.last()?.waiter;
    const hasShare = ordinary.size >= this.size / (interactiveInRow + 1);
    if (name === "interactive" && hasShare && ordinary.size > 0) return ordinary.last()?.waiter;
    if (name === "default" && !hasShare) return interactive.last()?.waiter;
    const last = this.lines[name].last();
    return last !== undefined && last.count > this.lines[name].waitingOf(tenant) + 1 ? last.waiter : undefined;
  }

  /** Notes where a request can go, and with it those of its kind; a retry can go to fewer instances than they. */
  noteWanted({ kind, isRetry }: Pick<W, "kind" | "isRetry">, candidates: readonly { readonly key: string }[]): void {
    if (this.#plannedKinds.has(kind)) return;
    if (!isRetry) this.#plannedKinds.add(kind);
    for (const { key } of candidates) this.#wanted.add(key);
  }

  /** The fleet has changed: where anybody can go is to be planned again. */
  forgetWanted(): void {
    this.#wanted.clear();
    this.#plannedKinds.clear();
  }

  /** Whether somebody here may want a slot of this instance, as last planned. */
  mayWant(key: string): boolean {
    return this.#wanted.has(key);
  }

  *[Symbol.iterator](): Generator<W> {
    for (const name of admissionClasses) yield* this.lines[name];
  }

  #count({ kind, class: name, isRetry }: W, change: number): void {
    if (name === "batch" || isRetry) return;
    const count = (this.#foreground.get(kind) ?? 0) + change;
    if (count === 0) this.#foreground.delete(kind);
    else this.#foreground.set(kind, count);
  }
}
