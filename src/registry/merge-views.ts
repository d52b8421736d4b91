import type { InstanceRecord, Policy } from "../contract/instance-record.ts";
import type { RegistrySnapshot, RegistryView } from "./registry.ts";
import { SortedMap } from "./sorted-map.ts";

/**
 * Several views as one. Where two have the same key, the earlier view's record counts; drains of all of them hold; it is
 * stale when one of them is. Costs nothing until a view changes, and then the records of all views but the largest.
 */
export function mergeViews(views: readonly RegistryView[]): RegistryView {
  let parts: readonly RegistrySnapshot[] = [];
  let merged: RegistrySnapshot | undefined;

  const current = (): RegistrySnapshot => {
    const now = views.map((view) => view.current());
    if (merged === undefined || now.some((part, at) => part !== parts[at])) {
      parts = now;
      merged = mergeSnapshots(now);
    }
    return merged;
  };
  return {
    current,
    onChange(listener) {
      let told: RegistrySnapshot | undefined;
      const tell = (): void => {
        const snapshot = current();
        // Two views that change in one turn are one change of the whole.
        if (snapshot === told) return;
        told = snapshot;
        listener(snapshot);
      };
      const unsubscribe = views.map((view) => view.onChange(tell));
      return () => {
        for (const stop of unsubscribe) stop();
      };
    },
  };
}

function mergeSnapshots(parts: readonly RegistrySnapshot[]): RegistrySnapshot {
  return Object.freeze({
    // Grows whenever one of them does.
    revision: parts.reduce((sum, part) => sum + part.revision, 0),
    instances: mergeInstances(parts.map((part) => part.instances)),
    rejected: Object.freeze(parts.flatMap((part) => part.rejected)),
    policy: mergePolicies(parts.map((part) => part.policy)),
    stale: parts.some((part) => part.stale),
  });
}

function mergeInstances(maps: readonly ReadonlyMap<string, InstanceRecord>[]): SortedMap<InstanceRecord> {
  const largest = maps.reduce((best, map, at) => (map.size > (maps[best]?.size ?? 0) ? at : best), 0);
  const base = SortedMap.of(maps[largest] ?? new Map<string, InstanceRecord>());
  const changes = new Map<string, InstanceRecord>();
  // From the last to the first, so that the earlier one has the last word.
  for (const [at, map] of [...maps.entries()].reverse()) {
    if (at === largest) continue;
    for (const [key, record] of map) {
      if (at < largest || !base.has(key)) changes.set(key, record);
    }
  }
  return changes.size === 0 ? base : base.with(changes);
}

function mergePolicies(policies: readonly Policy[]): Policy {
  const [only, another] = policies.filter((policy) => policy.drained.length > 0);
  if (another === undefined) return only ?? { drained: [] };
  return { drained: policies.flatMap((policy) => policy.drained) };
}
