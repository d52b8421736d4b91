import {
  type CheckResult,
  type ConformanceOptions,
  runConformance,
} from "../../src/contract/conformance/run-conformance.ts";
import type { Pace } from "../fakes/good-service.ts";

/** Short answers come at once; long ones stop after 20 tokens until somebody leaves, as on a slow machine. */
export const heldPace: Pace = (token, signal) =>
  token < 20
    ? new Promise((resolve) => setImmediate(resolve))
    : new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

/** Every check's result. */
export async function report(options: ConformanceOptions): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for await (const result of runConformance(options)) results.push(result);
  return results;
}

export function failuresOf(results: readonly CheckResult[]) {
  return results.filter(({ status }) => status === "fail").map(({ id, reason }) => ({ id, reason }));
}
