/** `npm run test:resilience` runs the same scenarios in full; every other run takes a part of them. */
const isFull = process.env.NEXUS_RESILIENCE === "full";

/** How much of a scenario to run. */
export function sized<T>(reduced: T, full: T): T {
  return isFull ? full : reduced;
}

/** The time that a scenario may take. */
export const scenarioMs = isFull ? 20 * 60_000 : 60_000;
