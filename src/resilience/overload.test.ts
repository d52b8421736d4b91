import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock } from "../base/clock.ts";
import { NexusError } from "../base/errors.ts";
import { Admission, type Slot } from "./admission.ts";
import type { AttemptEffects, Keyed } from "./attempt.ts";
import { AttemptFailure } from "./attempt-failure.ts";
import { admissionConfigSchema } from "./config.ts";
import type { AdmissionClass } from "./model-queue.ts";
import { RetryBudget } from "./retry-budget.ts";
import { tryCandidates } from "./try-candidates.ts";

/** Time that jumps from one event to the next. */
class VirtualTime implements Clock {
  #now = 0;
  readonly #events: { at: number; run: () => void }[] = [];

  now = () => this.#now;
  monotonic = () => this.#now;

  after(delayMs: number, run: () => void): () => void {
    const event = { at: this.#now + Math.max(0, delayMs), run };
    let low = 0;
    for (let high = this.#events.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle]?.at ?? 0) > event.at) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
    return () => {
      event.run = () => {};
    };
  }

  async runTo(end: number): Promise<void> {
    for (let event = this.#events.at(-1); event !== undefined && event.at <= end; event = this.#events.at(-1)) {
      this.#events.pop();
      this.#now = event.at;
      event.run();
      for (let turn = 0; turn < 12; turn++) await Promise.resolve();
    }
    this.#now = end;
  }
}

/** Numbers from a seed (mulberry32, public domain): a failing run can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Tally {
  offered: number;
  good: number;
  late: number;
  waitMsMax: number;
}

/** Four instances with four slots each; an answer takes 200 ms on the mean. */
const keys = ["a", "b", "c", "d"];
const candidates = keys.map((key) => ({ key }));
const slotsEach = 4;
const answerMs = 200;
const capacityPerSecond = (keys.length * slotsEach * 1_000) / answerMs;
const patienceMs = 5_000;

class Fleet {
  readonly clock = new VirtualTime();
  readonly chance: () => number;
  readonly budget = new RetryBudget({ ratio: 0.2, min: 3 });
  readonly admission: Admission<{ readonly key: string }>;
  readonly tallies = new Map<string, Tally>();
  readonly underWay = new Map<string, number>();
  attempts = 0;
  waitingMost = 0;
  underWayMost = 0;
  readonly retryAfter = new Set<number>();

  constructor(seed: number, queueMax: number) {
    this.chance = random(seed);
    const settings = admissionConfigSchema.parse({ queueMax });
    this.admission = new Admission({ settings, clock: this.clock, limitOf: () => slotsEach });
  }

  get good(): number {
    let good = 0;
    for (const tally of this.tallies.values()) good += tally.good;
    return good;
  }

  tally(tenant: string): Tally {
    const tally = this.tallies.get(tenant) ?? { offered: 0, good: 0, late: 0, waitMsMax: 0 };
    this.tallies.set(tenant, tally);
    return tally;
  }

  /** Requests of one tenant, at random times until `endMs`. */
  load(tenant: string, name: AdmissionClass, perSecond: number, endMs: number): void {
    const arrive = () => {
      if (this.clock.monotonic() >= endMs) return;
      void this.#request(tenant, name);
      this.clock.after(this.#exponential(1_000 / perSecond), arrive);
    };
    this.clock.after(this.#exponential(1_000 / perSecond), arrive);
  }

  /** A client that leaves when its patience has ended, and has said so. */
  async #request(tenant: string, name: AdmissionClass): Promise<void> {
    const { clock, budget } = this;
    const tally = this.tally(tenant);
    tally.offered++;
    const client = new AbortController();
    const cancelPatience = clock.after(patienceMs, () => client.abort());
    const closeRequest = budget.openRequest();
    try {
      const effects = this.#effects(tenant, name, client.signal);
      const slot = await tryCandidates(effects, { attemptsMax: 3, budget, signal: client.signal, clock });
      slot.release();
      tally.good++;
      tally.waitMsMax = Math.max(tally.waitMsMax, slot.queuedMs);
    } catch (error) {
      assert.ok(error instanceof NexusError, String(error));
      if (error.status === 429) this.retryAfter.add(error.retryAfterSeconds ?? 0);
      if (error.code === "client_closed") tally.late++;
    } finally {
      cancelPatience();
      closeRequest();
    }
  }

  #effects(tenant: string, name: AdmissionClass, signal: AbortSignal): AttemptEffects<Keyed, Slot<Keyed>> {
    // The client wants the answer by then, so it has to begin before.
    const deadlineAt = this.clock.monotonic() + patienceMs - 5 * answerMs;
    return {
      next: (tried) =>
        this.admission.admit({
          model: "m",
          class: name,
          tenant,
          kind: "",
          deadlineAt,
          signal,
          isRetry: tried.size > 0,
          candidates: () => candidates.filter(({ key }) => !tried.has(key)),
        }),
      send: ({ slot }) => this.#answer(slot, signal),
      failed: () => {},
    };
  }

  /** One in fifty breaks its connection at once. */
  async #answer(slot: Slot<Keyed>, signal: AbortSignal): Promise<Slot<Keyed>> {
    const { key } = slot.candidate;
    this.attempts++;
    this.waitingMost = Math.max(this.waitingMost, this.admission.waiting);
    this.#count(key, 1);
    const isBroken = this.chance() < 0.02;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.clock.after(isBroken ? 1 : this.#exponential(answerMs), resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    this.#count(key, -1);
    if (signal.aborted) throw new NexusError("client_closed", "gone");
    if (isBroken) throw new AttemptFailure("reset", new NexusError("backend_unreachable", "reset"));
    return slot;
  }

  #count(key: string, change: number): void {
    const count = (this.underWay.get(key) ?? 0) + change;
    this.underWay.set(key, count);
    this.underWayMost = Math.max(this.underWayMost, count);
  }

  #exponential(meanMs: number): number {
    return -meanMs * Math.log(1 - this.chance());
  }
}

describe("ten times more than the fleet can serve", () => {
  const seconds = 15;
  for (const seed of [1, 2]) {
    it(`is served at capacity, fairly and within bounds (seed ${seed})`, { timeout: 60_000 }, async () => {
      const fleet = new Fleet(seed, 256);
      const endMs = seconds * 1_000;
      const quiet = Array.from({ length: 8 }, (_, number) => `quiet${number}`);
      for (const tenant of quiet) fleet.load(tenant, "default", 4, endMs);
      fleet.load("loud", "default", capacityPerSecond * 8, endMs);
      fleet.load("screen", "interactive", capacityPerSecond * 1.6, endMs);
      await fleet.clock.runTo(endMs);
      const goodput = fleet.good / (capacityPerSecond * seconds);
      assert.ok(goodput >= 0.9, `goodput is ${goodput.toFixed(3)} of capacity`);
      assert.ok(fleet.attempts <= 1.2 * fleet.good, `${fleet.attempts} attempts for ${fleet.good} answers`);
      assert.ok(fleet.waitingMost <= 256 + 16, `${fleet.waitingMost} waited`);
      assert.ok(fleet.underWayMost <= slotsEach, `${fleet.underWayMost} at once on one instance`);
      for (const tenant of [...quiet, "loud", "screen"]) {
        const { good, offered } = fleet.tally(tenant);
        assert.ok(good >= seconds / 2, `${tenant} got ${good} of ${offered}`);
      }
      assert.ok([...fleet.retryAfter].every((wait) => wait >= 1 && wait <= 60));
      await fleet.clock.runTo(endMs + 2 * patienceMs);
      assert.equal(fleet.admission.waiting, 0);
    });
  }
});
