import { makeRecord } from "../../test/support/records.ts";
import type { PartResult } from "../results.ts";
import { percentile, toDigits } from "../statistics.ts";

export const hostsMax = 1_000;
/** What a text model's server offers. */
const operations = ["chat.completions.create", "completions.create", "embeddings.create"];

/** The record of the instance at a place in a fleet: ten to a host, as soon as there are more than a thousand. */
export function fleetRecord(at: number, models: readonly string[], note = "") {
  return makeRecord({
    service: "chat",
    instance: `i${at}`,
    host: `host-${at % hostsMax}`,
    operations,
    maxConcurrency: 8,
    labels: { note },
    models: models.map((id) => ({ id })),
  });
}

/** Enough for any percentile; what takes longer is measured less often. */
const measuringMsMax = 3_000;

/** Runs something so many times, or as often as it can in three seconds. Resolves to how long each took, in milliseconds. */
export async function measure(count: number, run: (at: number) => unknown): Promise<number[]> {
  const samples: number[] = [];
  const endsAt = performance.now() + measuringMsMax;
  for (let at = 0; at < count && performance.now() < endsAt; at++) {
    const startedAt = performance.now();
    const pending = run(at);
    if (pending instanceof Promise) await pending;
    samples.push(performance.now() - startedAt);
  }
  return samples;
}

export function summarise(what: string, instances: number, samples: readonly number[]): PartResult {
  const milliseconds = (fraction: number) => toDigits(percentile(samples, fraction), 4);
  return { what, instances, p50_ms: milliseconds(0.5), p99_ms: milliseconds(0.99) };
}
