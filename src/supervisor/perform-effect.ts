import type { Clock } from "../base/clock.ts";
import { describeError } from "../base/errors.ts";
import type { Driver } from "./driver.ts";
import { probeHttp } from "./probe-http.ts";
import type { Effect, ProcessEvent } from "./reconcile.ts";

/** Does what was decided, and answers with what came of it. Failures are events too: never rejects by itself. */
export async function performEffect(effect: Effect, driver: Driver, clock: Clock): Promise<ProcessEvent | undefined> {
  switch (effect.kind) {
    case "signal":
      driver.signal(effect.process, effect.signal);
      return undefined;
    case "spawn":
      try {
        return { kind: "spawned", process: await driver.spawn(effect.wanted.spec, effect.wanted.digest) };
      } catch (error) {
        return { kind: "spawn_failed", reason: describeError(error) };
      }
    case "probe":
      return probe(effect, driver, clock);
  }
}

async function probe(
  { process, target, path, timeoutMs, ...effect }: Extract<Effect, { kind: "probe" }>,
  driver: Driver,
  clock: Clock,
): Promise<ProcessEvent> {
  const url = effect.url ?? (await driver.address(process));
  const failure =
    url === undefined ? "it has not said where it listens" : await probeHttp(new URL(path, url), timeoutMs, clock);
  return { kind: "probed", process, target, url, failure };
}
