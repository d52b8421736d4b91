import type { Clock } from "../base/clock.ts";
import { describeError, NexusError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { InstanceRecordInput } from "../contract/instance-record.ts";
import { leaseTtlMsDefault } from "../registry/lease-table.ts";
import type { Lease, Registry } from "../registry/registry.ts";
import { within } from "./within.ts";

/** Pauses between tries while the registry is away: doubling, at most half a lease's life, so that it is back soon. */
const backoff = { firstMs: 250, maxMs: 5_000 } as const;

/** How long `stop` waits for the registry: a shutdown does not hang on somebody else's outage. */
const stopMs = 2_000;

export interface KeepRegisteredOptions {
  readonly registry: Pick<Registry, "register" | "renew" | "deregister">;
  /** The record as it should stand now. Called once for each time that it is written. */
  readonly record: () => InstanceRecordInput;
  /** Default 10 s: renewed every third, so that two lost calls do no harm. */
  readonly ttlMs?: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 to 1, spreads the retries of many instances. Default `Math.random`. */
  readonly random?: () => number;
}

/** A record that is being kept in the registry. */
export interface KeptRegistration {
  /** Writes the record again, once for all calls since the last writing. */
  changed(): void;
  /** Ends the renewals and takes the record away. Waits at most 2 s, never throws; idempotent. */
  stop(): Promise<void>;
}

/**
 * Registers at once, renews every third of the lease's life, registers again when the lease was lost, and keeps trying
 * with growing pauses while the registry is away. Never throws: an outage of the registry is no outage of the instance.
 */
export function keepRegistered(options: KeepRegisteredOptions): KeptRegistration {
  return new RegistrationLoop(options);
}

class RegistrationLoop implements KeptRegistration {
  readonly #options: KeepRegisteredOptions;
  readonly #ttlMs: number;
  readonly #running: Promise<void>;
  #lease: Lease | undefined;
  #isChanged = false;
  #isStopped = false;
  #failures = 0;
  #lastReason = "";
  #wake: () => void = () => {};
  #ended: Promise<void> | undefined;

  constructor(options: KeepRegisteredOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? leaseTtlMsDefault;
    this.#running = this.#run();
  }

  changed(): void {
    this.#isChanged = true;
    this.#wake();
  }

  stop(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const pauseMs = await this.#step();
      const isBackingOff = this.#failures > 0;
      if (this.#isStopped || pauseMs === 0 || (this.#isChanged && !isBackingOff)) continue;
      await this.#pause(pauseMs, isBackingOff);
    }
  }

  #pause(pauseMs: number, isBackingOff: boolean): Promise<void> {
    return new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(pauseMs, resolve);
      this.#wake = () => {
        // A change is no reason to press a registry that does not answer.
        if (isBackingOff && !this.#isStopped) return;
        cancel();
        resolve();
      };
    });
  }

  /** Makes the one call that is due; resolves to the milliseconds until the next. */
  async #step(): Promise<number> {
    const { clock, log } = this.#options;
    const writes = this.#lease === undefined || this.#isChanged;
    try {
      const held = await within(this.#call(), this.#ttlMs, clock);
      if (this.#lease === undefined || this.#failures > 0) log.info({ lease_ttl_ms: held.ttlMs }, "registered");
      this.#lease = held;
      this.#failures = 0;
      this.#lastReason = "";
      return this.#isChanged ? 0 : held.ttlMs / 3;
    } catch (error) {
      if (this.#lease !== undefined && error instanceof NexusError && error.code === "lease_expired") {
        this.#lease = undefined;
        log.warn({}, "the lease has run out, registering again");
        return 0;
      }
      this.#isChanged ||= writes;
      return this.#backOff(describeError(error));
    }
  }

  /** Registers, writes the record again, or just renews. */
  async #call(): Promise<Lease> {
    const { registry, record } = this.#options;
    const lease = this.#lease;
    if (lease !== undefined && !this.#isChanged) {
      await registry.renew(lease.id);
      return lease;
    }
    this.#isChanged = false;
    const current = record();
    if (lease === undefined) return await registry.register(current, this.#ttlMs);
    await registry.renew(lease.id, current);
    return lease;
  }

  #backOff(reason: string): number {
    const { log, random = Math.random } = this.#options;
    log[reason === this.#lastReason ? "debug" : "warn"]({ reason }, "cannot register, trying again");
    this.#lastReason = reason;
    return backoffMs(this.#failures++, random());
  }

  async #end(): Promise<void> {
    const { registry, clock, log } = this.#options;
    this.#isStopped = true;
    this.#wake();
    const deregister = async (): Promise<void> => {
      await this.#running;
      if (this.#lease !== undefined) await registry.deregister(this.#lease.id);
    };
    await within(deregister(), stopMs, clock).catch((error: unknown) => {
      log.warn({ reason: describeError(error) }, "cannot deregister, the lease will run out by itself");
    });
  }
}

/** Doubling from the first to the highest pause; the upper half of each is random. */
function backoffMs(failures: number, random: number): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(failures, 16));
  return full * (0.5 + random / 2);
}
