import type { BudgetPeriod } from "./key-record.ts";

/** The period that a moment is in. All of them begin at midnight UTC. */
export interface PeriodNow {
  /** `2026-11-23`: later periods of one kind sort after earlier ones. */
  readonly firstDay: string;
  readonly leftMs: number;
}

const dayMs = 86_400_000;

/** `2026-11-23`, in UTC. */
export function dayOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10);
}

/** The first day of a day, a week (Monday, ISO 8601) or a month, and the milliseconds until the next one. */
export function periodAt(period: BudgetPeriod, nowMs: number): PeriodNow {
  const midnight = Math.floor(nowMs / dayMs) * dayMs;
  const now = new Date(nowMs);
  const [startMs, endMs] = bounds();
  return { firstDay: dayOf(startMs), leftMs: endMs - nowMs };

  function bounds(): [startMs: number, endMs: number] {
    if (period === "day") return [midnight, midnight + dayMs];
    if (period === "week") {
      const monday = midnight - ((now.getUTCDay() + 6) % 7) * dayMs;
      return [monday, monday + 7 * dayMs];
    }
    const [year, month] = [now.getUTCFullYear(), now.getUTCMonth()];
    return [Date.UTC(year, month, 1), Date.UTC(year, month + 1, 1)];
  }
}
