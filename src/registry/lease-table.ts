import { randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import type { Lease } from "./registry.ts";

/** What services ask for unless told otherwise: a dead one is gone after this, a third of it is a renewal. */
export const leaseTtlMsDefault = 10_000;
/** Below this, renewals would cost more than they tell. etcd's own floor is 2 s. */
export const leaseTtlMsMin = 1_000;
export const leaseTtlMsMax = 3_600_000;

/** @throws NexusError `invalid_request` */
export function checkTtl(ttlMs: number): void {
  if (Number.isInteger(ttlMs) && ttlMs >= leaseTtlMsMin && ttlMs <= leaseTtlMsMax) return;
  throw new NexusError("invalid_request", `ttl_ms must be a whole number from ${leaseTtlMsMin} to ${leaseTtlMsMax}.`, {
    param: "ttl_ms",
  });
}

interface Held extends Lease {
  readonly key: string;
  deadline: number;
}

/** At most one lease a key, and the time when each runs out. */
export class LeaseTable {
  readonly #clock: Clock;
  readonly #onExpired: (keys: readonly string[]) => void;
  readonly #byId = new Map<string, Held>();
  readonly #byKey = new Map<string, Held>();
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;

  /** `onExpired` gets the keys whose leases have run out; they are gone from the table by then. */
  constructor(clock: Clock, onExpired: (keys: readonly string[]) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** A lease for `key` instead of the one it has. `id` is for leases that were granted before a restart. */
  grant(key: string, ttlMs: number, id = randomBytes(18).toString("base64url")): Lease {
    this.releaseKey(key);
    const held: Held = { id, key, ttlMs, deadline: this.#clock.monotonic() + ttlMs };
    this.#byId.set(id, held);
    this.#byKey.set(key, held);
    this.#wakeAt(held.deadline);
    return { id, ttlMs };
  }

  /** The key that the lease stands for, while it lives. */
  keyOf(id: string): string | undefined {
    return this.#byId.get(id)?.key;
  }

  /** The lease that keeps `key`. */
  of(key: string): Lease | undefined {
    return this.#byKey.get(key);
  }

  /** Another `ttlMs` from now. The timer stays: when it fires early, it is set anew. */
  renew(id: string): void {
    const held = this.#byId.get(id);
    if (held !== undefined) held.deadline = this.#clock.monotonic() + held.ttlMs;
  }

  releaseKey(key: string): void {
    const held = this.#byKey.get(key);
    if (held === undefined) return;
    this.#byKey.delete(key);
    this.#byId.delete(held.id);
  }

  close(): void {
    this.#timer?.cancel();
    this.#byId.clear();
    this.#byKey.clear();
  }

  #wakeAt(at: number): void {
    if (this.#timer !== undefined && this.#timer.at <= at) return;
    this.#timer?.cancel();
    const cancel = this.#clock.after(at - this.#clock.monotonic(), () => this.#sweep(at));
    this.#timer = { at, cancel };
  }

  #sweep(dueAt: number): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    // A process that was stopped or starved could not hear its owners renew: they get one fresh term, as after a restart.
    const stalled = now - dueAt > stallMs;
    const expired: string[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const held of this.#byKey.values()) {
      if (stalled) held.deadline = now + held.ttlMs;
      if (held.deadline <= now) expired.push(held.key);
      else next = Math.min(next, held.deadline);
    }
    for (const key of expired) this.releaseKey(key);
    if (next !== Number.POSITIVE_INFINITY) this.#wakeAt(next);
    if (expired.length > 0) this.#onExpired(expired);
  }
}

/** A timer later than this means that the whole process stood still. */
const stallMs = 500;
