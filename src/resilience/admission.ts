import type { Clock } from "../base/clock.ts";
import type { NexusError } from "../base/errors.ts";
import { clientClosed } from "./attempt-failure.ts";
import type { AdmissionConfig } from "./config.ts";
import { type AdmissionClass, admissionClasses, interactiveInRow, ModelQueue, type Queued } from "./model-queue.ts";
import { deadlinePassed, queueFull, tooLate, waitedTooLong } from "./refusals.ts";
import { ServiceRate } from "./service-rate.ts";
import { LocalSlotLedger, type SlotLedger } from "./slot-ledger.ts";

/** A request that wants a slot. */
export interface AdmissionAsk<C> {
  /** The model after aliases: it has one queue. */
  readonly model: string;
  readonly class: AdmissionClass;
  /** Tenants of one class take turns. */
  readonly tenant: string;
  /**
   * Requests of one model and kind can use the same instances; of different kinds perhaps not: features that they need,
   * a key's allow-list. Kinds do not wait for each other. Too coarse a kind costs waiting, never correctness.
   */
  readonly kind: string;
  /** On `clock.monotonic()`: the last moment at which a slot is of use. Infinity when the client has not said. */
  readonly deadlineAt: number;
  /** The client's: once aborted the request leaves the queue. */
  readonly signal: AbortSignal;
  /** True when it was let in before and its instance failed it: it goes first, and a full queue takes it all the same. */
  readonly isRetry: boolean;
  /**
   * Where it may go, best first, as of now: of several free ones it gets the first, and it waits for any of them. So an
   * instance that is worth a wait must not be listed with those that are not. Called again whenever a slot has come
   * free for it. Empty: nowhere at present, it waits. Throws when it had better not wait: refused with that error.
   */
  candidates(): readonly C[];
}

/** The right to have one request under way on an instance. */
export interface Slot<C> {
  readonly candidate: C;
  /** Milliseconds spent in the queue; 0 when there was no wait. */
  readonly queuedMs: number;
  /** Gives the slot back. Only the first call counts. */
  release(): void;
}

export interface AdmissionOptions<C> {
  readonly settings: AdmissionConfig;
  readonly clock: Clock;
  /** Requests that may be under way there at once; 0 while it wants none. Asked anew for every decision. */
  readonly limitOf: (candidate: C) => number;
  /** Default: counts within this process. */
  readonly ledger?: SlotLedger;
}

interface Waiter<C> extends Queued {
  readonly ask: AdmissionAsk<C>;
  readonly queue: ModelQueue<Waiter<C>>;
  readonly queuedAt: number;
  /** When it is refused for having waited too long: the deadline, or what its class may wait. */
  readonly expiresAt: number;
  readonly resolve: (slot: Slot<C>) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: () => void;
}

/** How often those who wait are looked at without an event: deadlines pass, and instances come back by time alone. */
const tickMs = 100;
/** Price of a turn before any has been measured. */
const assumedHoldMs = 1_000;
/** Models whose service rate is remembered; beyond, the oldest that is idle is forgotten. */
const ratesMax = 10_000;

/**
 * Lets requests through to instances that have a free slot, and makes the others wait in one bounded queue a model.
 * While a slot is free and nobody is before it, a request passes synchronously. A slot that comes free goes to the most
 * urgent class, within it to each model in turn, within that to the tenant that has had least; nobody waits behind one
 * who could not use the slot. Batch gets one only when nobody else wants it and a share of the slots stays free.
 */
export class Admission<C extends { readonly key: string }> {
  readonly #options: AdmissionOptions<C>;
  readonly #ledger: SlotLedger;
  readonly #from: SlotSource;
  readonly #queues = new Map<string, ModelQueue<Waiter<C>>>();
  readonly #rates = new Map<string, ServiceRate>();
  /** Interactive requests that an instance has taken in a row; kept while anybody waits. */
  readonly #inRow = new Map<string, number>();
  readonly #stopListening: () => void;
  #settings: AdmissionConfig;
  #waiting = 0;
  #cancelTick: (() => void) | undefined;

