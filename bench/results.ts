import type { Machine } from "./machine.ts";
import { median, spread, toDigits } from "./statistics.ts";

/** What one round of a load gave. Latencies in microseconds, memory in megabytes; absent where it says nothing. */
export interface Figures {
  readonly rps?: number;
  readonly p50?: number;
  readonly p99?: number;
  readonly cpuUsPerRequest?: number;
  /** Of the largest process, and of all of them. */
  readonly rss?: number;
  readonly rssTotal?: number;
  /** Memory at the end against the middle of a soak: 0.02 is 2 % more. */
  readonly growth?: number;
  readonly requests?: number;
  readonly errors?: number;
}

/** A gateway under one load: medians over the rounds. */
export interface Row {
  readonly gateway: string;
  readonly load: string;
  readonly rounds: number;
  readonly rps: number | null;
  readonly p50_us: number | null;
  readonly p99_us: number | null;
  readonly cpu_us_per_request: number | null;
  readonly rss_mb: number | null;
  readonly rss_total_mb: number | null;
  readonly growth: number | null;
  readonly requests: number | null;
  readonly errors: number;
  /** How far the rounds disagree about `rps`, else about the median latency: 0.05 is 5 %. */
  readonly spread: number | null;
  /** Why there are no figures. */
  readonly reason: string | null;
}

export interface GatewayResult {
  readonly name: string;
  readonly title: string;
  readonly version: string;
  readonly features: string;
  /** Why it wasn't measured; null when it was. */
  readonly skipped: string | null;
}

/** How a gateway stands to the mock itself and to nginx: requests a second by theirs. */
export interface Ratio {
  readonly gateway: string;
  readonly load: string;
  readonly to_direct: number | null;
  readonly to_nginx: number | null;
}

/** Something measured inside one process: milliseconds. */
export interface PartResult {
  readonly what: string;
  readonly instances: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

export interface Goal {
  readonly id: string;
  readonly goal: string;
  readonly measured: string;
  /** Null: not measured in this run. */
  readonly met: boolean | null;
}

/** `bench/results.json`. */
export interface Results {
  readonly measured_at: string;
  readonly quick: boolean;
  readonly commit: string;
  readonly node: string;
  readonly machine: Machine;
  readonly gateways: readonly GatewayResult[];
  readonly rows: readonly Row[];
  readonly ratios: readonly Ratio[];
  readonly parts: readonly PartResult[];
  readonly goals: readonly Goal[];
}

/** The medians of the rounds of a gateway under a load. */
export function toRow(gateway: string, load: string, rounds: readonly Figures[], reason?: string): Row {
  const middle = (pick: (figures: Figures) => number | undefined): number | null => {
    const values = rounds.map(pick).filter((value) => value !== undefined);
    return values.length === 0 ? null : toDigits(median(values), 4);
  };
  const values = rounds.map(({ rps, p50 }) => rps ?? p50).filter((value) => value !== undefined);
  return {
    gateway,
    load,
    rounds: rounds.length,
    rps: middle(({ rps }) => rps),
    p50_us: middle(({ p50 }) => p50),
    p99_us: middle(({ p99 }) => p99),
    cpu_us_per_request: middle(({ cpuUsPerRequest }) => cpuUsPerRequest),
    rss_mb: middle(({ rss }) => rss),
    rss_total_mb: middle(({ rssTotal }) => rssTotal),
    growth: middle(({ growth }) => growth),
    requests: middle(({ requests }) => requests),
    errors: rounds.reduce((sum, { errors = 0 }) => sum + errors, 0),
    spread: values.length < 2 ? null : toDigits(spread(values), 2),
    reason: reason ?? null,
  };
}

/** Requests a second against the mock's own and against nginx's, for every row that has them. */
export function toRatios(rows: readonly Row[]): Ratio[] {
  const rpsOf = (gateway: string, load: string) =>
    rows.find((row) => row.gateway === gateway && row.load === load)?.rps ?? null;
  return rows.flatMap(({ gateway, load, rps }) => {
    if (rps === null || gateway === "direct") return [];
    const against = (other: string) => {
      const base = rpsOf(other, load);
      return base === null ? null : toDigits(rps / base, 3);
    };
    return [{ gateway, load, to_direct: against("direct"), to_nginx: against("nginx") }];
  });
}
