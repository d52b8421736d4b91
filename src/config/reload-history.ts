import type { Clock } from "../base/clock.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type LiveConfigState, reloadOutcomes } from "./live-config.ts";

/** What became of a configuration's changes, as one process tells another. */
export interface ReloadHistory {
  /** Milliseconds since the epoch. */
  readonly in_force_since: number;
  /** Since when the file is not what is in force; null while it is. */
  readonly refused_since: number | null;
  readonly reloads: LiveConfigState["reloads"];
}

export function historyOf({ inForceSince, refused, reloads }: LiveConfigState): ReloadHistory {
  return { in_force_since: inForceSince, refused_since: refused?.since ?? null, reloads };
}

/** Counts reloads, and tells how old the configuration in force is and whether the file says something else. */
export function reportReloads(metrics: Metrics, history: () => ReloadHistory, clock: Clock): void {
  metrics.counter({
    name: "nexus_config_reloads_total",
    help: "Reloads of the configuration by outcome: applied, unchanged or refused.",
    labels: ["outcome"],
    collect: (counter) => {
      counter.reset();
      const { reloads } = history();
      for (const outcome of reloadOutcomes) counter.inc({ outcome }, reloads[outcome]);
    },
  });
  metrics.gauge({
    name: "nexus_config_age_seconds",
    help: "For how long the configuration in force has been so.",
    collect: (gauge) => gauge.set(secondsSince(history().in_force_since, clock)),
  });
  metrics.gauge({
    name: "nexus_config_refused_seconds",
    help: "For how long the configuration file has not been the one in force, because it was refused; 0 when it is.",
    collect: (gauge) => gauge.set(secondsSince(history().refused_since, clock)),
  });
}

function secondsSince(time: number | null, clock: Clock): number {
  return time === null ? 0 : Math.max(0, (clock.now() - time) / 1000);
}