  constructor(options: AdmissionOptions<C>) {
    this.#options = options;
    this.#settings = options.settings;
    this.#ledger = options.ledger ?? new LocalSlotLedger();
    this.#from = { clock: options.clock, ledger: this.#ledger };
    this.#stopListening = this.#ledger.onFree((key) => this.#onFree(key));
  }

  /** For requests to come; those that wait keep their place and their time. */
  configure(settings: AdmissionConfig): void {
    this.#settings = settings;
    this.fleetChanged();
  }

  /** Requests that wait at present, of all models. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Requests of a model that wait at present, by class. */
  waitingOf(model: string): Readonly<Record<AdmissionClass, number>> {
    const lines = this.#queues.get(model)?.lines;
    return {
      interactive: lines?.interactive.size ?? 0,
      default: lines?.default.size ?? 0,
      batch: lines?.batch.size ?? 0,
    };
  }

  /** Milliseconds until all that may want a slot of this instance have one, as measured; 0 when nobody waits. */
  waitMsOf(key: string): number {
    let waitMs = 0;
    for (const [model, queue] of this.#queues) {
      if (queue.mayWant(key)) waitMs = Math.max(waitMs, this.#rateOf(model).waitMs(queue.size) ?? 0);
    }
    return waitMs;
  }

  /**
   * A slot of the first candidate that has one: at once where possible, else a promise.
   * @throws NexusError, or rejects with it: `queue_full` or `deadline_exceeded`, both with the seconds after which to
   * come back; `client_closed`; whatever `candidates` throws.
   */
  admit(ask: AdmissionAsk<C>): Slot<C> | Promise<Slot<C>> {
    if (ask.signal.aborted) throw clientClosed();
    const candidates = ask.candidates();
    if (this.#queues.get(ask.model)?.isBefore(ask) !== true) {
      const candidate = this.#takeFirst(ask, candidates);
      if (candidate !== undefined) return new HeldSlot(candidate, this.#rateOf(ask.model), this.#from);
    }
    return this.#enqueue(ask, candidates);
  }

  /** A slot of the first candidate that has one, if that needs no wait: for attempts that are not worth a wait. */
  tryAdmit(ask: AdmissionAsk<C>): Slot<C> | undefined {
    if (ask.signal.aborted || this.#queues.get(ask.model)?.isBefore(ask) === true) return undefined;
    const candidate = this.#takeFirst(ask, ask.candidates());
    return candidate && new HeldSlot(candidate, this.#rateOf(ask.model), this.#from);
  }

  /** Call when instances came, went, or became ready: everyone who waits is planned again. */
  fleetChanged(): void {
    for (const queue of this.#queues.values()) queue.forgetWanted();
    this.#serveAll();
  }

  /** Refuses everyone who waits and stops the timer. Slots that are held can still be given back. */
  close(error: NexusError): void {
    for (const queue of this.#queues.values()) for (const waiter of [...queue]) this.#refuse(waiter, error);
    this.#stopListening();
  }

  #rateOf(model: string): ServiceRate {
    let rate = this.#rates.get(model);
    if (rate === undefined) {
      rate = new ServiceRate();
      this.#rates.set(model, rate);
      if (this.#rates.size > ratesMax) this.#forgetIdleRate();
    }
    return rate;
  }

  #forgetIdleRate(): void {
    for (const [model, rate] of this.#rates) {
      if (rate.held > 0 || this.#queues.has(model)) continue;
      this.#rates.delete(model);
      return;
    }
  }

  /** Takes a slot of the first candidate that has one. */
  #takeFirst(ask: AdmissionAsk<C>, candidates: readonly C[]): C | undefined {
    if (ask.class === "batch" && !this.#isIdle(candidates)) return undefined;
    for (const candidate of candidates) {
      if (this.#ledger.tryTake(candidate.key, this.#options.limitOf(candidate))) return candidate;
      if (this.#ledger.isAsking(candidate.key)) return undefined;
    }
    return undefined;
  }

  /** Whether a share of the slots stays free when one more is taken; where there are too few for that, one is enough. */
  #isIdle(candidates: readonly C[]): boolean {
    let slots = 0;
    let taken = 0;
    for (const candidate of candidates) {
      slots += this.#options.limitOf(candidate);
      taken += this.#ledger.taken(candidate.key);
    }
    return slots - taken - 1 >= Math.floor(slots * this.#settings.batchIdleShare);
  }

  #enqueue(ask: AdmissionAsk<C>, candidates: readonly C[]): Promise<Slot<C>> {
    const { clock } = this.#options;
    const now = clock.monotonic();
    const expiresAt = Math.min(ask.deadlineAt, now + this.#settings.waitMsMax[ask.class]);
    const queue = this.#queueOf(ask.model);
    this.#makeRoom(ask, queue, expiresAt - now);
    const { promise, resolve, reject } = Promise.withResolvers<Slot<C>>();
    const waiter: Waiter<C> = {
      ask,
      queue,
      class: ask.class,
      kind: ask.kind,
      tenant: ask.tenant,
      isRetry: ask.isRetry,
      queuedAt: now,
      expiresAt,
      resolve,
      reject,
      onAbort: () => this.#refuse(waiter, clientClosed()),
    };
    this.#queues.set(ask.model, queue);
    queue.join(waiter);
    queue.noteWanted(ask, candidates);
    this.#waiting++;
    ask.signal.addEventListener("abort", waiter.onAbort, { once: true });
    this.#cancelTick ??= clock.after(tickMs, () => this.#onTick());
    return promise;
  }

  #queueOf(model: string): ModelQueue<Waiter<C>> {
    return this.#queues.get(model) ?? new ModelQueue();
  }

  /** @throws NexusError when the newcomer had better not wait. Retries have been let in once and are not refused. */
  #makeRoom(ask: AdmissionAsk<C>, queue: ModelQueue<Waiter<C>>, mayWaitMs: number): void {
    if (ask.isRetry) return;
    const { queueMax, queueTotalMax } = this.#settings;
    const rate = this.#rateOf(ask.model);
    const waitMs = rate.waitMs(queue.ahead(ask));
    if (mayWaitMs <= 0) throw deadlinePassed(ask.model, waitMs);
    if (waitMs !== undefined && waitMs > mayWaitMs) throw tooLate(ask.model, waitMs, waitMs - mayWaitMs);
    if (queue.size < queueMax && this.#waiting < queueTotalMax) return;
    const last = queue.lastBehind(ask);
    const full = queueFull(ask.model, rate.waitMs(queue.size));
    if (last === undefined) throw full;
    this.#refuse(last, full);
  }

  #refuse(waiter: Waiter<C>, error: unknown): void {
    if (waiter.queue.leave(waiter)) this.#hasLeft(waiter);
    waiter.reject(error);
  }

  /** Tidies up after somebody who waits no more. */
  #hasLeft({ ask, queue, onAbort }: Waiter<C>): void {
    ask.signal.removeEventListener("abort", onAbort);
    if (queue.size === 0) this.#queues.delete(ask.model);
    this.#waiting--;
    if (this.#waiting > 0) return;
    this.#inRow.clear();
    this.#cancelTick?.();
    this.#cancelTick = undefined;
  }

  #onTick(): void {
    const now = this.#options.clock.monotonic();
    for (const [model, queue] of this.#queues) {
      const drainMs = this.#rateOf(model).waitMs(queue.size);
      for (const waiter of [...queue]) {
        if (waiter.expiresAt > now) continue;
        const isDeadline = waiter.ask.deadlineAt <= now;
        const waitedMs = now - waiter.queuedAt;
        this.#refuse(waiter, isDeadline ? deadlinePassed(model, drainMs) : waitedTooLong(model, waitedMs, drainMs));
      }
    }
    this.#serveAll();
    this.#cancelTick = this.#waiting > 0 ? this.#options.clock.after(tickMs, () => this.#onTick()) : undefined;
  }

  /** One slot has come free: one request gets it. */
  #onFree(key: string): void {
    if (this.#waiting === 0) return;
    const inRow = this.#inRow.get(key) ?? 0;
    const isTurnOfDefault = inRow >= interactiveInRow && this.#serveClass("default", key);
    if (isTurnOfDefault) this.#inRow.delete(key);
    else if (this.#serveClass("interactive", key)) this.#inRow.set(key, inRow + 1);
    else if (this.#serveClass("default", key)) this.#inRow.delete(key);
    else this.#serveClass("batch", key);
  }

  #serveAll(): void {
    for (const name of admissionClasses) while (this.#waiting > 0 && this.#serveClass(name)) {}
  }

  /** Serves one request of a class, of the model whose turn it is. `key`: where a slot is free; undefined: anywhere. */
  #serveClass(name: AdmissionClass, key?: string): boolean {
    for (const [model, queue] of this.#queues) {
      if (queue.lines[name].size === 0 || (key !== undefined && !queue.mayWant(key))) continue;
      if (!this.#serveOne(queue, name)) continue;
      // The last to have been served is the last to be served again.
      if (this.#queues.delete(model)) this.#queues.set(model, queue);
      return true;
    }
    return false;
  }

  #serveOne(queue: ModelQueue<Waiter<C>>, name: AdmissionClass): boolean {
    const stuck = new Set<string | Waiter<C>>();
    const isAble = (waiter: Waiter<C>) => !stuck.has(waiter.isRetry ? waiter : waiter.kind);
    const line = queue.lines[name];
    for (let waiter = line.next(isAble); waiter !== undefined; waiter = line.next(isAble)) {
      const { ask } = waiter;
      try {
        const candidates = ask.candidates();
        queue.noteWanted(ask, candidates);
        const candidate = this.#takeFirst(ask, candidates);
        if (candidate !== undefined) {
          this.#serve(waiter, candidate);
          return true;
        }
        stuck.add(waiter.isRetry ? waiter : waiter.kind);
      } catch (error) {
        this.#refuse(waiter, error);
      }
    }
    return false;
  }

  #serve(waiter: Waiter<C>, candidate: C): void {
    const { clock } = this.#options;
    const rate = this.#rateOf(waiter.ask.model);
    const settle = waiter.queue.serve(waiter, Math.max(1, rate.holdMs ?? assumedHoldMs));
    this.#hasLeft(waiter);
    const turn = { waitedMs: clock.monotonic() - waiter.queuedAt, settle };
    waiter.resolve(new HeldSlot(candidate, rate, this.#from, turn));
  }
}

/** A turn in the queue that led to a slot. */
interface Turn {
  readonly waitedMs: number;
  /** Call with the time that the slot was held. */
  readonly settle: (heldMs: number) => void;
}

/** Where slots come from, and the time that they are held is measured by. */
interface SlotSource {
  readonly clock: Clock;
  readonly ledger: SlotLedger;
}

class HeldSlot<C extends { readonly key: string }> implements Slot<C> {
  readonly candidate: C;
  readonly #rate: ServiceRate;
  readonly #from: SlotSource;
  readonly #turn: Turn | undefined;
  readonly #takenAt: number;
  #isHeld = true;

  constructor(candidate: C, rate: ServiceRate, from: SlotSource, turn?: Turn) {
    this.candidate = candidate;
    this.#rate = rate;
    this.#from = from;
    this.#turn = turn;
    this.#takenAt = from.clock.monotonic();
    rate.begin();
  }

  get queuedMs(): number {
    return this.#turn?.waitedMs ?? 0;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    const heldMs = this.#from.clock.monotonic() - this.#takenAt;
    this.#rate.end(heldMs);
    this.#turn?.settle(heldMs);
    this.#from.ledger.give(this.candidate.key);
  }
}
