import type { Clock } from "../base/clock.ts";
import type { InstanceRecord } from "../contract/instance-record.ts";
import type { RegistryView } from "../registry/registry.ts";
import type { InstanceConditions } from "./instance-conditions.ts";

/** What one probe found. `refused` is certain at once; a silence may be a lost packet. */
export type ProbeResult =
  | { readonly kind: "ready" }
  | { readonly kind: "unready"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "silent"; readonly reason: string };

export interface ProbeSettings {
  /** Milliseconds between two probes; `keyedIntervalMs` of a server that asks for a key. */
  readonly intervalMs: number;
  readonly keyedIntervalMs: number;
  /** Silent probes in a row that unroute. */
  readonly failures: number;
}

export interface ReadinessMonitorOptions {
  readonly view: RegistryView;
  readonly conditions: InstanceConditions;
  /** Asks one instance, within its own time limit. Never throws. */
  readonly probe: (record: InstanceRecord) => Promise<ProbeResult>;
  readonly settings: ProbeSettings;
  readonly clock: Clock;
  /** Told when an instance becomes ready (`undefined`) or unready (why). */
  readonly onChange: (key: string, unready: string | undefined) => void;
  /** Where several processes share a fleet, each asks its part of it. Default: all of it. */
  readonly isMine?: (key: string) => boolean;
}

interface Watched {
  record: InstanceRecord;
  silences: number;
  cancelTimer: () => void;
  /** Whether its next probe is planned. */
  isWaiting: boolean;
  running: boolean;
}

/**
 * Asks every instance of the fleet again and again whether it can take requests. A refused connection or a clear "no"
 * unroutes at once, silence only after several probes; the first good answer brings it back.
 */
export class ReadinessMonitor {
  readonly #options: ReadinessMonitorOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #unsubscribe: () => void;
  #settings: ProbeSettings;
  #closed = false;

  constructor(options: ReadinessMonitorOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#unsubscribe = options.view.onChange(() => this.#follow());
    this.#follow();
  }

  /** Takes effect at once: who would wait out an interval that was too long is asked now. */
  configure(settings: ProbeSettings): void {
    const { intervalMs, keyedIntervalMs } = this.#settings;
    const isSooner = settings.intervalMs < intervalMs || settings.keyedIntervalMs < keyedIntervalMs;
    this.#settings = settings;
    if (isSooner) for (const key of this.#watched.keys()) this.hurry(key);
  }

  /** Another part of the fleet is to be asked from here: what is new in it, at once. */
  partChanged(): void {
    for (const [key, watched] of this.#watched) {
      if (!watched.isWaiting && !watched.running && this.#isMine(key)) this.#schedule(key, watched, 0);
    }
  }

  /** What another process found. */
  learn(key: string, unready: string | undefined): void {
    if (this.#watched.has(key)) this.#options.conditions.of(key).unready = unready;
  }

  /** Asks now instead of at the next turn: a request has just failed there. */
  hurry(key: string): void {
    const watched = this.#watched.get(key);
    if (watched !== undefined && !watched.running) this.#schedule(key, watched, 0);
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    for (const watched of this.#watched.values()) watched.cancelTimer();
    this.#watched.clear();
  }

  #follow(): void {
    const { instances } = this.#options.view.current();
    for (const [key, watched] of this.#watched) {
      if (instances.has(key)) continue;
      watched.cancelTimer();
      this.#watched.delete(key);
    }
    for (const [key, record] of instances) {
      const watched = this.#watched.get(key);
      if (watched === undefined) {
        const fresh: Watched = { record, silences: 0, cancelTimer: () => {}, isWaiting: false, running: false };
        this.#watched.set(key, fresh);
        if (this.#isMine(key)) this.#schedule(key, fresh, 0);
      } else if (watched.record !== record) {
        watched.record = record;
        if (!watched.running && this.#isMine(key)) this.#schedule(key, watched, 0);
      }
    }
    this.#options.conditions.retain(instances);
  }

  #schedule(key: string, watched: Watched, delayMs: number): void {
    watched.cancelTimer();
    watched.isWaiting = true;
    watched.cancelTimer = this.#options.clock.after(delayMs, () => void this.#probe(key, watched));
  }

  #isMine(key: string): boolean {
    return this.#options.isMine?.(key) ?? true;
  }

  async #probe(key: string, watched: Watched): Promise<void> {
    const { clock } = this.#options;
    const startedAt = clock.monotonic();
    const { record } = watched;
    watched.isWaiting = false;
    watched.running = true;
    const result = await this.#options.probe(record);
    watched.running = false;
    if (this.#closed || this.#watched.get(key) !== watched) return;
    this.#apply(key, watched, result);
    // One that was asked in a hurry for somebody else.
    if (!this.#isMine(key)) return;
    // From start to start, and at once when the record changed meanwhile.
    const elapsed = clock.monotonic() - startedAt;
    const intervalMs = record.secret === null ? this.#settings.intervalMs : this.#settings.keyedIntervalMs;
    this.#schedule(key, watched, watched.record === record ? Math.max(0, intervalMs - elapsed) : 0);
  }

  #apply(key: string, watched: Watched, result: ProbeResult): void {
    watched.silences = result.kind === "silent" ? watched.silences + 1 : 0;
    if (result.kind === "silent" && watched.silences < this.#settings.failures) return;
    const condition = this.#options.conditions.of(key);
    const unready = result.kind === "ready" ? undefined : result.reason;
    const changed = (condition.unready === undefined) !== (unready === undefined);
    condition.unready = unready;
    if (changed) this.#options.onChange(key, unready);
  }
}
