import { setTimeout as pause } from "node:timers/promises";
import { fail, type Target } from "./check.ts";

/** Requests that are worked on right now, as a service's metrics say it. */
export const slotsGauge = "nexus_service_slots_active";
/** What a gateway calls the same. */
const gatewayGauge = "nexus_gateway_requests_in_flight";

/** A client's leaving must have reached the work by then. */
export const cancelMsMax = 1_000;
const lookMs = 10;

/** The gauge as it stands, or undefined when there is none. */
export async function readSlotsActive(target: Target): Promise<number | undefined> {
  const { text } = await target.probe.ask("/metrics");
  for (const name of [slotsGauge, gatewayGauge]) {
    const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, "gm"))].map(([, value]) =>
      Number(value),
    );
    if (values.length === 0) continue;
    // A gateway counts the request that asks for it, too.
    return values.reduce((sum, value) => sum + value, name === gatewayGauge ? -1 : 0);
  }
  return undefined;
}

/** How long what others have left behind may take to end. */
const quietMsMax = 3_000;

/** The gauge as it stands before something begins: waits for the end of what was left, not for other clients' work. */
export async function slotsBefore(target: Target): Promise<number | undefined> {
  const since = performance.now();
  for (;;) {
    const active = await readSlotsActive(target);
    if (active === undefined || active <= 0 || performance.now() - since > quietMsMax) return active;
    await pause(lookMs, undefined, { signal: target.probe.signal });
  }
}

/**
 * Looks until the gauge says at least `count`, or `until` settles. Resolves to whether it did; false when there is no
 * gauge, which is a rule of its own.
 */
export async function seenWorking(target: Target, count: number, until: Promise<unknown>): Promise<boolean> {
  let isOver = false;
  const over = until
    .catch(() => {})
    .then(() => {
      isOver = true;
    });
  while (!isOver) {
    const active = await readSlotsActive(target);
    if (active === undefined) return false;
    if (active >= count) return true;
    await Promise.race([over, pause(lookMs, undefined, { signal: target.probe.signal })]);
  }
  return false;
}

/**
 * To be called when a client has just left: fails unless the gauge is back at `before` within a second. Resolves to the
 * milliseconds that it took, or undefined when there is no gauge.
 */
export async function mustStopWorking(target: Target, before: number): Promise<number | undefined> {
  const left = performance.now();
  for (;;) {
    const askedAt = performance.now() - left;
    const active = await readSlotsActive(target);
    if (active === undefined) return undefined;
    if (active <= before) return Math.round(performance.now() - left);
    if (askedAt > cancelMsMax) {
      fail(`${active - before} of them still worked ${Math.round(askedAt)} ms after their client had left`);
    }
    await pause(lookMs, undefined, { signal: target.probe.signal });
  }
}
