import type { Clock } from "../base/clock.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";
import type { AttemptFailure } from "./attempt-failure.ts";
import { Ejection, type EjectionSettings } from "./ejection.ts";
import type { InstanceNews } from "./instance-news.ts";
import { Penalty } from "./penalty.ts";

/** A failure within this time made the instance look idle: it costs a penalty. */
const fastFailureMs = 1_000;
/** Slow start: what an instance that comes back begins with. It gets its first requests when others have several. */
const comebackPenalty = 3;
/** An instance that refuses without saying for how long. */
const refusedMs = 1_000;
/** A server that asks to be left alone for longer is tried again after this all the same. */
const limitedMsMax = 60_000;

/** What this process has seen of one instance: probes, requests under way, how the last ones went. */
export class InstanceCondition {
  readonly ejection: Ejection;
  inFlight = 0;
  /** Requests at once, as its metadata says; null is unknown. */
  declaredLimit: number | null = null;
  /** It took a request for a stream only when that did not ask for the tokens to be counted. */
  refusesToCount = false;
  readonly #clock: Clock;
  readonly #tell: (news: UnnamedNews) => void;
  readonly #adaptiveLimit: AdaptiveLimit;
  readonly #penalty: Penalty;
  #unready: string | undefined;
  #limitedUntil = 0;

  /** `tell` hears what other processes should know. */
  constructor(settings: EjectionSettings, clock: Clock, tell: (news: UnnamedNews) => void = () => {}) {
    this.ejection = new Ejection(settings, clock);
    this.#clock = clock;
    this.#tell = tell;
    this.#adaptiveLimit = new AdaptiveLimit(clock);
    this.#penalty = new Penalty(clock);
  }

  /** Why probes say that it can take no requests; undefined when they say it can or have not said yet. */
  get unready(): string | undefined {
    return this.#unready;
  }

  set unready(reason: string | undefined) {
    if (this.#unready !== undefined && reason === undefined) this.#penalty.raiseTo(comebackPenalty);
    this.#unready = reason;
  }

  get ejected(): string | undefined {
    return this.ejection.reason;
  }

  /** Milliseconds for which it is left alone: it answered 429. */
  get limitedForMs(): number {
    return Math.max(0, this.#limitedUntil - this.#clock.monotonic());
  }

  /** Undefined, or why it is left alone for a while. */
  get limited(): string | undefined {
    const leftMs = this.limitedForMs;
    return leftMs > 0 ? `asked to be left alone for another ${Math.ceil(leftMs / 1_000)} s` : undefined;
  }

  /** How much dearer a request there is held to be: 0 is nothing, 1 doubles its cost. */
  get penalty(): number {
    return this.#penalty.value;
  }

  /** Requests that may be under way there now: as declared, else as learned; none while it is left alone. */
  get limit(): number {
    if (this.#limitedUntil > this.#clock.monotonic()) return 0;
    return this.declaredLimit ?? this.#adaptiveLimit.value;
  }

  get full(): boolean {
    return this.inFlight >= this.limit;
  }

  /** Call when a request is sent. One of `succeed`, `fail`, `breakOff` and `withdraw` follows, once. */
  begin(): void {
    this.ejection.begin();
    this.inFlight++;
  }

  /** The answer was good to its end. */
  succeed(): void {
    this.#adaptiveLimit.succeed(this.inFlight--);
    const wasOnTrial = this.ejection.isOnTrial;
    if (wasOnTrial) this.#penalty.raiseTo(comebackPenalty);
    this.ejection.succeed();
    if (wasOnTrial) this.#tell({ kind: "back" });
  }

  /** The attempt failed before its answer began, after `elapsedMs`. */
  fail(failure: AttemptFailure, elapsedMs: number): void {
    if (failure.status === 429) {
      this.#adaptiveLimit.refuse(this.inFlight);
      const askedMs = (failure.error.retryAfterSeconds ?? refusedMs / 1_000) * 1_000;
      const forMs = Math.min(limitedMsMax, askedMs);
      this.#limitedUntil = this.#clock.monotonic() + forMs;
      this.#tell({ kind: "limited", forMs });
    }
    if (failure.status === 429 || (failure.countsAgainstInstance && elapsedMs < fastFailureMs)) this.#penalty.add(1);
    if (failure.countsAgainstInstance) this.#count(failure.message);
    else this.ejection.withdraw();
    this.inFlight--;
  }

  /** The answer began and broke off or stalled. */
  breakOff(reason: string): void {
    this.#count(reason);
    this.inFlight--;
  }

  /** It ended in a way that says nothing about the instance: the client left, say. */
  withdraw(): void {
    this.ejection.withdraw();
    this.inFlight--;
  }

  /** Another process has learnt this. */
  learn(news: Exclude<InstanceNews, { readonly kind: "readiness" }>): void {
    if (news.kind === "limited") {
      this.#limitedUntil = Math.max(this.#limitedUntil, this.#clock.monotonic() + news.forMs);
    } else if (news.kind === "ejected") this.ejection.takeOut(news.forMs, news.reason);
    else {
      this.#penalty.raiseTo(comebackPenalty);
      this.ejection.succeed();
    }
  }

  #count(reason: string): void {
    const wasOut = this.ejection.outForMs > 0;
    this.ejection.fail(reason);
    const forMs = this.ejection.outForMs;
    if (!wasOut && forMs > 0) this.#tell({ kind: "ejected", forMs, reason: this.ejection.reason ?? reason });
  }
}

type UnnamedNews =
  | { readonly kind: "limited"; readonly forMs: number }
  | { readonly kind: "ejected"; readonly forMs: number; readonly reason: string }
  | { readonly kind: "back" };

/** The part of an instance's record that its condition depends on. */
interface Described {
  readonly metadata: { readonly capabilities: { readonly max_concurrency: number | null } };
}

/** Conditions by instance key, made when first asked for and forgotten with the instance. */
export class InstanceConditions {
  readonly #byKey = new Map<string, InstanceCondition>();
  #settings: EjectionSettings;
  readonly #clock: Clock;
  #instances: ReadonlyMap<string, Described> = new Map();

  readonly #tell: (news: InstanceNews) => void;

  /** `tell` hears what other processes should know. */
  constructor(settings: EjectionSettings, clock: Clock, tell: (news: InstanceNews) => void = () => {}) {
    this.#settings = settings;
    this.#clock = clock;
    this.#tell = tell;
  }

  /** For every instance that is known and all that come. */
  configure(settings: EjectionSettings): void {
    this.#settings = settings;
    for (const { ejection } of this.#byKey.values()) ejection.configure(settings);
  }

  of(key: string): InstanceCondition {
    let condition = this.#byKey.get(key);
    if (condition === undefined) {
      condition = new InstanceCondition(this.#settings, this.#clock, (news) => this.#tell({ ...news, key }));
      condition.declaredLimit = this.#limitOf(key);
      this.#byKey.set(key, condition);
    }
    return condition;
  }

  /**
   * Takes over what the fleet says of its instances, and forgets what is not in it any more. Requests under way keep
   * the object they hold.
   */
  retain(instances: ReadonlyMap<string, Described>): void {
    this.#instances = instances;
    for (const [key, condition] of this.#byKey) {
      if (instances.has(key)) condition.declaredLimit = this.#limitOf(key);
      else this.#byKey.delete(key);
    }
  }

  #limitOf(key: string): number | null {
    return this.#instances.get(key)?.metadata.capabilities.max_concurrency ?? null;
  }
}
