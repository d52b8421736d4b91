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
  const { registry, clock, log, ttlMs = leaseTtlMsDefault, random = Math.random } = options;
  let lease: Lease | undefined;
  let isChanged = false;
  let isStopped = false;
  let failures = 0;
  let lastReason = "";
  let wake = (): void => {};

  /** The one call that is due: register, write the record again, or just renew. */
  const call = async (): Promise<Lease> => {
    if (lease !== undefined && !isChanged) {
      await registry.renew(lease.id);
      return lease;
    }
    isChanged = false;
    const record = options.record();
    if (lease === undefined) return await registry.register(record, ttlMs);
    await registry.renew(lease.id, record);
    return lease;
  };
  /** Milliseconds until the next call. */
  const step = async (): Promise<number> => {
    const writes = lease === undefined || isChanged;
    try {
      const held = await within(call(), ttlMs, clock);
      if (lease === undefined || failures > 0) log.info({ lease_ttl_ms: held.ttlMs }, "registered");
      lease = held;
      failures = 0;
      lastReason = "";
      return isChanged ? 0 : held.ttlMs / 3;
    } catch (error) {
      if (lease !== undefined && error instanceof NexusError && error.code === "lease_expired") {
        lease = undefined;
        log.warn({}, "the lease has run out, registering again");
        return 0;
      }
      isChanged ||= writes;
      const reason = describeError(error);
      log[reason === lastReason ? "debug" : "warn"]({ reason }, "cannot register, trying again");
      lastReason = reason;
      return backoffMs(failures++, random());
    }
  };
  const run = async (): Promise<void> => {
    while (!isStopped) {
      const pauseMs = await step();
      const isBackingOff = failures > 0;
      if (isStopped || pauseMs === 0 || (isChanged && !isBackingOff)) continue;
      await new Promise<void>((resolve) => {
        const cancel = clock.after(pauseMs, resolve);
        wake = () => {
          // A change is no reason to press a registry that does not answer.
          if (isBackingOff && !isStopped) return;
          cancel();
          resolve();
        };
      });
    }
  };
  const running = run();
  const end = async (): Promise<void> => {
    isStopped = true;
    wake();
    const deregister = async (): Promise<void> => {
      await running;
      if (lease !== undefined) await registry.deregister(lease.id);
    };
    await within(deregister(), stopMs, clock).catch((error: unknown) => {
      log.warn({ reason: describeError(error) }, "cannot deregister, the lease will run out by itself");
    });
  };
  let ended: Promise<void> | undefined;
  return {
    changed() {
      isChanged = true;
      wake();
    },
    stop() {
      ended ??= end();
      return ended;
    },
  };
}

/** Doubling from the first to the highest pause; the upper half of each is random. */
function backoffMs(failures: number, random: number): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(failures, 16));
  return full * (0.5 + random / 2);
}
