import type { Clock } from "../base/clock.ts";
import { Ejection, type EjectionSettings } from "./ejection.ts";

/** What this process has seen of one instance: probes, requests under way, failures in a row. */
export class InstanceCondition {
  readonly ejection: Ejection;
  /** Why probes say that it can take no requests; undefined when they say it can or have not said yet. */
  unready: string | undefined;
  inFlight = 0;

  constructor(settings: EjectionSettings, clock: Clock) {
    this.ejection = new Ejection(settings, clock);
  }

  get ejected(): string | undefined {
    return this.ejection.reason;
  }
}

/** Conditions by instance key, made when first asked for and forgotten with the instance. */
export class InstanceConditions {
  readonly #byKey = new Map<string, InstanceCondition>();
  readonly #settings: EjectionSettings;
  readonly #clock: Clock;

  constructor(settings: EjectionSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  of(key: string): InstanceCondition {
    let condition = this.#byKey.get(key);
    if (condition === undefined) {
      condition = new InstanceCondition(this.#settings, this.#clock);
      this.#byKey.set(key, condition);
    }
    return condition;
  }

  /** Forgets what is not in the fleet any more. Requests under way keep the object they hold. */
  retain(keys: ReadonlySet<string> | ReadonlyMap<string, unknown>): void {
    for (const key of this.#byKey.keys()) if (!keys.has(key)) this.#byKey.delete(key);
  }
}
