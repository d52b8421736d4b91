import type { BudgetPeriod } from "./key-record.ts";

/** The period that a moment is in. All of them begin at midnight UTC. */
export interface PeriodNow {
  /** `2026-11-23`: later periods of one kind sort after earlier ones. */
  readonly firstDay: string;
  readonly leftMs: number;
}

const dayMs = 86_400_000;

/** What a calendar says of a day is worked out once a day: requests ask for it all the time. */
let today: { readonly midnight: number; readonly day: string; readonly periods: Periods } | undefined;

type Periods = Readonly<Record<BudgetPeriod, { readonly firstDay: string; readonly endMs: number }>>;

/** `2026-11-23`, in UTC. */
export function dayOf(nowMs: number): string {
  return calendarOf(nowMs).day;
}

/** The first day of a day, a week (Monday, ISO 8601) or a month, and the milliseconds until the next one. */
export function periodAt(period: BudgetPeriod, nowMs: number): PeriodNow {
  const { firstDay, endMs } = calendarOf(nowMs).periods[period];
  return { firstDay, leftMs: endMs - nowMs };
}

function calendarOf(nowMs: number) {
  const midnight = Math.floor(nowMs / dayMs) * dayMs;
  if (today?.midnight === midnight) return today;
  const date = new Date(midnight);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  const monday = midnight - ((date.getUTCDay() + 6) % 7) * dayMs;
  today = {
    midnight,
    day: toText(midnight),
    periods: {
      day: { firstDay: toText(midnight), endMs: midnight + dayMs },
      week: { firstDay: toText(monday), endMs: monday + 7 * dayMs },
      month: { firstDay: toText(Date.UTC(year, month, 1)), endMs: Date.UTC(year, month + 1, 1) },
    },
  };
  return today;
}

function toText(midnight: number): string {
  return new Date(midnight).toISOString().slice(0, 10);
}
