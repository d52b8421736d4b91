import type { Clock } from "../base/clock.ts";
import type { SlotLedger } from "../resilience/slot-ledger.ts";
import type { SlotReply, SlotRequest } from "./slot-messages.ts";

export interface LeasedSlotsOptions {
  readonly send: (request: SlotRequest) => void;
  readonly clock: Clock;
  /**
   * Whether the instance itself says how many requests it takes. What is only guessed is no limit that workers could
   * divide: each learns its own.
   */
  readonly isDeclared: (key: string) => boolean;
}

interface Lease {
  /** Slots that are this worker's to give to requests. */
  leased: number;
  used: number;
  /** As last seen here. */
  limit: number;
  /** Others wait for slots: what comes free goes back. */
  isWanted: boolean;
  /** Of the question for one more: none is open, no answer yet, or the answer was no and a slot will follow. */
  wish: "none" | "asked" | "waiting";
  askedAt: number;
  /** Requests that have been told to wait for the answer. */
  blocked: number;
  /** The number in use that the others were told. */
  told: number;
  touchedAt: number;
}

/** An answer that takes longer than this is not waited for: the request looks elsewhere. */
const answerMs = 50;
/** How often the others are told what is in use. */
const tellMs = 250;
/** A lease that nothing was done with for so long is given back. */
const idleMs = 5_000;

/**
 * Slots that this worker has in hand, leased from the primary: while there are enough nothing is asked. What is not
 * declared is counted here alone.
 */
export class LeasedSlots implements SlotLedger {
  readonly #options: LeasedSlotsOptions;
  readonly #leases = new Map<string, Lease>();
  readonly #others = new Map<string, number>();
  readonly #listeners = new Set<(key: string) => void>();
  #cancelTell: (() => void) | undefined;
  #isClosed = false;

  constructor(options: LeasedSlotsOptions) {
    this.#options = options;
  }

  tryTake(key: string, limit: number): boolean {
    if (limit <= 0) return false;
    const lease = this.#leaseOf(key);
    lease.touchedAt = this.#options.clock.monotonic();
    if (limit < lease.limit) this.#giveIdle(key, lease);
    lease.limit = limit;
    if (lease.used >= limit) return false;
    if (lease.used < lease.leased || !this.#options.isDeclared(key)) {
      lease.used++;
      this.#tellLater();
      return true;
    }
    this.#want(key, lease);
    return false;
  }

  isAsking(key: string): boolean {
    const lease = this.#leases.get(key);
    if (lease?.wish !== "asked" || this.#options.clock.monotonic() - lease.askedAt > answerMs) return false;
    lease.blocked++;
    return true;
  }

  give(key: string): void {
    const lease = this.#leases.get(key);
    if (lease === undefined || lease.used === 0) return;
    lease.used--;
    if (lease.leased > lease.used && (lease.isWanted || lease.leased > lease.limit)) {
      lease.leased--;
      this.#options.send({ kind: "give", key, count: 1, isAnswer: false });
    }
    // Also where it went back: whoever waits here then asks for one, and gets it in turn.
    this.#tell(key, 1);
  }

  taken(key: string): number {
    return (this.#leases.get(key)?.used ?? 0) + (this.#others.get(key) ?? 0);
  }

  onFree(listener: (key: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  receive(reply: SlotReply): void {
    if (reply.kind === "load") {
      for (const [key, used] of Object.entries(reply.used)) {
        if (used === 0) this.#others.delete(key);
        else this.#others.set(key, used);
      }
      return;
    }
    const lease = this.#leaseOf(reply.key);
    if (reply.kind === "grant") this.#granted(reply.key, lease, reply);
    else if (reply.kind === "recall") this.#recalled(reply.key, lease);
    else if (reply.kind === "calm") lease.isWanted = false;
    else this.#refused(reply.key, lease);
  }

  /** The primary has gone: there is nobody to ask. What is in hand still counts. */
  close(): void {
    this.#isClosed = true;
    this.#cancelTell?.();
  }

  #granted(key: string, lease: Lease, { count, isWanted }: { count: number; isWanted: boolean }): void {
    lease.wish = "none";
    lease.blocked = 0;
    lease.leased += count;
    lease.isWanted = isWanted;
    // Once more than there are slots: if still somebody waits, that asks for another.
    this.#tell(key, count + 1);
    if (lease.isWanted) this.#giveIdle(key, lease);
  }

  #recalled(key: string, lease: Lease): void {
    lease.isWanted = true;
    this.#giveIdle(key, lease, true);
  }

  /** Requests that waited for the answer can now look elsewhere. */
  #refused(key: string, lease: Lease): void {
    if (lease.wish === "asked") lease.wish = "waiting";
    const { blocked } = lease;
    lease.blocked = 0;
    this.#tell(key, blocked);
  }

  #want(key: string, lease: Lease): void {
    if (lease.wish !== "none" || this.#isClosed) return;
    lease.wish = "asked";
    lease.askedAt = this.#options.clock.monotonic();
    this.#options.send({ kind: "want", key, limit: lease.limit });
  }

  #giveIdle(key: string, lease: Lease, isAnswer = false): void {
    const count = Math.max(0, lease.leased - lease.used);
    lease.leased -= count;
    if (count > 0 || isAnswer) this.#options.send({ kind: "give", key, count, isAnswer });
  }

  #tell(key: string, times: number): void {
    this.#tellLater();
    for (let time = 0; time < times; time++) for (const listener of this.#listeners) listener(key);
  }

  #leaseOf(key: string): Lease {
    let lease = this.#leases.get(key);
    if (lease === undefined) {
      lease = {
        leased: 0,
        used: 0,
        limit: 0,
        isWanted: false,
        wish: "none",
        askedAt: 0,
        blocked: 0,
        told: 0,
        touchedAt: this.#options.clock.monotonic(),
      };
      this.#leases.set(key, lease);
    }
    return lease;
  }

  #tellLater(): void {
    if (this.#isClosed) return;
    this.#cancelTell ??= this.#options.clock.after(tellMs, () => this.#tellOthers());
  }

  /** Says what is in use, and gives back what is not needed any more. */
  #tellOthers(): void {
    this.#cancelTell = undefined;
    const used: Record<string, number> = {};
    const idleSince = this.#options.clock.monotonic() - idleMs;
    for (const [key, lease] of this.#leases) {
      if (lease.used !== lease.told) {
        used[key] = lease.used;
        lease.told = lease.used;
      } else if (lease.used === 0 && lease.wish === "none" && lease.touchedAt < idleSince) {
        this.#giveIdle(key, lease);
        // One that is wanted has to be remembered as such until the primary says otherwise.
        if (!lease.isWanted) this.#leases.delete(key);
      }
    }
    if (Object.keys(used).length > 0) this.#options.send({ kind: "load", used });
    if (this.#leases.size > 0) this.#tellLater();
  }
}
